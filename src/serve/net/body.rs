//! Bodies of requests and responses on a connection with a flow.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::Response;
use http_body_util::{BodyDataStream, BodyExt as _};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::{entry::Entry, flow::Flow};
use crate::{
    blob::ByteStream,
    error::{Error, Kind, Result},
    serve::app::{Body, Cause},
};

/// The body of a request. Errors: the client stopped before its end.
pub(super) fn request_body(body: Incoming, flow: Flow) -> ByteStream {
    match body.is_end_stream() {
        true => stream::empty().boxed(),
        false => RequestBody { body: body.into_data_stream(), flow }.boxed(),
    }
}

struct RequestBody {
    body: BodyDataStream<Incoming>,
    flow: Flow,
}

impl Stream for RequestBody {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.body.poll_next_unpin(cx) {
            Poll::Pending => {
                self.flow.waits_for_client();
                Poll::Pending
            }
            Poll::Ready(item) => {
                self.flow.came(item.as_ref().and_then(|data| data.as_ref().ok()).map_or(0, Bytes::len));
                let incomplete = |e| Error::caused(Kind::Unreachable, "the body of the request is incomplete", e);
                Poll::Ready(item.map(|data| data.map_err(incomplete)))
            }
        }
    }
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
