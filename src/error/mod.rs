//! The error of the whole library: what failed, where, and why.
//!
//! Advice ("pass `--plain-http`") is left to the command line: the library does not know its flags.

mod code;
mod facts;
mod kind;
mod server_code;

use std::{fmt, path::PathBuf};

pub use self::{code::Code, facts::Facts, kind::Kind, server_code::ServerCode};

/// The result of every fallible function of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What failed, where, and why.
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
    /// True if the message is the text of the source.
    transparent: bool,
}

impl Error {
    /// An error of this kind; `message` is lower case, one line, without a full stop. Names and other text from
    /// elsewhere are kept as they are: a caller that prints the message escapes control characters.
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

    /// An error of kind `Misuse`: the request makes no sense.
    pub fn misuse(message: impl Into<String>) -> Self {
        Self::new(Kind::Misuse, message)
    }

    /// An error of kind `Invalid`: malformed input.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// An error of kind `NotFound`.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    /// An error of kind `Limit`; the message gives the limit.
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(Kind::Limit, message)
    }

    /// An error of kind `Mismatch`: content does not match its description.
    pub fn mismatch(message: impl Into<String>) -> Self {
        Self::new(Kind::Mismatch, message)
    }

    /// An error of kind `Unsupported` by this store, type or format.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported, message)
    }

    /// An error with another error as its cause.
    pub fn caused(
        kind: Kind,
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let mut error = Self::new(kind, message);
        error.0.source = Some(source.into());
        error
    }

    /// Changes the kind to `Misuse`: the caller named something that does not exist.
    #[must_use]
    pub fn into_misuse(self) -> Self {
        self.into_kind(Kind::Misuse)
    }

    /// Marks the error as about a configuration file: a missing one is a mistake on the command line or in the context,
    /// and does not mean that an artifact is missing.
    #[must_use]
    pub fn of_configuration(self) -> Self {
        match self.kind() {
            Kind::NotFound => self.into_misuse().with_code(Code::NoSuchConfiguration),
            _ => self.into_misuse(),
        }
    }

    /// Marks the error as about content that a manifest names: nobody asked for it by name, and the manifest or its
    /// store is at fault.
    #[must_use]
    pub fn of_content(self) -> Self {
        if self.kind() == Kind::NotFound { self.into_kind(Kind::Invalid) } else { self }
    }

    /// Changes the kind: the meaning of a failure depends on the request.
    #[must_use]
    pub fn into_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Sets the code.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.0.code = Some(code);
        self
    }

    /// Adds facts. Facts already present stay: they were found closer to the failure.
    #[must_use]
    pub fn with_facts(mut self, facts: Facts) -> Self {
        self.0.facts = std::mem::take(&mut self.0.facts).or(facts);
        self
    }

    /// Adds the digest of the content in question.
    #[must_use]
    pub fn with_digest(self, digest: impl fmt::Display) -> Self {
        self.with_facts(Facts { digest: Some(digest.to_string()), ..Facts::default() })
    }

    /// Adds the file or directory in question.
    #[must_use]
    pub fn with_path(self, path: impl Into<PathBuf>) -> Self {
        self.with_facts(Facts { path: Some(path.into()), ..Facts::default() })
    }

    /// Adds the requested name.
    #[must_use]
    pub fn with_name(self, name: impl fmt::Display) -> Self {
        self.with_facts(Facts { name: Some(name.to_string()), ..Facts::default() })
    }

    /// Adds the error codes of a server's response.
    #[must_use]
    pub fn with_server_codes(mut self, codes: Vec<ServerCode>) -> Self {
        self.0.facts.server_codes = codes;
        self
    }

    /// Puts the failed operation, or its place, in front of the message.
    #[must_use]
    pub fn context(mut self, context: impl Into<String>) -> Self {
        self.0.context.push(context.into());
        self
    }

    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The cause that a user can act on, if known.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        self.0.code.or_else(|| self.0.kind.code())
    }

    /// What the error is about.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.0.facts
    }

    /// The failed operations, outermost first.
    pub fn contexts(&self) -> impl Iterator<Item = &str> {
        self.0.context.iter().rev().map(String::as_str)
    }

    /// What failed and why, without the contexts.
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

    /// The error codes of a server's response, in its order; empty if it sent none.
    #[must_use]
    pub fn server_codes(&self) -> &[ServerCode] {
        &self.0.facts.server_codes
    }

    /// What failed, without contexts and cause.
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
    /// The cause. Its text is already part of `Display`.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

/// `File not found`, `disk full` and `read-only` are told apart from other file system failures.
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
    /// Recovers an [`Error`] wrapped in an `io::Error`, else derives the kind from the `io::ErrorKind`.
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

/// Puts the failed operation, or its place, in front of an error.
pub trait Context<T> {
    /// Puts `what()` in front of the error; evaluated only on failure.
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
