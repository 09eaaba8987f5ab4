//! Responses: the only place where a body is read, and where a refusal becomes an error.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use tokio::time::Instant;

use super::{
    document::Document,
    failure::Failure,
    rate_limit::Rate,
    refusal::{self, is_final, kind_of},
    retry_after::{asked, passes, quota},
    stall::{MIN_SPEED, StallDetector},
};
use crate::{
    blob::ByteStream,
    error::{Code, Error, Facts, Kind, Result},
    stores::registry::origins::{
        address::Address,
        redact::{self, excerpt, without_secrets},
    },
};

/// Largest body of an error that is read, in bytes.
const MAX_ERROR: u64 = 64 << 10;
/// Largest body that is read only to reuse its connection, in bytes.
const MAX_DRAIN: u64 = 16 << 10;

/// A response whose body has not been read.
pub(in crate::stores::registry) struct Response {
    pub(in crate::stores::registry) status: StatusCode,
    pub(in crate::stores::registry) headers: HeaderMap,
    /// The address of the request, after all redirects.
    pub(in crate::stores::registry) address: Address,
    /// The method of the request.
    pub(in crate::stores::registry) method: Method,
    /// The secrets that were sent, to keep them out of messages.
    pub(in crate::stores::registry) sent: Vec<String>,
    /// The source of the credentials in the request, or of those that its token was fetched with.
    pub(in crate::stores::registry) credentials: Option<Arc<str>>,
    /// Timeout of a single read.
    pub(super) patience: Duration,
    /// Rate limit for the body.
    pub(super) rate: Option<Rate>,
    pub(super) body: BoxBody<Bytes, hyper::Error>,
}

impl Response {
    /// `GET https://host/v2/…`, for messages.
    pub(in crate::stores::registry) fn what(&self) -> String {
        format!("{} {}", self.method, self.address)
    }

    /// Secrets to keep out of messages: those sent, and those in the URL.
    fn secrets(&self) -> Vec<String> {
        self.sent.iter().cloned().chain(redact::in_query(self.address.url())).collect()
    }

    /// Text of the server, made safe for a message.
    pub(in crate::stores::registry) fn excerpt(&self, text: &str) -> String {
        excerpt(&without_secrets(text, &self.secrets()))
    }

