//! One error for the whole library: what failed, where, and because of what.
//!
//! Advice ("pass `--plain-http`") is not here: the library states facts, the command line knows its flags.

mod server_code;

use std::{fmt, path::PathBuf};

use serde::Serialize;

pub use self::server_code::ServerCode;

/// The result of everything in this library that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure this is: what a caller can act on without reading the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// What was asked for makes no sense: a reference that is none, things that do not go together.
    Misuse,
    /// The input is malformed: a definition, a manifest, a file.
    Invalid,
    /// No artifact type fits the source, or none has the name asked for.
    UnknownType,
    /// Several artifact types fit the source equally well.
    Ambiguous,
    /// The file, tag, manifest, blob or repository is not there.
    NotFound,
    /// A name is taken: two files with one title, a destination that exists.
    Exists,
    /// Content is not what its digest, size or media type says.
    Mismatch,
    /// A source file changed while it was read.
    Changed,
    /// Something reaches outside the place it is confined to.
    Escape,
    /// A limit on what is read was exceeded.
    Limit,
    /// The operation is not supported by this store, type or format.
    Unsupported,
    /// The store only reads.
    ReadOnly,
    /// The registry wants credentials, or other ones.
    Unauthorized,
    /// The registry knows who asks and refuses: no right to it, a tag that may not be moved, no room left in a quota.
    Denied,
    /// The registry asks to come later, or failed by its own fault: the same request may succeed again.
    Unavailable,
    /// Another writer is at work in the store, which takes one at a time.
    Busy,
    /// The registry cannot be reached.
    Unreachable,
    /// Something answered that does not speak the distribution API.
    NotARegistry,
    /// The disk is full or a quota is used up.
    NoSpace,
    /// Any other failure of the file system or the operating system.
    Io,
    /// A bug in this program.
    Internal,
}

