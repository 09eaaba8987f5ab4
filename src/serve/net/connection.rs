//! One connection, from its first request to its end.

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use http::Extensions;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::Watcher,
};

use super::{
    body::{request_body, response},
    entry::Entry,
    flow::Flow,
    metered::Metered,
};
use crate::serve::app::{App, Client, Stream};

/// Size limit of the head of a request, with all headers, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// Limit of bytes that are read at a time, and of those that wait to be written in small pieces.
const MAX_BUFFER: usize = 256 << 10;

/// Answers the requests on a stream until it ends, or its client is too slow.
pub(super) async fn serve_connection(
    stream: impl Stream,
    client: Option<IpAddr>,
    flow: Flow,
    app: Arc<dyn App>,
    watcher: Watcher,
) {
    let stall = app.limits().stall;
    let mut extensions = Extensions::new();
    extensions.insert(Client(client));
    let stream = app.connect(Box::new(Metered::new(stream, flow.clone())), &mut extensions);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(app.limits().head)
        .max_header_size(MAX_HEAD)
        .max_buf_size(MAX_BUFFER);
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        flow.starts();
        let (app, flow) = (Arc::clone(&app), flow.clone());
        let entry = Entry::new(&request, app.log().cloned());
        // Who waits for leave to send has sent nothing; who no longer waits may lose the answer.
        let expects = request.headers().get(http::header::EXPECT).map(http::HeaderValue::as_bytes);
        let waits = request.version() == http::Version::HTTP_11
            && expects.is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"));
        let mut request = request.map(|body| request_body(body, waits, flow.clone()));
        request.extensions_mut().extend(extensions.clone());
        async move { Ok::<_, Infallible>(response(app.answer(request).await, entry, flow)) }
    });
    // Boxed: it would be in this future, and in those around it, more than once.
    let served = Box::pin(watcher.watch(http.serve_connection(TokioIo::new(stream), service)));
    // Errors of the connection are ignored; the server's own failures are in the request log.
    tokio::select! {
        _ = served => {}
        () = flow.exhausted(stall) => {}
    }
}
