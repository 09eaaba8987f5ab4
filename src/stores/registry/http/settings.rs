//! Settings for requests.

use std::time::Duration;

use super::{rate_limit::Rate, retry::Backoff, sent_secrets::SentSecrets};
use crate::progress::Observer;

/// Settings for requests. See `Options` for the fields.
#[derive(Default)]
pub(in crate::stores::registry) struct HttpSettings {
    pub(in crate::stores::registry) user_agent: String,
    pub(in crate::stores::registry) header_timeout: Duration,
    pub(in crate::stores::registry) read_timeout: Duration,
    pub(in crate::stores::registry) retries: u32,
    pub(in crate::stores::registry) backoff: Backoff,
    pub(in crate::stores::registry) rate: Option<Rate>,
    pub(in crate::stores::registry) progress: Observer,
    pub(in crate::stores::registry) sent: SentSecrets,
}
