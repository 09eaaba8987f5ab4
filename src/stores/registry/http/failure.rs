//! Why an attempt failed.

use std::time::Duration;

use crate::error::{Code, Error, Kind};

/// Why an attempt failed, and whether another one may do better.
pub(in crate::stores::registry) enum Failure {
    /// It would fail again.
    Final(Error),
    /// It may pass.
    Passing {
        /// What happened.
        error: Error,
        /// How long the registry asks to wait.
        asked: Option<Duration>,
        /// A kept connection turned out to be closed: nothing is wrong with the registry.
        stale: bool,
        /// Every attempt counts against a quota that is used up: there is one more, and none after that.
        quota: bool,
    },
}

impl Failure {
    /// A failure that may pass.
    pub(in crate::stores::registry) fn passing(error: Error) -> Self {
        Self::Passing { error, asked: None, stale: false, quota: false }
    }

    /// What happened.
    pub(super) fn error(&self) -> &Error {
        match self {
            Self::Final(error) | Self::Passing { error, .. } => error,
        }
    }

    /// The failure, where there is no other attempt.
    pub(in crate::stores::registry) fn into_error(self) -> Error {
        match self {
            Self::Final(error) | Self::Passing { error, .. } => error,
        }
    }

    /// Blames the proxy that the request went through, where the failure may be its.
    pub(super) fn through_proxy(mut self) -> Self {
        let (Self::Final(error) | Self::Passing { error, .. }) = &mut self;
        if error.kind() == Kind::Unreachable && error.code() != Some(Code::ProxyWantsLogin) {
            let own = std::mem::replace(error, Error::new(Kind::Internal, String::new()));
            *error = own.with_code(Code::ProxyFailed);
        }
        self
    }

    /// A failure to read a body: passing when the connection is to blame.
    pub(in crate::stores::registry) fn body(error: Error) -> Self {
        if error.kind() == Kind::Unavailable { Self::passing(error) } else { Self::Final(error) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}
