//! Responses created or changed by faults.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use jiff::{Timestamp, ToSpan as _};

use super::language::{Change, Refusal};
use crate::{blob::ByteStream, serve::app::Body};

/// The method, host, path and query of a request, kept after the app has taken it.
pub(super) struct RequestHead {
    pub(super) method: Method,
    uri: Uri,
    host: String,
}

impl RequestHead {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        Self { method: request.method().clone(), uri: request.uri().clone(), host: host.to_owned() }
    }

    /// Replaces the placeholders in a header's value.
    fn fill_in(&self, value: &str) -> String {
        let mut value = value.replace("{host}", &self.host).replace("{path}", &self.uri.to_string());
        while let Some((before, rest)) = value.split_once("{date") {
            let Some((seconds, after)) = rest.split_once('}') else { break };
            let seconds: i64 = seconds.parse().unwrap_or_default();
            let time = Timestamp::now().checked_add(seconds.seconds()).unwrap_or_default();
            let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time);
            value = format!("{before}{}{after}", date.unwrap_or_default());
        }
        value
    }
}

/// The response of a fault.
pub(super) fn refusal_response(refusal: &Refusal, head: &RequestHead) -> Response<Body> {
    let body = if head.method == Method::HEAD { Bytes::new() } else { refusal.body.clone().into() };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(refusal.status).unwrap_or_default();
    for (name, value) in &refusal.headers {
        set_header(response.headers_mut(), name, &head.fill_in(value));
    }
    response
}

/// The app's response, changed by faults.
pub(super) fn change_response(mut response: Response<Body>, changes: &[&Change], head: &RequestHead) -> Response<Body> {
    for change in changes {
        if let Some(status) = change.status.and_then(|status| StatusCode::from_u16(status).ok()) {
            *response.status_mut() = status;
        }
        for (name, value) in &change.headers {
            match value {
                Some(value) => set_header(response.headers_mut(), name, &head.fill_in(value)),
                None => drop(response.headers_mut().remove(name)),
            }
        }
    }
    match changes.iter().find_map(|change| change.flip) {
        Some(at) => response.map(|body| Body { content: flip_bit(body.content, at), ..body }),
        None => response,
    }
}

pub(super) fn set_header(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}

/// Flips one bit of the byte at this offset.
fn flip_bit(content: ByteStream, place: u64) -> ByteStream {
    let mut start = 0_u64;
    let flipped = content.map(move |chunk| {
        let chunk = chunk?;
        let within = place.checked_sub(start).and_then(|at| usize::try_from(at).ok());
        start += chunk.len() as u64;
        let mut bytes = BytesMut::from(chunk);
        if let Some(byte) = within.and_then(|at| bytes.get_mut(at)) {
            *byte ^= 1;
        }
        Ok(bytes.freeze())
    });
    flipped.boxed()
}
