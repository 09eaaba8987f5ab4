//! One error for the whole library: what failed, where, and because of what.
//!
//! Advice ("pass `--plain-http`") is not here: the library states facts, the command line knows its flags.

use std::fmt;

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

/// What a user can act on, beyond the [`Kind`]. Set where our own code finds it out; no text of a server or a file chooses
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
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
}

/// What failed, where, and because of what.
///
/// `Display` gives the whole chain, outermost first: `pull oci:out:v1: read blob sha256:…: No space left on device`.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    code: Option<Code>,
    digest: Option<String>,
    message: String,
    context: Vec<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of this kind; `message` is lower case, one line, without a full stop. Names and other text from elsewhere
    /// stand in it as they are: whoever shows it escapes what terminals act on.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            code: None,
            digest: None,
            message: message.into(),
            context: Vec::new(),
            source: None,
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
    pub fn into_misuse(mut self) -> Self {
        self.0.kind = Kind::Misuse;
        self
    }

    /// The same error, as one that a user can act on in this way.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.0.code = Some(code);
        self
    }

    /// The same error, about the content of this digest.
    #[must_use]
    pub fn with_digest(mut self, digest: impl fmt::Display) -> Self {
        self.0.digest = Some(digest.to_string());
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
        self.0.code
    }

    /// The digest of the content that it is about, where that is known.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.0.digest.as_deref()
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
        f.write_str(&self.0.message)?;
        let mut source = self.0.source.as_deref().map(|e| e as &dyn std::error::Error);
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind())
    }
}

impl std::error::Error for Error {}

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
            Err(error) => Self::new(kind, error.to_string()),
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
    fn an_error_survives_a_journey_through_io() {
        let io: std::io::Error = Error::mismatch("wrong bytes").context("blob").into();
        let back = Error::from(io);
        assert_eq!(back.kind(), Kind::Mismatch);
        assert_eq!(back.to_string(), "blob: wrong bytes");
    }
}
