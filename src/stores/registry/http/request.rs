//! Requests, and the expected size of their responses.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, header};

use super::payload::Payload;
use crate::stores::registry::{
    log::CredentialUse,
    net::pool::STREAM_WINDOW,
    origins::{address::Address, origin::Origin},
};

/// Largest response, in bytes, that counts as small: the window of one request over HTTP/2.
const LARGE_ANSWER: u64 = STREAM_WINDOW as u64;

/// Largest request body, in bytes, that counts as small: every server accepts it before it widens the window (RFC 9113
/// section 6.9.2).
const LARGE_REQUEST: u64 = 64 << 10;

/// An authorization header.
pub(in crate::stores::registry) struct AuthorizationHeader {
    /// Its origin: no other one gets it.
    pub(in crate::stores::registry) origin: Origin,
    /// Its value.
    pub(in crate::stores::registry) value: HeaderValue,
    /// The secrets in it, in all encodings in which they are sent, to keep them out of messages.
    pub(in crate::stores::registry) secrets: Vec<String>,
    /// What kind of proof it is.
    pub(in crate::stores::registry) kind: &'static str,
    /// Where it comes from; nothing where everybody gets it.
    pub(in crate::stores::registry) from: Option<Arc<str>>,
}

impl AuthorizationHeader {
    /// What may be told of it.
    pub(super) fn credential_use(&self) -> CredentialUse<'_> {
        CredentialUse { kind: self.kind, from: self.from.as_deref() }
    }
}

/// A request.
#[derive(Clone)]
pub(in crate::stores::registry) struct Request<'a> {
    pub(in crate::stores::registry) method: Method,
    pub(in crate::stores::registry) address: Address,
    /// Headers, except for those added by this module.
    pub(in crate::stores::registry) headers: HeaderMap,
    pub(in crate::stores::registry) payload: Payload<'a>,
    /// If set, the body of a success is read at once, up to this many bytes, so that a broken transfer can be retried.
    pub(in crate::stores::registry) whole: Option<u64>,
    /// The likely length of the response, in bytes.
    pub(super) expected: u64,
}

impl Request<'_> {
    /// A request without headers and body.
    pub(in crate::stores::registry) fn new(method: Method, address: Address) -> Self {
        Self { method, address, headers: HeaderMap::new(), payload: Payload::Empty, whole: None, expected: 0 }
    }

    /// Adds a header.
    pub(in crate::stores::registry) fn with(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets the expected length of the response.
    pub(in crate::stores::registry) fn expecting(mut self, bytes: u64) -> Self {
        self.expected = bytes;
        self
    }

    pub(super) fn is_large(&self) -> bool {
        self.payload.len() > LARGE_REQUEST || self.expected > LARGE_ANSWER
    }

    /// Reads the response at once, up to this many bytes.
    pub(in crate::stores::registry) fn whole(mut self, limit: u64) -> Self {
        self.whole = Some(limit);
        self
    }
}
