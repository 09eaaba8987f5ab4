//! The way of blobs from a store, which is async, to the one thread that writes: verified, in order, through a bounded
//! channel.

use std::{io, sync::Arc};

use bytes::{Buf as _, Bytes};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::mpsc::{Receiver, Sender};

use crate::{
    blob::{ByteStream, once},
    error::{Context as _, Error, Kind, Result},
    oci::Descriptor,
    progress::{Event, Observer, Outcome},
    store::{self, ReadStore},
};

/// How many chunks wait for the writing thread.
pub(super) const WAITING: usize = 8;

/// Blobs up to this size are fetched ahead, whole, so that many small ones do not wait for each other.
const SMALL: u64 = 1 << 20;
const AHEAD: usize = 8;

/// Sends the content of these blobs, an empty chunk after each. What fails is sent too, and is the last.
pub(super) async fn send(
    store: Arc<dyn ReadStore>,
    blobs: Vec<Descriptor>,
    to: Sender<Result<Bytes>>,
    progress: Observer,
) {
    let small = |desc: Descriptor| {
        let store = Arc::clone(&store);
        async move {
            if desc.size > SMALL {
                return Ok((desc, None));
            }
            let bytes = store::read(store.as_ref(), &desc, SMALL).await?;
            Ok::<_, Error>((desc, Some(bytes)))
        }
    };
    let ahead = stream::iter(blobs).map(small).buffered(AHEAD);
    tokio::pin!(ahead);
    while let Some(next) = ahead.next().await {
        let sent = match next {
            Ok((desc, bytes)) => send_one(&*store, desc, bytes, &to, &progress).await,
            Err(error) => Err(error),
        };
        match sent {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return drop(to.send(Err(error)).await),
        }
    }
}

/// Sends one blob; `false` when nobody wants more.
async fn send_one(
    store: &dyn ReadStore,
    desc: Descriptor,
    bytes: Option<Bytes>,
    to: &Sender<Result<Bytes>>,
    progress: &Observer,
) -> Result<bool> {
    progress.tell(Event::Started(desc.clone()));
    let content: Result<ByteStream> = match bytes {
        Some(bytes) => Ok(once(bytes)),
        None => store::open(store, &desc).await,
    };
    let failed = || format!("read {} from {store}", desc.digest);
    let mut content = content.context(failed)?;
    while let Some(chunk) = content.try_next().await.context(failed)? {
        let len = chunk.len() as u64;
        if len > 0 && to.send(Ok(chunk)).await.is_err() {
            return Ok(false);
        }
        progress.tell(Event::Moved(desc.digest.clone(), len));
    }
    if to.send(Ok(Bytes::new())).await.is_err() {
        return Ok(false);
    }
    progress.tell(Event::Done(desc, Outcome::Moved));
    Ok(true)
}

/// The receiving end: one blob after the other, each read to its end.
pub(super) struct Feed {
    from: Receiver<Result<Bytes>>,
    chunk: Bytes,
    ended: bool,
}

impl Feed {
    pub(super) fn new(from: Receiver<Result<Bytes>>) -> Self {
        Self { from, chunk: Bytes::new(), ended: false }
    }

    /// The next chunk of the current blob; `None` behind its last, when all of it has been verified.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        if !self.chunk.is_empty() {
            return Ok(Some(std::mem::take(&mut self.chunk)));
        }
        match self.from.blocking_recv() {
            Some(chunk) => {
                let chunk = chunk?;
                self.ended = chunk.is_empty();
                Ok((!self.ended).then_some(chunk))
            }
            None => Err(Error::new(Kind::Io, "it was interrupted")),
        }
    }

    /// Goes on to the next blob. Errors: there was more of this one.
    pub(super) fn end(&mut self) -> Result<()> {
        if self.next()?.is_some() {
            return Err(Error::mismatch("there is more data behind its end"));
        }
        self.ended = false;
        Ok(())
    }
}

impl io::Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            self.chunk = self.next()?.unwrap_or_default();
        }
        let len = self.chunk.len().min(buffer.len());
        if let Some(target) = buffer.get_mut(..len) {
            self.chunk.copy_to_slice(target);
        }
        Ok(len)
    }
}
