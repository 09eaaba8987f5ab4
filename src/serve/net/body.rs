//! Bodies of requests and responses on a connection with a flow.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::Response;
use http_body_util::{BodyDataStream, BodyExt as _};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::{runtime::Handle, time::timeout};

use super::{entry::Entry, flow::Flow};
use crate::{
    blob::ByteStream,
    error::{Error, Kind, Result},
    serve::app::{Body, Cause},
};

/// Time for what is still to come of a request that has its answer. It takes no memory.
const UNREAD: Duration = Duration::from_secs(5);

/// The body of a request; `waits` if its client sends it only when it is read. Errors: the client stopped before its end.
pub(super) fn request_body(body: Incoming, waits: bool, flow: Flow) -> ByteStream {
    match body.is_end_stream() {
        true => stream::empty().boxed(),
        false => RequestBody { rest: Some(body.into_data_stream()), waits, flow }.boxed(),
    }
}

struct RequestBody {
    /// `None` at the end.
    rest: Option<BodyDataStream<Incoming>>,
    waits: bool,
    flow: Flow,
}

impl Stream for RequestBody {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.waits = false;
        let Some(body) = &mut self.rest else { return Poll::Ready(None) };
        match body.poll_next_unpin(cx) {
            Poll::Pending => {
                self.flow.waits_for_client();
                Poll::Pending
            }
            Poll::Ready(item) => {
                if item.is_none() {
                    self.rest = None;
                }
                self.flow.came(item.as_ref().and_then(|data| data.as_ref().ok()).map_or(0, Bytes::len));
                let incomplete = |e| Error::caused(Kind::Unreachable, "the body of the request is incomplete", e);
                Poll::Ready(item.map(|data| data.map_err(incomplete)))
            }
        }
    }
}

impl Drop for RequestBody {
    /// Reads on where the answer came before the end of the body: a connection that is closed while bytes come is reset, and
    /// its client may never read the answer (RFC 9112, section 9.6).
    fn drop(&mut self) {
        let rest = self.rest.take().filter(|_| !self.waits);
        if let (Some(rest), Ok(runtime)) = (rest, Handle::try_current()) {
            drop(runtime.spawn(timeout(UNREAD, discard(rest))));
        }
    }
}

async fn discard(mut body: BodyDataStream<Incoming>) {
    while let Some(Ok(_)) = body.next().await {}
}

/// The body of a response. It completes its entry in the log.
pub(super) struct ResponseBody {
    body: Body,
    entry: Entry,
    flow: Flow,
}

/// Converts an app's answer to a response of the server.
pub(super) fn response(mut answer: Response<Body>, mut entry: Entry, flow: Flow) -> Response<ResponseBody> {
    flow.starts();
    flow.responds();
    entry.line.status = answer.status().as_u16();
    entry.line.error = answer.extensions_mut().remove().map(|Cause(cause)| cause);
    answer.map(|body| ResponseBody { body, entry, flow })
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        ready!(self.flow.poll_room(cx));
        let item = ready!(self.body.content.poll_next_unpin(cx));
        match &item {
            Some(Ok(chunk)) => {
                self.flow.gives(chunk.len());
                self.entry.line.bytes = self.entry.line.bytes.saturating_add(chunk.len() as u64);
            }
            Some(Err(error)) => self.entry.line.error = Some(error.to_string()),
            None => {}
        }
        Poll::Ready(item.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.length == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.flow.completes();
    }
}
