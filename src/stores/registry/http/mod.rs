//! HTTP requests and responses: bodies and their rate, timeouts, the meaning of refusals, and retries.
//!
//! This module knows no repositories and no rules about secrets: it also serves requests to token services and object
//! stores. An authorization header is attached only to requests to its origin.

pub(super) mod document;
pub(super) mod exchange;
pub(super) mod failure;
mod no_answer;
pub(super) mod payload;
pub(super) mod rate_limit;
mod refusal;
pub(super) mod request;
pub(super) mod response;
pub(super) mod retry;
mod retry_after;
pub(super) mod sent_secrets;
pub(super) mod settings;
mod stall;
