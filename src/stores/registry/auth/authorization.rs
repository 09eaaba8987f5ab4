//! The authorization of a request.

use std::time::{Duration, Instant};

use super::credentials::Credential;

/// A token that expires sooner is not used for another request.
const MARGIN: Duration = Duration::from_secs(5);

/// An authorization, and when it expires.
pub(super) struct Authorization {
    pub(super) credential: Credential,
    pub(super) until: Option<Instant>,
}

impl Authorization {
    pub(super) fn is_good(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() + MARGIN < until)
    }
}