/// Declares the codes, and the list of them.
macro_rules! codes {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// What a user can act on. Our own code sets it where it finds out what is wrong: no text of a server or a file
        /// chooses one. Where nothing more is known, the [`Kind`] decides.
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
    /// The type wants another tag or repository than the one that was given.
    ReferenceFixed,
    /// No artifact type has this name.
    NoSuchType,
    /// Several artifact types fit the source.
    SeveralTypes,
    /// Whether an artifact type fits the source cannot be said within the limits.
    TypeUndecided,
    /// The artifact type is a program that packs and does not unpack.
    TypeOnlyPacks,
    /// A symbolic link cannot be a layer, and the type has a layout that could keep it.
    LinkAsLayer,
    /// Two files have one title, or two entries one name.
    TitleTaken,
    /// It is an index of manifests for several platforms, and one of them is wanted.
    PlatformWanted,
    /// Two sources would get one name at the destination.
    NameTwice,
    /// The manifest is larger than registries take.
    ManifestTooLarge,
    /// The registry says that it lacks content of a manifest, though it took it or said that it was there.
    ContentMissing,
    /// Other files are at the destination.
    DestinationTaken,
    /// Another process is writing the archive.
    StoreBusy,
    /// There are several tags, and none was named.
    SeveralTags,
    /// There are no tags.
    NoTags,
    /// The registry does not have this tag.
    NoSuchTag,
    /// The registry cannot remove a tag without its manifest.
    TagsNotRemovable,
    /// The registry never moves a tag.
    TagImmutable,
    /// The registry has no room left.
    RegistryFull,
    /// The registry refuses for good, and only its own words say why.
    RefusedForGood,
    /// The registry does not take this method.
    MethodRefused,
    /// The registry counts requests, and there are none left.
    RequestsUsedUp,
    /// The registry refused the credentials that were to be kept.
    LoginRefused,
    /// The configuration blocks the repository.
    Blocked,
    /// The registry names a token service that may not see its credentials.
    RealmNotTrusted,
    /// The registry leads to a host that it may not lead to.
    HostNotTrusted,
    /// The registry speaks plain http, and https was tried.
    PlainHttpAnswered,
    /// The registry may speak https, and plain http was tried.
    HttpsExpected,
    /// The registry's certificate is not valid now.
    CertificateNotNow,
    /// The registry's certificate is for other names.
    CertificateForAnother,
    /// The registry's certificate is not accepted.
    CertificateNotTrusted,
    /// The proxy is of a kind that is not supported.
    ProxyUnsupported,
    /// The proxy's URL is malformed.
    ProxyMalformed,
    /// The proxy wants a user name and a password.
    ProxyWantsLogin,
    /// What goes through the proxy does not arrive.
    ProxyFailed,
    /// The registry wants credentials, and none were found for it.
    CredentialsWanted,
    /// The registry refuses the credentials that were sent.
    CredentialsRefused,
    /// The registry knows the user and does not allow this.
    AccessDenied,
    /// The registry cannot be reached.
    RegistryUnreachable,
    /// What answers is no OCI registry.
    NotARegistry,
    /// No artifact type fits the source.
    NoTypeFits,
    /// The source changed while it was read.
    SourceChanged,
    /// A file that is to be read is a pipe or a device.
    NotARegularFile,
    /// There is no such file or directory.
    NoSuchFile,
    /// A file that the command line names as configuration is missing.
    NoSuchConfiguration,
    /// A file of certificates holds none.
    NoCertificate,
    /// The artifact has no part of this name.
    NoSuchPart,
    /// The index has no manifest for this platform.
    NoSuchPlatform,
    /// No file of the artifact matches the patterns.
    NothingMatches,
    /// A file is where a layout, which is a directory, was to be.
    DestinationIsFile,
    /// The file is no OCI archive and the directory no OCI layout.
    NotAStore,
    /// The file that was to be written is there already.
    FileExists,
    /// A location was given where a tag alone is expected.
    TagExpected,
    /// What was given as a tag is none.
    NotATag,
    /// What was given as the name of a type is none.
    NotATypeName,
    /// A registry was given with `http://` or `https://` in front.
    SchemeGiven,
    /// The address to listen on is in use.
    AddressInUse,
    /// A store was named with a tag or digest, and is served whole.
    StoreWithName,
    /// The type has no parameter of this name.
    NoSuchParameter,
    /// The disk is full, or a quota of it is used up.
    DiskFull,
    /// The file system may only be read.
    ReadOnlyDisk,
    /// The user may not read or write this.
    PermissionDenied,
    /// A bug in this program.
    Bug,
}

impl Kind {
    /// The code of a failure of this kind of which no more is known.
    fn code(self) -> Option<Code> {
        Some(match self {
            Self::UnknownType => Code::NoTypeFits,
            Self::Changed => Code::SourceChanged,
            Self::Unauthorized => Code::CredentialsWanted,
            Self::Denied => Code::AccessDenied,
            Self::Busy => Code::StoreBusy,
            Self::Unreachable => Code::RegistryUnreachable,
            Self::NotARegistry => Code::NotARegistry,
            Self::NoSpace => Code::DiskFull,
            Self::ReadOnly => Code::ReadOnlyDisk,
            Self::Internal => Code::Bug,
            _ => return None,
        })
    }
}

/// What an error is about, as far as it is known. Texts are as they came, from the user or from a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Facts {
    /// The registry, `host[:port]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// The repository, with its registry: `host[:port]/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The tag, type, parameter or part that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The digest of the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The file or directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The status of an HTTP response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The codes with which a registry refused, such as `NAME_UNKNOWN`, in its order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub server_codes: Vec<ServerCode>,
    /// Where the credentials came from that were used: a file, a helper, the command line. Never a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<String>,
}

impl Facts {
    /// These facts, and what only the others know.
    fn or(self, other: Self) -> Self {
        Self {
            registry: self.registry.or(other.registry),
            repository: self.repository.or(other.repository),
            name: self.name.or(other.name),
            digest: self.digest.or(other.digest),
            path: self.path.or(other.path),
            status: self.status.or(other.status),
            server_codes: if self.server_codes.is_empty() { other.server_codes } else { self.server_codes },
            credentials: self.credentials.or(other.credentials),
        }
    }
}

