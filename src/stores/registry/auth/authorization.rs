//! What a request is proved with.

use std::time::{Duration, Instant};

use super::credentials::Credential;

/// A token that ends sooner is not used for another request.
const MARGIN: Duration = Duration::from_secs(5);

/// A credential for requests, and until when it may be used.
pub(super) struct Authorization {
    pub(super) credential: Credential,
    pub(super) until: Option<Instant>,
}

impl Authorization {
    pub(super) fn is_good(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() + MARGIN < until)
    }
}
