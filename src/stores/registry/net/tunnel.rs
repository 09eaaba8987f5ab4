//! Routes to hosts: direct connections, or tunnels through a proxy.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{self, Poll},
};

use http::{Uri, uri::Scheme};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector},
    rt::TokioIo,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tower_service::Service;
use url::Url;

use crate::{
    error::{Code, Error, Kind},
    stores::registry::origins::{
        origin::Origin,
        redact::{excerpt, without_secrets},
    },
};

use super::{
    proxy::{Proxies, Proxy},
    resolver::Resolver,
    tls_failure,
};

/// Longest head of a response to CONNECT, in bytes.
const MAX_HEAD: usize = 16 << 10;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Connects to hosts over TCP, through a proxy if there is one for the host.
#[derive(Clone)]
pub(super) struct Route {
    direct: HttpConnector<Resolver>,
    to_proxy: HttpsConnector<HttpConnector<Resolver>>,
    proxies: Proxies,
}

impl Route {
    /// `direct` connects to hosts, `any` to a proxy, which may be at any address, with this TLS configuration if it
    /// uses TLS.
    pub(super) fn new(
        direct: HttpConnector<Resolver>,
        any: HttpConnector<Resolver>,
        tls: rustls::ClientConfig,
        proxies: &Proxies,
    ) -> Self {
        let to_proxy = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        Self { direct, to_proxy: to_proxy.wrap_connector(any), proxies: proxies.clone() }
    }

    async fn connect(mut self, to: Uri) -> Result<RoutedConnection, BoxError> {
        let origin = Origin::of(&Url::parse(&to.to_string())?)?;
        let Some(proxy) = self.proxies.of(&origin)? else {
            return Ok(RoutedConnection { stream: self.direct.call(to).await?.into(), absolute: false });
        };
        let stream = self.to_proxy.call(proxy.uri()?).await.map_err(|e| unreachable(proxy, e))?;
        if to.scheme() != Some(&Scheme::HTTPS) {
            return Ok(RoutedConnection { stream, absolute: true });
        }
        Ok(RoutedConnection { stream: tunnel(stream, &origin, proxy).await?, absolute: false })
    }
}

impl Service<Uri> for Route {
    type Response = RoutedConnection;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<RoutedConnection, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        Box::pin(self.clone().connect(to))
    }
}

/// Passes on only the text of a TLS failure with a proxy: it must not be taken for one of the host.
fn unreachable(proxy: &Proxy, error: BoxError) -> BoxError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error.as_ref());
    while let Some(at) = cause {
        if let Some(failure) = tls_failure::cause(at) {
            return io::Error::other(format!("https with the proxy `{proxy}` failed: {failure}")).into();
        }
        cause = at.source();
    }
    error
}

/// Asks a proxy for a tunnel. Only the host's name and the proxy's own login are sent.
async fn tunnel(stream: Stream, to: &Origin, proxy: &Proxy) -> io::Result<Stream> {
    let mut io = TokioIo::new(stream);
    let to = format!("{}:{}", to.host(), to.port());
    let mut request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n").into_bytes();
    if let Some(login) = &proxy.login {
        request.extend([b"Proxy-Authorization: ", login.as_bytes(), b"\r\n"].concat());
    }
    request.extend(b"\r\n");
    io.write_all(&request).await?;
    let (mut response, mut chunk) = (Vec::new(), [0; 1024]);
    let end = loop {
        let read = io.read(&mut chunk).await?;
        response.extend(chunk.get(..read).unwrap_or_default());
        if let Some(end) = response.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if read == 0 || response.len() > MAX_HEAD {
            return Err(io::Error::other(format!("the proxy `{proxy}` did not answer CONNECT")));
        }
    };
    match status(&response) {
        Some((status, _)) if (200..300).contains(&status) && response.len() == end => Ok(io.into_inner()),
        Some((status, _)) if (200..300).contains(&status) => {
            Err(io::Error::other(format!("the proxy `{proxy}` answered in place of the host")))
        }
        Some((407, _)) => Err(io::Error::other(proxy_auth_error(proxy, ""))),
        Some((_, line)) => {
            let line = excerpt(&without_secrets(&line, &proxy.secrets));
            Err(io::Error::other(format!("the proxy `{proxy}` answered CONNECT with {line}")))
        }
        None => Err(io::Error::other(format!("the proxy `{proxy}` answered CONNECT with malformed HTTP"))),
    }
}

/// The error for status 407 of a proxy, with `before` in front.
pub(in crate::stores::registry) fn proxy_auth_error(proxy: &Proxy, before: &str) -> Error {
    let (why, code) = match proxy.login {
        Some(_) => ("rejected the user name and password", Code::ProxyFailed),
        None => ("requires a user name and password", Code::ProxyWantsLogin),
    };
    Error::new(Kind::Unreachable, format!("{before}the proxy `{proxy}` {why}")).with_code(code)
}

/// The status of a response, as a number and as text.
fn status(response: &[u8]) -> Option<(u16, String)> {
    let line = String::from_utf8_lossy(response);
    let said = line.lines().next()?.strip_prefix("HTTP/1.")?.get(2..)?;
    Some((said.get(..3)?.parse().ok()?, said.to_owned()))
}

/// A connection, direct or through a proxy.
pub(super) struct RoutedConnection {
    stream: Stream,
    /// True if each request must name its host, since a proxy reads it.
    absolute: bool,
}

impl Connection for RoutedConnection {
    fn connected(&self) -> Connected {
        if self.absolute { Connected::new().proxy(true) } else { Connected::new() }
    }
}

impl Read for RoutedConnection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Write for RoutedConnection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}
