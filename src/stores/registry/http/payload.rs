//! Request bodies: nothing, a few bytes, or a blob, verified on the way unless it is at hand.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{self, Poll},
};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::rate_limit::Rate;
use crate::{
    blob::{self, Blob, ByteStream},
    error::{Error, Result},
    oci::Descriptor,
    store,
    stores::registry::net::pool::RequestBody,
};

/// The body of a request; opened anew for every attempt.
#[derive(Clone)]
pub(in crate::stores::registry) enum Payload<'a> {
    /// No body.
    Empty,
    /// A few bytes.
    Bytes(Bytes),
    /// A streamed blob. Its last byte is sent only if size and digest are right. A blob at hand is sent unverified: the
    /// registry must hash it anyway (distribution-spec, "Pushing blobs").
    Blob(&'a Descriptor, &'a dyn Blob),
    /// A streamed part of a blob that is already verified or at hand.
    Part {
        /// The whole blob.
        blob: &'a dyn Blob,
        /// Offset of the first byte.
        from: u64,
        /// Its length.
        len: u64,
    },
    /// Content that can be read only once, and its length.
    Once(&'a Mutex<Option<ByteStream>>, u64),
}

impl Payload<'_> {
    pub(in crate::stores::registry) fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Blob(desc, _) => desc.size,
            Self::Part { len, .. } | Self::Once(_, len) => *len,
        }
    }

    /// The body of one attempt, and its watch.
    pub(super) async fn open(&self, rate: Option<&Rate>) -> Result<(RequestBody, Arc<Watch>)> {
        let stream = match self {
            Self::Empty => blob::once(Bytes::new()),
            Self::Bytes(bytes) => blob::once(bytes.clone()),
            Self::Blob(desc, blob) if blob.is_local_and_hashed() => ahead(first(blob.open(0).await?, desc.size)),
            Self::Blob(desc, blob) => ahead(store::verified(desc, blob.open(0).await?)),
            Self::Once(content, _) => {
                let content = content.lock().unwrap_or_else(PoisonError::into_inner).take();
                content.ok_or_else(|| Error::unsupported("this content cannot be sent again"))?
            }
            Self::Part { blob, from, len } => ahead(first(blob.open(*from).await?, *len)),
        };
        let watch = Arc::new(Watch { failure: Mutex::new(None), moved: Mutex::new(Instant::now()) });
        let stream = match rate {
            Some(rate) => {
                let held = Arc::clone(&watch);
                rate.limit(stream, move |turn| held.note_movement(turn))
            }
            None => stream,
        };
        let body = Outgoing { stream, left: self.len(), watch: Arc::clone(&watch) };
        Ok((body.boxed_unsync(), watch))
    }
}

fn first(stream: ByteStream, len: u64) -> ByteStream {
    futures_util::stream::unfold((stream, len), |(mut stream, left)| async move {
        if left == 0 {
            return None;
        }
        let item = stream.next().await?.map(|mut chunk| {
            chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            chunk
        });
        let left = left.saturating_sub(item.as_ref().map_or(0, |chunk| chunk.len() as u64));
        Some((item, (stream, left)))
    })
    .boxed()
}

/// Reads and hashes in a separate task, a few chunks ahead of the connection.
fn ahead(mut stream: ByteStream) -> ByteStream {
    let (send, receive) = tokio::sync::mpsc::channel(4);
    tokio::spawn(async move {
        while let Some(item) = stream.next().await {
            if send.send(item).await.is_err() {
                break;
            }
        }
    });
    futures_util::stream::unfold(receive, |mut receive| async move { Some((receive.recv().await?, receive)) }).boxed()
}

/// The state of a body being sent.
pub(super) struct Watch {
    failure: Mutex<Option<Error>>,
    moved: Mutex<Instant>,
}

impl Watch {
    /// The failure of the source of the body, if any.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// When the connection last accepted a chunk.
    pub(super) fn moved(&self) -> Instant {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the connection accepted a chunk at this time, or cannot do so earlier.
    fn note_movement(&self, at: Instant) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    fn note_failure(&self, error: Error) -> std::io::Error {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        std::io::Error::other("reading the content failed")
    }
}

/// A body of known length.
struct Outgoing {
    stream: ByteStream,
    left: u64,
    watch: Arc<Watch>,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let this = self.get_mut();
        let item = task::ready!(this.stream.poll_next_unpin(cx));
        this.watch.note_movement(Instant::now());
        Poll::Ready(match item {
            Some(Ok(chunk)) => {
                this.left = this.left.saturating_sub(chunk.len() as u64);
                Some(Ok(Frame::data(chunk)))
            }
            Some(Err(error)) => Some(Err(this.watch.note_failure(error))),
            None if this.left > 0 => {
                let message = format!("the content ends {} bytes early", this.left);
                Some(Err(this.watch.note_failure(Error::mismatch(message))))
            }
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
