//! What is answered: a reply with its body, or a refusal in the specification's JSON shape.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use serde::Serialize;
use serde_json::json;

use crate::{
    blob::{self, ByteStream},
    error::{Error, Kind, Result},
    serve::net::watch::Entry,
};

/// A header that the distribution specification defines.
pub(super) const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// An answer, before it is HTTP.
pub(super) struct Reply {
    status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    body: ByteStream,
    len: u64,
    /// Why it failed, for the log; not for the client.
    pub(super) cause: Option<String>,
}

impl Reply {
    /// An answer without content.
    pub(super) fn new(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: stream::empty().boxed(), len: 0, cause: None }
    }

    /// The same with one header more.
    pub(super) fn header(mut self, name: HeaderName, value: impl std::fmt::Display) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// The same with content.
    pub(super) fn body(mut self, media_type: &str, len: u64, body: ByteStream) -> Self {
        self.len = len;
        self.body = body;
        self.header(header::CONTENT_TYPE, media_type)
    }

    /// The same with a JSON document as content.
    pub(super) fn json(self, media_type: &str, value: &impl Serialize) -> Result<Self, Refusal> {
        let failed = |e| Error::caused(Kind::Internal, "cannot encode JSON", e);
        let bytes = serde_json::to_vec(value).map_err(failed)?;
        Ok(self.body(media_type, bytes.len() as u64, blob::once(bytes.into())))
    }

    /// The HTTP response; its entry is written to the log when the last byte has gone, or nobody waits for it.
    pub(super) fn respond(self, mut entry: Entry) -> Response<Body> {
        let mut response = Response::new(Body { stream: self.body, empty: self.len == 0, entry: None });
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.append(name, value);
            }
        }
        if self.status != StatusCode::NO_CONTENT {
            headers.insert(header::CONTENT_LENGTH, self.len.into());
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(
            HeaderName::from_static("docker-distribution-api-version"),
            HeaderValue::from_static("registry/2.0"),
        );
        entry.answered(self.status.as_u16(), self.cause);
        response.body_mut().entry = Some(entry);
        response
    }
}

/// The body of a response: a stream that tells the log how far it came.
pub(crate) struct Body {
    stream: ByteStream,
    empty: bool,
    entry: Option<Entry>,
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let item = std::task::ready!(self.stream.poll_next_unpin(cx));
        if let Some(entry) = &mut self.entry {
            match &item {
                Some(Ok(chunk)) => entry.sent(chunk.len()),
                Some(Err(error)) => entry.failed(error),
                None => {}
            }
        }
        Poll::Ready(item.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.empty
    }

    fn size_hint(&self) -> SizeHint {
        if self.empty { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}

/// The error codes of the distribution specification, and one for what is our own fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    Unauthorized,
    Denied,
    Unsupported,
    TooManyRequests,
    /// Not the specification's: only with a 5xx status.
    Unknown,
}

impl Code {
    /// Its name on the wire, and the status that it comes with unless another is set.
    fn meaning(self) -> (&'static str, u16) {
        match self {
            Self::BlobUnknown => ("BLOB_UNKNOWN", 404),
            Self::BlobUploadInvalid => ("BLOB_UPLOAD_INVALID", 400),
            Self::BlobUploadUnknown => ("BLOB_UPLOAD_UNKNOWN", 404),
            Self::DigestInvalid => ("DIGEST_INVALID", 400),
            Self::ManifestBlobUnknown => ("MANIFEST_BLOB_UNKNOWN", 400),
            Self::ManifestInvalid => ("MANIFEST_INVALID", 400),
            Self::ManifestUnknown => ("MANIFEST_UNKNOWN", 404),
            Self::NameInvalid => ("NAME_INVALID", 400),
            Self::NameUnknown => ("NAME_UNKNOWN", 404),
            Self::SizeInvalid => ("SIZE_INVALID", 400),
            Self::Unauthorized => ("UNAUTHORIZED", 401),
            Self::Denied => ("DENIED", 403),
            Self::Unsupported => ("UNSUPPORTED", 405),
            Self::TooManyRequests => ("TOOMANYREQUESTS", 429),
            Self::Unknown => ("UNKNOWN", 500),
        }
    }
}

/// A request that is not done, and why.
#[derive(Debug)]
pub(in crate::serve) struct Refusal {
    status: StatusCode,
    /// What it is about.
    pub(super) code: Code,
    message: String,
    headers: Vec<(HeaderName, String)>,
    cause: Option<String>,
}

impl Refusal {
    /// A refusal with the code's own status.
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(code.meaning().1).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, code, message: message.into(), headers: Vec::new(), cause: None }
    }

    /// The same with another status.
    pub(in crate::serve) fn status(mut self, status: u16) -> Self {
        self.status = StatusCode::from_u16(status).unwrap_or(self.status);
        self
    }

    /// The same with one header more.
    pub(super) fn header(mut self, name: HeaderName, value: impl std::fmt::Display) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// The refusal of a method that this path, or a read-only server, does not do.
    pub(in crate::serve) fn method(allowed: &str) -> Self {
        Self::new(Code::Unsupported, format!("only {allowed} can be done here")).header(header::ALLOW, allowed)
    }

    /// For reading what is here: what is not there has this code, every other failure is ours.
    pub(super) fn reading(code: Code) -> impl FnOnce(Error) -> Self {
        move |error| match error.kind() {
            Kind::NotFound => Self::new(code, "this is not in the repository"),
            _ => Self::internal(&error),
        }
    }

    /// A failure of ours. Its text may name files of this machine, so only the log gets it.
    fn internal(error: &Error) -> Self {
        let refusal = Self::new(Code::Unknown, "the registry failed");
        Self { cause: Some(error.to_string()), ..refusal }
    }
}

impl From<Error> for Refusal {
    /// For taking what a client sends.
    fn from(error: Error) -> Self {
        match error.kind() {
            Kind::Mismatch => Self::new(Code::DigestInvalid, "the content has another digest"),
            Kind::Limit => Self::new(Code::SizeInvalid, error.message()).status(413),
            Kind::ReadOnly | Kind::Unsupported => Self::new(Code::Unsupported, error.message()),
            Kind::NoSpace => {
                Self { cause: Some(error.to_string()), ..Self::new(Code::Unknown, "the disk is full") }.status(507)
            }
            Kind::Unavailable | Kind::Busy | Kind::Unreachable => Self::internal(&error).status(503),
            _ => Self::internal(&error),
        }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let (code, _) = refusal.code.meaning();
        let body = json!({"errors": [{"code": code, "message": refusal.message}]}).to_string();
        let reply = Self::new(refusal.status).body("application/json", body.len() as u64, blob::once(body.into()));
        let headers = reply.headers.into_iter().chain(refusal.headers).collect();
        Self { headers, cause: refusal.cause, ..reply }
    }
}
