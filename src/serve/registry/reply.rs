//! Replies, and refusals in the specification's JSON format.

use futures_util::{StreamExt as _, stream};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde_json::json;

use crate::{
    blob::{self, ByteStream},
    error::{Error, Kind, Result, ServerCode},
    serve::app::{Body, Cause},
};

/// A header of the distribution specification.
pub(super) const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// How long a client waits before it comes again, in seconds.
const RETRY_AFTER: u32 = 10;

/// An answer, before conversion to HTTP.
pub(super) struct Reply {
    status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    body: ByteStream,
    /// The length of the body; `None` if it is not known yet.
    len: Option<u64>,
    /// The cause of a failure, for the log but not for the client.
    cause: Option<String>,
}

impl Reply {
    /// A reply without content.
    pub(super) fn new(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: stream::empty().boxed(), len: Some(0), cause: None }
    }

    /// Adds a header.
    pub(super) fn header(mut self, name: HeaderName, value: impl std::fmt::Display) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// Adds content.
    pub(super) fn body(mut self, media_type: &str, len: u64, body: ByteStream) -> Self {
        self.len = Some(len);
        self.body = body;
        self.header(header::CONTENT_TYPE, media_type)
    }

    /// Adds content of unknown length.
    pub(super) fn stream(self, media_type: &str, body: ByteStream) -> Self {
        Self { len: None, body, ..self }.header(header::CONTENT_TYPE, media_type)
    }

    /// Adds a JSON document as content.
    pub(super) fn json(self, media_type: &str, value: &impl Serialize) -> Result<Self, Refusal> {
        let failed = |e| Error::caused(Kind::Internal, "cannot encode JSON", e);
        let bytes = serde_json::to_vec(value).map_err(failed)?;
        Ok(self.body(media_type, bytes.len() as u64, blob::once(bytes.into())))
    }
}

impl From<Reply> for Response<Body> {
    fn from(reply: Reply) -> Self {
        let length = reply.len.filter(|len| *len == 0);
        let mut response = Self::new(Body { content: reply.body, length });
        *response.status_mut() = reply.status;
        let headers = response.headers_mut();
        for (name, value) in reply.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.append(name, value);
            }
        }
        if let Some(len) = reply.len.filter(|_| reply.status != StatusCode::NO_CONTENT) {
            headers.insert(header::CONTENT_LENGTH, len.into());
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(
            HeaderName::from_static("docker-distribution-api-version"),
            HeaderValue::from_static("registry/2.0"),
        );
        if let Some(cause) = reply.cause {
            response.extensions_mut().insert(Cause(cause));
        }
        response
    }
}

