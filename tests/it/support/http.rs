//! A raw HTTP/1.1 client: says exactly what it is told, follows nothing, and shows exactly what it got. Tests of the
//! server use it instead of this crate's own client, so that the two cannot agree on a mistake.

use std::{io, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// What came of the body.
    pub(crate) body: Bytes,
    /// Whether the body came to its announced end.
    pub(crate) complete: bool,
}

impl Answer {
    /// The first value of this header; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body as JSON; `null` when it is none.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The codes in the body of an error.
    pub(crate) fn codes(&self) -> Vec<String> {
        let errors = self.json();
        let errors = errors["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["code"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// Sends one request on a connection of its own. `Host` is the address unless the headers say otherwise.
pub(crate) async fn send(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    let mut request = Request::builder().method(Method::try_from(method).unwrap()).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header("host", addr.to_string());
    }
    let stream = TcpStream::connect(addr).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request.body(Full::new(body.into())).unwrap()).await;
    let (parts, mut incoming) = response.unwrap_or_else(|e| panic!("{method} {path}: {e}")).into_parts();
    let (mut all, mut complete) = (Vec::new(), true);
    while let Some(frame) = incoming.frame().await {
        match frame {
            Ok(frame) => all.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Err(_) => complete = false,
        }
    }
    connection.abort();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body: all.into(), complete }
}

/// Sends these bytes, and nothing else, and returns what comes until the other side closes.
pub(crate) async fn raw(addr: SocketAddr, bytes: &[u8]) -> io::Result<String> {
    let mut stream = TcpStream::connect(addr).await?;
    // Whoever refuses early closes early: that is no failure of the test.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
