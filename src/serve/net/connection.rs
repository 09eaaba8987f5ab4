//! One connection, from its first request to its end.

use std::{convert::Infallible, sync::Arc};

use http::Extensions;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::Watcher,
};

use super::{
    body::{request_body, response},
    watch::{Activity, Entry},
};
use crate::serve::app::{App, Stream};

/// Size limit of the head of a request, with all headers, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// Answers the requests on a stream until it ends or stalls.
pub(super) async fn serve_connection(stream: impl Stream, app: Arc<dyn App>, watcher: Watcher) {
    let stall = app.limits().stall;
    let activity = Activity::new();
    let mut extensions = Extensions::new();
    let stream = app.connect(Box::new(stream), &mut extensions);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(app.limits().head).max_header_size(MAX_HEAD);
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        activity.touch();
        let (app, activity) = (Arc::clone(&app), activity.clone());
        let entry = Entry::new(&request, app.log().cloned());
        let mut request = request.map(|body| request_body(body, activity.clone()));
        request.extensions_mut().extend(extensions.clone());
        async move { Ok::<_, Infallible>(response(app.answer(request).await, entry, activity)) }
    });
    // Errors of the connection are ignored; the server's own failures are in the request log.
    tokio::select! {
        _ = watcher.watch(http.serve_connection(TokioIo::new(stream), service)) => {}
        () = activity.stalled(stall) => {}
    }
}