/// The status of a response with this code, unless it is set otherwise.
fn status_of(code: ServerCode) -> StatusCode {
    use crate::error::ServerCode as C;
    match code {
        C::BlobUnknown | C::BlobUploadUnknown | C::ManifestUnknown | C::NameUnknown => StatusCode::NOT_FOUND,
        C::BlobUploadInvalid
        | C::DigestInvalid
        | C::ManifestBlobUnknown
        | C::ManifestInvalid
        | C::NameInvalid
        | C::SizeInvalid => StatusCode::BAD_REQUEST,
        C::Unauthorized => StatusCode::UNAUTHORIZED,
        C::Denied | C::QuotaExceeded => StatusCode::FORBIDDEN,
        C::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
        C::TagImmutable => StatusCode::CONFLICT,
        C::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        C::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A refused request, with the reason.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    /// The error code.
    pub(super) code: ServerCode,
    message: String,
    headers: Vec<(HeaderName, String)>,
    cause: Option<String>,
}

impl Refusal {
    /// A refusal with the code's own status.
    pub(super) fn new(code: ServerCode, message: impl Into<String>) -> Self {
        Self { status: status_of(code), code, message: message.into(), headers: Vec::new(), cause: None }
    }

    /// Changes the status.
    pub(super) fn status(mut self, status: u16) -> Self {
        self.status = StatusCode::from_u16(status).unwrap_or(self.status);
        self
    }

    /// Adds a header.
    pub(super) fn header(mut self, name: HeaderName, value: impl std::fmt::Display) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// The refusal of a method that this path, or a read-only server, does not support.
    pub(super) fn method(allowed: &str) -> Self {
        Self::new(ServerCode::Unsupported, format!("this path supports only {allowed}")).header(header::ALLOW, allowed)
    }

    /// The refusal of a request for which there is no memory now.
    pub(super) fn busy() -> Self {
        let refusal = Self::new(ServerCode::TooManyRequests, "the registry is busy with other requests");
        refusal.status(503).header(header::RETRY_AFTER, RETRY_AFTER)
    }

    /// True if another request was in the way, so that the same may work again.
    pub(super) fn is_conflict(&self) -> bool {
        self.status == StatusCode::CONFLICT
    }

    /// Converts errors of deletions: missing content gets this code.
    pub(super) fn deleting(code: ServerCode) -> impl FnOnce(Error) -> Self {
        move |error| match error.kind() {
            Kind::NotFound => Self::new(code, "not found in the repository"),
            _ => error.into(),
        }
    }

    /// Converts errors of reads: missing content gets this code, other failures are internal, or pass.
    pub(super) fn reading(code: ServerCode) -> impl FnOnce(Error) -> Self {
        move |error| match error.kind() {
            Kind::NotFound => Self::new(code, "not found in the repository"),
            _ => Self::failure(&error),
        }
    }

    /// A failure of the registry; one that may pass asks the client to come again.
    fn failure(error: &Error) -> Self {
        match error.kind() {
            Kind::Busy => Self { cause: Some(error.to_string()), ..Self::busy() },
            Kind::Unavailable | Kind::Unreachable => {
                Self::internal(error).status(503).header(header::RETRY_AFTER, RETRY_AFTER)
            }
            _ => Self::internal(error),
        }
    }

    /// An internal failure. Its message may contain file names, so only the log gets it.
    fn internal(error: &Error) -> Self {
        let refusal = Self::new(ServerCode::Unknown, "internal failure of the registry");
        Self { cause: Some(error.to_string()), ..refusal }
    }
}

impl From<Error> for Refusal {
    /// Converts errors of writes.
    fn from(error: Error) -> Self {
        match error.kind() {
            Kind::Mismatch => Self::new(ServerCode::DigestInvalid, "the digest of the content does not match"),
            Kind::Limit => Self::new(ServerCode::SizeInvalid, error.message()).status(413),
            Kind::ReadOnly | Kind::Unsupported => Self::new(ServerCode::Unsupported, error.message()),
            Kind::NoSpace => {
                Self { cause: Some(error.to_string()), ..Self::new(ServerCode::Unknown, "the disk is full") }
                    .status(507)
            }
            // What the write builds on was there when the request began.
            Kind::NotFound => {
                let refusal = Self::new(ServerCode::Unknown, "another request has removed content that this one needs");
                Self { cause: Some(error.to_string()), ..refusal }.status(409)
            }
            _ => Self::failure(&error),
        }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let body = json!({"errors": [{"code": refusal.code, "message": refusal.message}]}).to_string();
        let reply = Self::new(refusal.status).body("application/json", body.len() as u64, blob::once(body.into()));
        let headers = reply.headers.into_iter().chain(refusal.headers).collect();
        Self { headers, cause: refusal.cause, ..reply }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_fails_like_a_write_except_where_nothing_is() {
        let status = |kind| Refusal::deleting(ServerCode::BlobUnknown)(Error::new(kind, "why")).status.as_u16();
        assert_eq!(status(Kind::NotFound), 404);
        for kind in [Kind::ReadOnly, Kind::Unsupported, Kind::NoSpace, Kind::Busy, Kind::Io] {
            assert_eq!(status(kind), Refusal::from(Error::new(kind, "why")).status.as_u16(), "{kind:?}");
        }
        assert_eq!(status(Kind::ReadOnly), 405);
    }

    #[test]
    fn what_may_pass_is_asked_for_again_by_readers_and_writers() {
        for kind in [Kind::Busy, Kind::Unavailable, Kind::Unreachable] {
            let error = || Error::new(kind, "why");
            for refusal in [Refusal::reading(ServerCode::BlobUnknown)(error()), Refusal::from(error())] {
                assert_eq!(refusal.status.as_u16(), 503, "{kind:?}");
                assert!(refusal.headers.iter().any(|(name, _)| *name == header::RETRY_AFTER), "{kind:?}");
                assert!(refusal.cause.is_some(), "{kind:?}");
            }
        }
        let damaged = Error::new(Kind::Mismatch, "why");
        assert_eq!(Refusal::reading(ServerCode::BlobUnknown)(damaged).status.as_u16(), 500);
        assert_eq!(Refusal::from(Error::not_found("why")).status.as_u16(), 409);
    }
}
