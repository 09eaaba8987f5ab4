//! What sort of failure an error is: it decides the exit code of a program.

use super::Code;

/// The kind of a failure: enough for a caller to act on without reading the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The request makes no sense: a malformed reference, options that contradict each other.
    Misuse,
    /// The input is malformed: a definition, a manifest, a file.
    Invalid,
    /// No artifact type fits the source, or none has the given name.
    UnknownType,
    /// Several artifact types fit the source equally well.
    Ambiguous,
    /// The file, tag, manifest, blob or repository does not exist.
    NotFound,
    /// A name is taken: two files with one title, a destination that exists.
    Exists,
    /// Content does not match its digest, size or media type.
    Mismatch,
    /// The artifact has nothing of the kind that was asked for: no signature, or no attestation of this type.
    Unsigned,
    /// A source file changed while being read.
    Changed,
    /// A path leads outside the directory that it is confined to.
    Escape,
    /// The input exceeds a limit.
    Limit,
    /// The operation is not supported by this store, type or format.
    Unsupported,
    /// The store is read-only.
    ReadOnly,
    /// The registry requires credentials, or other credentials.
    Unauthorized,
    /// The registry knows the user and refuses: missing permission, an immutable tag, an exhausted quota.
    Denied,
    /// The registry asks to retry later, or failed internally: the same request may succeed later.
    Unavailable,
    /// Another writer has locked the store, which takes one at a time.
    Busy,
    /// The registry cannot be reached.
    Unreachable,
    /// The server does not speak the distribution API.
    NotARegistry,
    /// The disk is full or a quota is exhausted.
    NoSpace,
    /// Any other failure of the file system or the operating system.
    Io,
    /// A bug in this library.
    Internal,
}

impl Kind {
    /// The code implied by a kind alone.
    pub(super) fn code(self) -> Option<Code> {
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
