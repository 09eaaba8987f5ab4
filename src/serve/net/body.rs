//! Bodies of requests and responses on a monitored connection.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::Response;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::watch::{Activity, Entry};
use crate::{
    blob::ByteStream,
    error::{Error, Kind, Result},
    serve::app::{Body, Cause},
};

/// The body of a request. Errors: the client stopped before its end.
pub(super) fn request_body(body: Incoming, activity: Activity) -> ByteStream {
    if body.is_end_stream() {
        return stream::empty().boxed();
    }
    let chunk = move |data: hyper::Result<Bytes>| {
        activity.touch();
        data.map_err(|e| Error::caused(Kind::Unreachable, "the body of the request is incomplete", e))
    };
    body.into_data_stream().map(chunk).boxed()
}

/// The body of a response. It completes its entry in the log.
pub(super) struct ResponseBody {
    body: Body,
    entry: Entry,
    activity: Activity,
}

/// Converts an app's answer to a response of the server.
pub(super) fn response(mut answer: Response<Body>, mut entry: Entry, activity: Activity) -> Response<ResponseBody> {
    activity.touch();
    entry.line.status = answer.status().as_u16();
    entry.line.error = answer.extensions_mut().remove().map(|Cause(cause)| cause);
    answer.map(|body| ResponseBody { body, entry, activity })
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let item = ready!(self.body.content.poll_next_unpin(cx));
        match &item {
            Some(Ok(chunk)) => {
                self.activity.touch();
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
