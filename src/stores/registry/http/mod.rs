//! One request and its answer: what is sent and how fast, what comes back and how long that may take, what a refusal means,
//! and when it is worth another attempt.
//!
//! It knows no repository and no rule about who may see which secret: a token service or an object store is asked by it as
//! well. An authorization header is attached to requests to the origin that it names.

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
pub(super) mod settings;
mod stall;
