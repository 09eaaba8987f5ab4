//! A request: what is asked, and how much may come back.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, header};
use url::Url;

use super::payload::Payload;
use crate::stores::registry::{log::CredentialUse, net::pool::STREAM_WINDOW, origins::origin::Origin};

/// Up to so many bytes of an answer are not large: the window of one request over HTTP/2.
const LARGE_ANSWER: u64 = STREAM_WINDOW as u64;

/// Up to so many bytes of a request are not large: what every server takes before it widens the window (RFC 9113 section
/// 6.9.2).
const LARGE_REQUEST: u64 = 64 << 10;

/// The header that proves who asks.
pub(in crate::stores::registry) struct AuthorizationHeader {
    /// Whom it is for: no other origin gets it.
    pub(in crate::stores::registry) origin: Origin,
    /// Its value.
    pub(in crate::stores::registry) value: HeaderValue,
    /// The secrets in it, in all forms in which they travel: no message repeats them.
    pub(in crate::stores::registry) secrets: Vec<String>,
    /// What kind of proof it is.
    pub(in crate::stores::registry) kind: &'static str,
    /// Where it comes from; nothing where everybody gets it.
    pub(in crate::stores::registry) from: Option<Arc<str>>,
}

impl AuthorizationHeader {
    /// What may be told of it.
    pub(super) fn proof(&self) -> CredentialUse<'_> {
        CredentialUse { kind: self.kind, from: self.from.as_deref() }
    }
}

/// A request.
#[derive(Clone)]
pub(in crate::stores::registry) struct Request<'a> {
    /// How.
    pub(in crate::stores::registry) method: Method,
    /// What.
    pub(in crate::stores::registry) url: Url,
    /// Everything but what this module adds.
    pub(in crate::stores::registry) headers: HeaderMap,
    /// The body.
    pub(in crate::stores::registry) payload: Payload<'a>,
    /// Whether the body of a success is read at once, and how long it may be, in bytes: an answer that breaks off is
    /// then asked for again.
    pub(in crate::stores::registry) whole: Option<u64>,
    /// How long the answer is likely to be, in bytes.
    pub(super) expected: u64,
}

impl Request<'_> {
    /// A request without headers and body.
    pub(in crate::stores::registry) fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), payload: Payload::Empty, whole: None, expected: 0 }
    }

    /// With this header.
    pub(in crate::stores::registry) fn with(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// With an answer of this length.
    pub(in crate::stores::registry) fn expecting(mut self, bytes: u64) -> Self {
        self.expected = bytes;
        self
    }

    pub(super) fn is_large(&self) -> bool {
        self.payload.len() > LARGE_REQUEST || self.expected > LARGE_ANSWER
    }

    /// With an answer that is read at once, up to so many bytes.
    pub(in crate::stores::registry) fn whole(mut self, limit: u64) -> Self {
        self.whole = Some(limit);
        self
    }
}
