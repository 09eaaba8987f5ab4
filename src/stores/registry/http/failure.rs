//! Failures of an attempt.

use std::time::Duration;

use crate::error::{Code, Error, Kind};

/// The failure of an attempt, and whether a retry may succeed.
pub(in crate::stores::registry) enum Failure {
    /// A retry would fail again.
    Final(Error),
    /// A retry may succeed.
    Passing {
        /// The error.
        error: Error,
        /// The delay that the registry asks for.
        asked: Option<Duration>,
        /// A kept connection turned out to be closed: the registry is not at fault.
        stale: bool,
        /// The quota is exhausted and every attempt counts against it: only one retry is made.
        quota: bool,
    },
}

impl Failure {
    /// A failure that may pass.
    pub(in crate::stores::registry) fn passing(error: Error) -> Self {
        Self::Passing { error, asked: None, stale: false, quota: false }
    }

    /// The error.
    pub(super) fn error(&self) -> &Error {
        match self {
            Self::Final(error) | Self::Passing { error, .. } => error,
        }
    }

    /// True if the registry asks to wait, or the client may send only so many requests.
    pub(in crate::stores::registry) fn asks_to_wait(&self) -> bool {
        matches!(self, Self::Passing { asked: Some(_), .. } | Self::Passing { quota: true, .. })
    }

    /// The error, if there is no retry.
    pub(in crate::stores::registry) fn into_error(self) -> Error {
        match self {
            Self::Final(error) | Self::Passing { error, .. } => error,
        }
    }

    /// Blames the proxy of the request, if it may have caused the failure.
    pub(super) fn through_proxy(mut self) -> Self {
        let (Self::Final(error) | Self::Passing { error, .. }) = &mut self;
        if error.kind() == Kind::Unreachable && error.code() != Some(Code::ProxyWantsLogin) {
            let own = std::mem::replace(error, Error::new(Kind::Internal, String::new()));
            *error = own.with_code(Code::ProxyFailed);
        }
        self
    }

    /// A failure to read a body: it may pass if the connection is to blame.
    pub(in crate::stores::registry) fn body(error: Error) -> Self {
        if error.kind() == Kind::Unavailable { Self::passing(error) } else { Self::Final(error) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}
