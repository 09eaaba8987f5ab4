//! Sends blobs from an async store to the writing thread: verified, in order, through a bounded channel.

use std::{io, sync::Arc};

use bytes::{Buf as _, Bytes};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{
    sync::mpsc::{Receiver, Sender},
    task::JoinSet,
};

use crate::{
    blob::{ByteStream, once},
    error::{Context as _, Error, Kind, Result},
    oci::Descriptor,
    progress::{Event, Observer, Outcome},
    store::{self, Item, ReadStore},
};

/// Limit of chunks in the channel.
pub(super) const WAITING: usize = 8;

/// Blobs up to this size, in bytes, are fetched ahead, each whole and in a task of its own, so that many small blobs
/// are fetched and hashed in parallel.
const SMALL: u64 = 1 << 20;
const AHEAD: usize = 8;

/// Sends the content of these blobs, with an empty chunk after each. An error is sent too, and ends the transfer.
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
            // A set of one task cancels it when dropped.
            let (mut task, wanted) = (JoinSet::new(), desc.clone());
            task.spawn(async move { store::read(store.as_ref(), &Item::blob(wanted), SMALL).await });
            let read = task.join_next().await.transpose();
            let bytes = read.map_err(|e| Error::caused(Kind::Internal, "a reading task failed", e))?;
            Ok::<_, Error>((desc, bytes.transpose()?))
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
            Err(error) => return drop(to.send(Err(error.of_content())).await),
        }
    }
}

/// Sends one blob; `false` if the receiver is closed.
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
        None => store::open(store, &Item::blob(desc.clone())).await,
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

/// The receiving end: blobs one after the other, each read to its end.
pub(super) struct BlobReader {
    from: Receiver<Result<Bytes>>,
    chunk: Bytes,
    ended: bool,
}

impl BlobReader {
    pub(super) fn new(from: Receiver<Result<Bytes>>) -> Self {
        Self { from, chunk: Bytes::new(), ended: false }
    }

    /// The next chunk of the current blob; `None` at its end, when it is verified.
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
            None => Err(Error::new(Kind::Io, "the work was cancelled")),
        }
    }

    /// Goes on to the next blob. Errors: this one has more data.
    pub(super) fn end(&mut self) -> Result<()> {
        if self.next()?.is_some() {
            return Err(Error::mismatch("unexpected data after the end of the archive"));
        }
        self.ended = false;
        Ok(())
    }
}

impl io::Read for BlobReader {
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

#[cfg(test)]
mod tests {
    use std::{
        fmt,
        sync::{Condvar, Mutex},
        time::Duration,
    };

    use async_trait::async_trait;
    use futures_util::stream::BoxStream;

    use super::*;
    use crate::store::{Name, NamePage, one_page};

    /// Answers nobody before a second thread asks, too.
    #[derive(Default)]
    struct Both {
        asking: Mutex<usize>,
        met: Condvar,
    }

    impl fmt::Display for Both {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("both")
        }
    }

    #[async_trait]
    impl ReadStore for Both {
        async fn resolve(&self, _name: &Name) -> Result<Descriptor> {
            Err(Error::not_found("a name"))
        }

        async fn fetch(&self, _item: &Item, _range: std::ops::Range<u64>) -> Result<ByteStream> {
            let mut asking = self.asking.lock().unwrap();
            *asking += 1;
            self.met.notify_all();
            let (_asking, waited) =
                self.met.wait_timeout_while(asking, Duration::from_secs(10), |asking| *asking < 2).unwrap();
            if waited.timed_out() {
                Err(Error::not_found("a second thread"))
            } else {
                Ok(once(Bytes::from_static(b"x")))
            }
        }

        async fn has(&self, _items: &[Item]) -> Result<Vec<store::Presence>> {
            Ok(Vec::new())
        }

        fn names(&self) -> BoxStream<'_, Result<NamePage>> {
            one_page(async { Ok(NamePage::default()) })
        }

        async fn referrers(&self, _subject: &Descriptor) -> Result<Vec<Descriptor>> {
            Ok(Vec::new())
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn small_blobs_are_read_by_several_threads() {
        let (to, mut from) = tokio::sync::mpsc::channel(WAITING);
        let blobs = vec![Descriptor::of("text/plain", b"x"); 2];
        send(Arc::new(Both::default()), blobs, to, Observer::default()).await;
        let mut all = Vec::new();
        while let Some(chunk) = from.recv().await {
            all.extend_from_slice(&chunk.unwrap());
        }
        assert_eq!(all, b"xx");
    }
}
