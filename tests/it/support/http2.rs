//! https in front of a registry of plain http, which speaks HTTP/2 with those who can.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use http::{Request, Response, Uri, Version};
use http_body_util::{BodyExt as _, Empty, combinators::BoxBody};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::{net::TcpListener, sync::Notify};

use super::tls::Identity;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Which connection, counted from 0.
    pub(crate) connection: usize,
    pub(crate) version: Version,
    /// `PUT /v2/…`
    pub(crate) line: String,
    /// Which request of all, counted from 0.
    pub(crate) number: usize,
}

/// What becomes of a request.
pub(crate) enum Fate {
    /// The registry answers.
    Pass,
    /// The same, with this many bytes of headers more.
    Swell(usize),
    /// The stream is reset, or the connection closed.
    Break,
    /// Nobody answers.
    Hang,
    /// The registry answers, and the connection takes no further request (GOAWAY, RFC 9113 section 6.8).
    Goodbye,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Body = BoxBody<Bytes, hyper::Error>;

/// The front, and what it has seen.
pub(crate) struct Http2 {
    /// `127.0.0.1:PORT`
    pub(crate) host: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Http2 {
    /// In front of this registry. Whoever speaks no HTTP/2 gets HTTP/1.1.
    pub(crate) async fn before(
        backend: &str,
        identity: &Identity,
        fate: impl Fn(&Seen) -> Fate + Send + Sync + 'static,
    ) -> Self {
        let acceptor = identity.offering(&["h2", "http/1.1"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let front = Arc::new(Front {
            backend: backend.to_owned(),
            client: Client::builder(TokioExecutor::new()).build_http(),
            seen: Arc::clone(&seen),
            fate: Box::new(fate),
        });
        let connections = AtomicUsize::new(0);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, front) = (acceptor.clone(), Arc::clone(&front));
                let connection = connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    let leave = Arc::new(Notify::new());
                    let leaving = Arc::clone(&leave);
                    let service =
                        service_fn(move |request| Arc::clone(&front).answer(connection, request, Arc::clone(&leaving)));
                    if !is_http2 {
                        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                        return;
                    }
                    let serving =
                        http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
                    let mut serving = std::pin::pin!(serving);
                    tokio::select! {
                        _ = &mut serving => return,
                        () = leave.notified() => serving.as_mut().graceful_shutdown(),
                    }
                    let _ = serving.await;
                });
            }
        });
        Self { host, seen }
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

struct Front {
    backend: String,
    client: Client<HttpConnector, Incoming>,
    seen: Arc<Mutex<Vec<Seen>>>,
    fate: Box<dyn Fn(&Seen) -> Fate + Send + Sync>,
}

impl Front {
    async fn answer(
        self: Arc<Self>,
        connection: usize,
        mut request: Request<Incoming>,
        leave: Arc<Notify>,
    ) -> Result<Response<Body>, Failure> {
        let seen = {
            let mut all = self.seen.lock().unwrap();
            let line = format!("{} {}", request.method(), request.uri().path());
            let seen = Seen { connection, version: request.version(), line, number: all.len() };
            all.push(seen.clone());
            seen
        };
        let fate = (self.fate)(&seen);
        match fate {
            Fate::Break => return Err("broken on purpose".into()),
            Fate::Hang => std::future::pending().await,
            Fate::Goodbye => leave.notify_one(),
            Fate::Pass | Fate::Swell(_) => {}
        }
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = format!("http://{}{path}", self.backend).parse::<Uri>()?;
        *request.version_mut() = Version::HTTP_11;
        let mut answer = self.client.request(request).await?;
        answer.headers_mut().remove(http::header::CONNECTION);
        if let Fate::Swell(bytes) = fate {
            answer.headers_mut().insert("x-swollen", "x".repeat(bytes).parse()?);
        }
        *answer.version_mut() = seen.version;
        let (head, body) = answer.into_parts();
        let empty = seen.line.starts_with("HEAD ");
        let body = if empty { Empty::new().map_err(|never| match never {}).boxed() } else { body.boxed() };
        Ok(Response::from_parts(head, body))
    }
}