/// What failed, where, and because of what.
///
/// `Display` gives the whole chain, outermost first: `pull oci:out:v1: read blob sha256:…: No space left on device`.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    code: Option<Code>,
    facts: Facts,
    message: String,
    context: Vec<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// Whether the message is the text of the source.
    transparent: bool,
}

impl Error {
    /// An error of this kind; `message` is lower case, one line, without a full stop. Names and other text from elsewhere
    /// stand in it as they are: whoever shows it escapes what terminals act on.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            code: None,
            facts: Facts::default(),
            message: message.into(),
            context: Vec::new(),
            source: None,
            transparent: false,
        }))
    }

    /// A request that makes no sense.
    pub fn misuse(message: impl Into<String>) -> Self {
        Self::new(Kind::Misuse, message)
    }

    /// Malformed input.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// Something that is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    /// A limit that was exceeded: what, and how much is allowed.
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(Kind::Limit, message)
    }

    /// Content that is not what it was described as.
    pub fn mismatch(message: impl Into<String>) -> Self {
        Self::new(Kind::Mismatch, message)
    }

    /// What this store, type or format cannot do.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported, message)
    }

    /// A failure that another error caused.
    pub fn caused(
        kind: Kind,
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let mut error = Self::new(kind, message);
        error.0.source = Some(source.into());
        error
    }

    /// The same failure, as the fault of who asked: what was asked for by name is none of those there are.
    #[must_use]
    pub fn into_misuse(self) -> Self {
        self.into_kind(Kind::Misuse)
    }

    /// The same failure, about a file that was named as configuration: the command line or the context is wrong then, and
    /// nothing is missing where artifacts are.
    #[must_use]
    pub fn of_configuration(self) -> Self {
        match self.kind() {
            Kind::NotFound => self.into_misuse().with_code(Code::NoSuchConfiguration),
            _ => self.into_misuse(),
        }
    }

    /// The same failure, of another kind: what it means depends on what was asked for.
    #[must_use]
    pub fn into_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The same error, as one that a user can act on in this way.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.0.code = Some(code);
        self
    }

    /// Adds what the error is about. A fact that it has already stays: it was found nearer to the failure.
    #[must_use]
    pub fn with_facts(mut self, facts: Facts) -> Self {
        self.0.facts = std::mem::take(&mut self.0.facts).or(facts);
        self
    }

    /// Adds the digest of the content that the error is about.
    #[must_use]
    pub fn with_digest(self, digest: impl fmt::Display) -> Self {
        self.with_facts(Facts { digest: Some(digest.to_string()), ..Facts::default() })
    }

    /// Adds the file or directory that the error is about.
    #[must_use]
    pub fn with_path(self, path: impl Into<PathBuf>) -> Self {
        self.with_facts(Facts { path: Some(path.into()), ..Facts::default() })
    }

    /// Adds the name that was looked for.
    #[must_use]
    pub fn with_name(self, name: impl fmt::Display) -> Self {
        self.with_facts(Facts { name: Some(name.to_string()), ..Facts::default() })
    }

    /// Adds the codes with which a server refused.
    #[must_use]
    pub fn with_server_codes(mut self, codes: Vec<ServerCode>) -> Self {
        self.0.facts.server_codes = codes;
        self
    }

    /// The same error, with what was being done, or where, put in front.
    #[must_use]
    pub fn context(mut self, context: impl Into<String>) -> Self {
        self.0.context.push(context.into());
        self
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What a user can act on, where it is known.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        self.0.code.or_else(|| self.0.kind.code())
    }

    /// What it is about.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.0.facts
    }

    /// What was being done, the outermost first.
    pub fn contexts(&self) -> impl Iterator<Item = &str> {
        self.0.context.iter().rev().map(String::as_str)
    }

    /// What failed and why, without what was being done.
    #[must_use]
    pub fn reason(&self) -> String {
        let mut reason = self.0.message.clone();
        let mut cause = self.cause();
        while let Some(error) = cause {
            reason.push_str(&format!(": {error}"));
            cause = error.source();
        }
        reason
    }

    /// The first cause that the message does not repeat.
    fn cause(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = std::error::Error::source(self)?;
        if self.0.transparent { source.source() } else { Some(source) }
    }

    /// The codes with which a server refused, in its order; empty where none did.
    #[must_use]
    pub fn server_codes(&self) -> &[ServerCode] {
        &self.0.facts.server_codes
    }

    /// What failed, without what was being done and without the cause.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for context in self.0.context.iter().rev() {
            write!(f, "{context}: ")?;
        }
        f.write_str(&self.reason())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind())
    }
}

