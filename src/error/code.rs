//! Causes that a user can act on.

use serde::Serialize;

/// Declares the codes and the list of them.
macro_rules! codes {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// A cause that a user can act on. Set by our own code where it detects the cause, never from the text of a
        /// server or a file. Without a more specific code, the [`Kind`](super::Kind) implies one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Code {
            $($(#[$doc])+ $name,)+
        }

        impl Code {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$name),+];
        }
    };
}

codes! {
    /// The type requires another tag or repository than the given one.
    ReferenceFixed,
    /// No artifact type has this name.
    NoSuchType,
    /// Several artifact types fit the source.
    SeveralTypes,
    /// The limits are too low to decide whether an artifact type fits the source.
    TypeUndecided,
    /// The artifact type is a program that packs but does not unpack.
    TypeOnlyPacks,
    /// A symbolic link cannot be a layer; another layout of the type could keep it.
    LinkAsLayer,
    /// Two files have one title, or two entries one name.
    TitleTaken,
    /// The artifact is an index of manifests for several platforms, and none was chosen.
    PlatformWanted,
    /// Two sources would get one name at the destination.
    NameTwice,
    /// The manifest is larger than registries accept.
    ManifestTooLarge,
    /// The registry reports content of a manifest as missing, though it accepted it or claimed to have it.
    ContentMissing,
    /// The registry refuses an index of which members are left out.
    PartialIndexRefused,
    /// The store lacks members of an index that was to be copied as a whole.
    MembersMissing,
    /// A credential helper failed.
    HelperFailed,
    /// The credential helper that a credentials file names is not installed.
    HelperMissing,
    /// The registry refuses to say what refers to an artifact.
    ReferrersRefused,
    /// The destination holds other files.
    DestinationTaken,
    /// The files of the artifact would have more bytes than the limit allows.
    ExpandsTooFar,
    /// Another process is writing the archive.
    StoreBusy,
    /// There are several tags, and none was given.
    SeveralTags,
    /// There are no tags.
    NoTags,
    /// A part of a list of tags cannot be read.
    ListIncomplete,
    /// The registry does not have this tag.
    NoSuchTag,
    /// The registry cannot remove a tag without its manifest.
    TagsNotRemovable,
    /// Tags of the registry are immutable.
    TagImmutable,
    /// The registry is out of space, or a quota is exhausted.
    RegistryFull,
    /// The registry refuses permanently; only its own message says why.
    RefusedForGood,
    /// The registry does not support this method.
    MethodRefused,
    /// The registry limits requests, and none are left.
    RequestsUsedUp,
    /// The registry rejected the credentials of a login.
    LoginRefused,
    /// The configuration blocks the repository.
    Blocked,
    /// The registry names a token service that is not trusted with its credentials.
    RealmNotTrusted,
    /// The registry redirects to a host that is not trusted.
    HostNotTrusted,
    /// The registry speaks plain HTTP; the request used HTTPS.
    PlainHttpAnswered,
    /// The registry may speak HTTPS; the request used plain HTTP.
    HttpsExpected,
    /// The registry's certificate has expired or is not yet valid.
    CertificateNotNow,
    /// The registry's certificate is for another host.
    CertificateForAnother,
    /// The registry's certificate names no host.
    CertificateNamesNoHost,
    /// The registry's certificate is not trusted.
    CertificateNotTrusted,
    /// The registry requires a client certificate, as far as one can tell, and there is none.
    ClientCertificateWanted,
    /// The registry refuses the client certificate, as far as one can tell.
    ClientCertificateRefused,
    /// The scheme of the proxy is not supported.
    ProxyUnsupported,
    /// The proxy's URL is malformed.
    ProxyMalformed,
    /// The proxy requires a user name and password.
    ProxyWantsLogin,
    /// Requests through the proxy fail.
    ProxyFailed,
    /// The registry requires credentials, and none were found for it.
    CredentialsWanted,
    /// The registry rejected the credentials.
    CredentialsRefused,
    /// The registry knows the user and does not permit the request.
    AccessDenied,
    /// The registry cannot be reached.
    RegistryUnreachable,
    /// The server is not an OCI registry.
    NotARegistry,
    /// No artifact type fits the source.
    NoTypeFits,
    /// The source changed while being read.
    SourceChanged,
    /// The input file is a pipe or a device.
    NotARegularFile,
    /// The file or directory does not exist.
    NoSuchFile,
    /// A configuration file that was named explicitly does not exist.
    NoSuchConfiguration,
    /// A certificate file holds no certificate.
    NoCertificate,
    /// The artifact has no part of this name.
    NoSuchPart,
    /// The index has no manifest for this platform.
    NoSuchPlatform,
    /// No file of the artifact matches the patterns.
    NothingMatches,
    /// The destination is a file and should be a layout, which is a directory.
    DestinationIsFile,
    /// The file is not an OCI archive, or the directory not an OCI layout.
    NotAStore,
    /// The file is an archive of `docker save`.
    DockerArchive,
    /// The output file already exists.
    FileExists,
    /// A location was given where a tag is expected.
    TagExpected,
    /// The given tag is not a valid tag.
    NotATag,
    /// The given type name is not a valid type name.
    NotATypeName,
    /// A registry was given with a `http://` or `https://` prefix.
    SchemeGiven,
    /// The address to listen on is in use.
    AddressInUse,
    /// A store was given with a tag or digest, but is always served whole.
    StoreWithName,
    /// The type has no parameter of this name.
    NoSuchParameter,
    /// The password of a key file is wrong.
    PasswordWrong,
    /// The disk is full, or a disk quota is exhausted.
    DiskFull,
    /// The file system is read-only.
    ReadOnlyDisk,
    /// The user lacks permission to read or write the file.
    PermissionDenied,
    /// A bug in this program.
    Bug,
}
