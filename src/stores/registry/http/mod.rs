//! One request and its answer: what is sent and how fast, what comes back and how long that may take, what a refusal means,
//! and when it is worth another attempt.
//!
//! It knows no repository, and no rule about who may see which secret: a credential is something that is attached.

pub(super) mod exchange;
pub(super) mod payload;
pub(super) mod rate_limit;
mod refusal;
pub(super) mod request;
pub(super) mod response;
pub(super) mod retry;
mod retry_after;
mod stall;