impl std::error::Error for Error {
    /// The cause. `Display` of this error has its text already.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

/// `File not found`, `disk full` and `read-only` are worth telling apart from other file system failures.
fn kind_of(error: &std::io::Error) -> Kind {
    use std::io::ErrorKind as E;
    match error.kind() {
        E::NotFound => Kind::NotFound,
        E::AlreadyExists => Kind::Exists,
        E::StorageFull | E::QuotaExceeded => Kind::NoSpace,
        E::ReadOnlyFilesystem => Kind::ReadOnly,
        _ => Kind::Io,
    }
}

impl From<std::io::Error> for Error {
    /// Recovers an [`Error`] that travelled through `std::io`, else takes the kind from the `io::ErrorKind`.
    fn from(error: std::io::Error) -> Self {
        let kind = kind_of(&error);
        match error.downcast::<Self>() {
            Ok(own) => own,
            Err(error) => {
                let code = match kind {
                    Kind::NotFound => Some(Code::NoSuchFile),
                    _ if error.kind() == std::io::ErrorKind::PermissionDenied => Some(Code::PermissionDenied),
                    _ => None,
                };
                let mut own = Self::caused(kind, error.to_string(), error);
                (own.0.code, own.0.transparent) = (code, true);
                own
            }
        }
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

/// Puts what was being done, or where, in front of an error.
pub trait Context<T> {
    /// Adds `what()` in front; evaluated only on failure.
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for Result<T, E> {
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|e| e.into().context(what()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_from_the_outside_in() {
        let error = Error::caused(Kind::Io, "cannot read", std::io::Error::other("disk on fire"))
            .context("blob sha256:00")
            .context("pull oci:x");
        assert_eq!(error.to_string(), "pull oci:x: blob sha256:00: cannot read: disk on fire");
    }

    #[test]
    fn a_cause_is_reached_and_its_text_is_said_once() {
        let io = std::io::Error::from(std::io::ErrorKind::NotFound);
        let error = Error::from(io).context("cannot read `x`");
        assert_eq!(error.to_string(), "cannot read `x`: entity not found");
        let cause = std::error::Error::source(&error).and_then(|e| e.downcast_ref::<std::io::Error>());
        assert_eq!(cause.map(std::io::Error::kind), Some(std::io::ErrorKind::NotFound));
        assert_eq!(
            (error.reason().as_str(), error.contexts().collect::<Vec<_>>()),
            ("entity not found", vec!["cannot read `x`"])
        );
    }

    #[test]
    fn a_fact_that_was_found_nearer_to_the_failure_stays() {
        let error = Error::not_found("gone").with_name("v1").with_facts(Facts {
            name: Some("v2".into()),
            registry: Some("r.example".into()),
            ..Facts::default()
        });
        assert_eq!((error.facts().name.as_deref(), error.facts().registry.as_deref()), (Some("v1"), Some("r.example")));
    }

    #[test]
    fn an_error_survives_a_journey_through_io() {
        let io: std::io::Error = Error::mismatch("wrong bytes").context("blob").into();
        let back = Error::from(io);
        assert_eq!(back.kind(), Kind::Mismatch);
        assert_eq!(back.to_string(), "blob: wrong bytes");
    }
}