    /// The header as text, if present.
    pub(in crate::stores::registry) fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The media type of the body, without its parameters, in lower case.
    pub(in crate::stores::registry) fn media_type(&self) -> String {
        let given = self.header(header::CONTENT_TYPE).unwrap_or_default();
        given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The header as a decimal number.
    pub(in crate::stores::registry) fn number(&self, name: HeaderName) -> Option<u64> {
        self.header(name)?.trim().parse().ok()
    }

    /// The size of the content that this response is about, also one to a HEAD request, if it tells. Some servers write 0, the
    /// size of the body that HEAD has, and some the size in a compressed form.
    pub(in crate::stores::registry) fn size_of_content(&self) -> Option<u64> {
        self.number(header::CONTENT_LENGTH).filter(|size| *size > 0 && self.encoding().is_none())
    }

    /// The compression of the body, if any.
    fn encoding(&self) -> Option<&str> {
        self.header(header::CONTENT_ENCODING).filter(|encoding| !encoding.eq_ignore_ascii_case("identity"))
    }

    /// The body. Errors: it breaks off, stalls, or is compressed although that was not requested.
    pub(in crate::stores::registry) fn stream(self) -> Result<ByteStream> {
        let what = self.what();
        if let Some(encoding) = self.encoding() {
            let encoding = self.excerpt(encoding);
            return Err(Error::new(Kind::NotARegistry, format!("{what}: answered with content encoding `{encoding}`")));
        }
        let (body, patience, rate) = (self.body, self.patience, self.rate);
        let stall = StallDetector::new(patience);
        let stream = stream::try_unfold((body, what, stall), move |(mut body, what, mut stall)| async move {
            loop {
                let asked = Instant::now();
                let frame = match tokio::time::timeout(patience, body.frame()).await {
                    Err(_) => {
                        return Err(unavailable(&what, &format!("received nothing for {} s", patience.as_secs())));
                    }
                    Ok(None) => return Ok(None),
                    Ok(Some(Err(error))) => {
                        return Err(unavailable(&what, &format!("broke off: {}", innermost(&error))));
                    }
                    Ok(Some(Ok(frame))) => frame,
                };
                if let Ok(data) = frame.into_data() {
                    if !stall.keeps_up(asked.elapsed(), data.len()) {
                        return Err(unavailable(&what, &format!("slower than {MIN_SPEED} bytes a second")));
                    }
                    return Ok(Some((data, (body, what, stall))));
                }
            }
        })
        .boxed();
        Ok(match rate {
            // While a rate limit delays the reader, the timeout above does not run: it is for the registry alone.
            Some(rate) => rate.limit(stream, |_| {}),
            None => stream,
        })
    }

    /// The body, of this length if it is content as it is stored: some web servers call every file that looks like gzip
    /// encoded, and send it unchanged. Whoever reads it checks the digest.
    ///
    /// Errors: those of [`Response::stream`].
    pub(in crate::stores::registry) fn stored(mut self, length: u64) -> Result<ByteStream> {
        if self.number(header::CONTENT_LENGTH) == Some(length) {
            self.headers.remove(header::CONTENT_ENCODING);
        }
        self.stream()
    }

    /// The whole body. Errors: more than `limit` bytes, and those of [`Response::stream`].
    pub(in crate::stores::registry) async fn bytes(self, limit: u64) -> Result<Bytes> {
        let what = self.what();
        if let Some(length) = self.number(header::CONTENT_LENGTH).filter(|length| *length > limit) {
            return Err(Error::limit(format!("{what}: answered with {length} bytes; the limit is {limit}")));
        }
        let (all, whole) = gather_bytes(self.stream()?, limit).await?;
        if whole { Ok(all) } else { Err(Error::limit(format!("{what}: answered with more than {limit} bytes"))) }
    }

    /// The whole body, to be parsed. Errors: those of [`Response::bytes`].
    pub(in crate::stores::registry) async fn document(self, limit: u64) -> Result<Document> {
        let (what, media_type, secrets) = (self.what(), self.media_type(), self.secrets());
        Ok(Document { what, media_type, secrets, bytes: self.bytes(limit).await? })
    }

    /// Reads the body into memory, so that reading it again cannot fail.
    pub(in crate::stores::registry) async fn read_whole(mut self, limit: u64) -> Result<Self, Failure> {
        let nothing = full(Bytes::new());
        let unread = Self {
            status: self.status,
            headers: self.headers.clone(),
            address: self.address.clone(),
            method: self.method.clone(),
            sent: self.sent.clone(),
            credentials: self.credentials.clone(),
            patience: self.patience,
            rate: self.rate.take(),
            body: std::mem::replace(&mut self.body, nothing),
        };
        self.body = full(unread.bytes(limit).await.map_err(Failure::body)?);
        Ok(self)
    }

    /// The response, unless its status suggests that a retry may get another one.
    pub(in crate::stores::registry) async fn judged(self) -> Result<Self, Failure> {
        if !passes(self.status) {
            return Ok(self);
        }
        let asked = asked(self.status, &self.headers);
        let quota = quota(self.status, &self.headers).map(|text| self.excerpt(&text));
        let error = self.into_error().await;
        let (quota, error) = match quota {
            Some(text) => {
                let error = error.with_code(Code::RequestsUsedUp);
                (true, error.context(format!("the quota is exhausted ({text})")))
            }
            None => (false, error),
        };
        Err(Failure::Passing { error, asked, stale: false, quota })
    }

    /// Reads the rest of the body, so that the connection can be reused.
    pub(in crate::stores::registry) async fn finish(self) {
        if let Ok(stream) = self.stream() {
            // A body that fails or is too long costs only the connection.
            let _ = gather_bytes(stream, MAX_DRAIN).await;
        }
    }

    /// The response if its status is one of these, else its error.
    pub(in crate::stores::registry) async fn expect(self, statuses: &[u16]) -> Result<Self> {
        if statuses.contains(&self.status.as_u16()) {
            return Ok(self);
        }
        Err(self.into_error().await)
    }

    /// The error for this response, with the server's message, read up to 64 KiB; an ellipsis marks omitted text.
    pub(in crate::stores::registry) async fn into_error(self) -> Error {
        let (what, method, status, media_type) = (self.what(), self.method.clone(), self.status, self.media_type());
        let wait = self.header(header::RETRY_AFTER).map(|wait| self.excerpt(wait));
        let (secrets, secure) = (self.secrets(), self.address.url().scheme() == "https");
        let credentials = self.credentials.clone();
        let (body, whole) = match self.stream() {
            Ok(stream) => gather_bytes(stream, MAX_ERROR).await.unwrap_or_default(),
            Err(_) => (Bytes::new(), true),
        };
        let refusal = refusal::said(&body);
        let code = refusal::code_of(&method, status, &refusal, secure);
        let said = excerpt(&without_secrets(&refusal.text, &secrets));
        let mut kind = if is_final(status, &said) { Kind::Denied } else { kind_of(status) };
        if media_type == "text/html" && matches!(kind, Kind::NotFound | Kind::Unsupported | Kind::Invalid) {
            kind = Kind::NotARegistry;
        }
        let mut message = format!("{what}: {status}");
        if kind == Kind::NotARegistry {
            message.push_str(match media_type.as_str() {
                "text/html" => " with an HTML page; this is not an OCI registry",
                _ => ", which is not how an OCI registry responds",
            });
        }
        if !said.is_empty() {
            let more = if whole || said.ends_with('…') { "" } else { "…" };
            message = format!("{message}: {said}{more}");
        }
        if let Some(wait) = wait {
            message = format!("{message} (asks to wait for {wait})");
        }
        let facts = Facts { status: Some(status.as_u16()), ..Facts::default() };
        let error = Error::new(kind, message).with_server_codes(refusal.codes).with_facts(facts);
        let error = code.into_iter().fold(error, Error::with_code);
        match credentials.filter(|_| status == StatusCode::UNAUTHORIZED) {
            Some(from) => refused_credentials(error, &from),
            None => error,
        }
    }
}

fn full(bytes: Bytes) -> BoxBody<Bytes, hyper::Error> {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

/// The error if a registry refuses these credentials.
fn refused_credentials(error: Error, from: &str) -> Error {
    let facts = Facts { credentials: Some(from.to_owned()), ..Facts::default() };
    let error = error.with_code(Code::CredentialsRefused).with_facts(facts);
    error.context(format!("the credentials from {from} were refused"))
}

/// Bytes up to the limit, and whether these are all.
async fn gather_bytes(mut stream: ByteStream, limit: u64) -> Result<(Bytes, bool)> {
    let mut all = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        let room = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(all.len());
        all.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if chunk.len() > room {
            return Ok((all.freeze(), false));
        }
    }
    Ok((all.freeze(), true))
}

fn unavailable(what: &str, why: &str) -> Error {
    Error::new(Kind::Unavailable, format!("{what}: {why}"))
}

/// The innermost cause of an error: the outer ones add nothing.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
impl Response {
    /// A success at this address, with this body.
    pub(in crate::stores::registry) fn of(address: Address, body: &'static [u8]) -> Self {
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            address,
            method: Method::GET,
            sent: Vec::new(),
            credentials: None,
            patience: Duration::from_secs(1),
            rate: None,
            body: full(Bytes::from_static(body)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_download_that_the_limit_holds_back_does_not_stand_still() {
        let response = Response {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            address: Address::own("http://localhost/".parse().unwrap()),
            method: Method::GET,
            sent: Vec::new(),
            credentials: None,
            patience: Duration::from_millis(50),
            rate: Some(Rate::new(10.try_into().unwrap())),
            body: full(Bytes::from_static(b"0123456789")),
        };
        let start = Instant::now();
        assert_eq!(response.bytes(10).await.unwrap(), "0123456789");
        assert_eq!(start.elapsed(), Duration::from_millis(900));
    }
}
