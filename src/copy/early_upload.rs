//! Uploads that start while the digest is still being computed.
//!
//! A large file is read once: it is hashed and sent at the same time. If the network is slower than hashing, hashing
//! runs ahead, so that the digest is known early, and the upload reads the file separately. An early upload may fail
//! without harm: the content is then copied in the ordinary way.

use std::{
    collections::{HashMap, HashSet},
    fmt, mem, ptr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use tokio::{
    runtime::Handle,
    sync::{OnceCell, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    task::JoinSet,
};

use super::plan::{Standing, standing};
use crate::{
    blob::{Blob as _, ByteStream, SourceFile},
    error::{Error, Kind, Result},
    oci::{Descriptor, Digest, RefName, media_type},
    pack::{Leaving, Outlet},
    progress::Outcome,
    store::{self, Intent, Item, Store, Write, contains},
};

/// Smallest file, in bytes, to upload early: for less, the requests cost more than a second read.
const LARGE: u64 = 8 << 20;
/// How many files are uploaded at a time.
const MOST: usize = 4;
/// Capacity of the queue, in chunks. With the one being processed and the one held by a sink, four are in memory.
const QUEUE: usize = 2;
/// How long hashing waits for sending to start or resume.
const PATIENCE: Duration = Duration::from_millis(500);
/// Hashing follows the pace of sending while that reaches this many bytes a second; below, a second read costs less
/// than waiting for the network.
const PACE: f64 = 200e6;
/// A registry is asked for a blob only if this many of its bytes are still to be sent.
const WORTH_ASKING: u64 = 4 << 20;
/// How long to wait for abandoned uploads to end.
const STOP: Duration = Duration::from_secs(5);

/// Early uploads to one store. Dropping it abandons them.
pub struct EarlyUpload {
    to: Arc<dyn Store>,
    /// A tag that must not exist yet, and the manifest found under it, if it was resolved.
    tag: (RefName, Arc<OnceCell<Standing>>),
    slots: Arc<Semaphore>,
    /// The runtime for the uploads; without one, none starts.
    runtime: Option<Handle>,
    stop: watch::Sender<bool>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Size and first bytes of all uploads: the same content is never uploaded twice.
    begun: HashSet<(u64, Digest)>,
    known: HashMap<Digest, Sending>,
    tasks: JoinSet<()>,
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EarlyUpload {
    /// Early uploads to this store, if it accepts streams and lacks this tag: an artifact that is already there is most
    /// likely the same. At most `concurrency` files at a time, and never more than four. Call it on the runtime that is
    /// to do the work.
    #[must_use]
    pub fn new(to: Arc<dyn Store>, tag: RefName, concurrency: Option<usize>) -> Self {
        to.intend();
        Self {
            runtime: Handle::try_current().ok().filter(|_| to.abilities().streams),
            to,
            tag: (tag, Arc::default()),
            slots: Arc::new(Semaphore::new(concurrency.unwrap_or(MOST).min(MOST))),
            stop: watch::Sender::new(false),
            state: Arc::default(),
        }
    }

    /// True if this is the target store.
    pub(super) fn is_to(&self, store: &Arc<dyn Store>) -> bool {
        ptr::addr_eq(Arc::as_ptr(&self.to), Arc::as_ptr(store))
    }

    /// The manifest that the tag stands for at the destination, if that was asked.
    pub(super) fn standing(&self, tag: &RefName) -> Option<Standing> {
        if self.tag.0 == *tag { self.tag.1.get().cloned() } else { None }
    }

    /// The upload of the content with this digest.
    pub(super) fn take(&self, digest: &Digest) -> Option<Sending> {
        locked(&self.state).known.remove(digest)
    }

    /// Abandons all uploads and waits briefly for the store to cancel them.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let mut tasks = mem::take(&mut locked(&self.state).tasks);
        let all = async { while tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(STOP, all).await;
    }
}

impl fmt::Debug for EarlyUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EarlyUpload({})", self.to)
    }
}

impl Outlet for EarlyUpload {
    /// Starts the upload of a large file, unless the same content was uploaded already.
    fn open(&self, file: &SourceFile, start: &Bytes) -> Option<Box<dyn Leaving>> {
        let runtime = self.runtime.as_ref().filter(|_| file.size() >= LARGE)?;
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        let mut state = locked(&self.state);
        if !state.begun.insert((file.size(), Digest::of(start))) {
            return None;
        }
        let (chunks, queue) = mpsc::channel(QUEUE);
        let (known, digest) = oneshot::channel();
        let (told, arrived) = oneshot::channel();
        let (count, moved) = watch::channel(0);
        let upload = FileUpload { to: Arc::clone(&self.to), tag: self.tag.clone(), file: file.clone(), slot };
        let mut stop = self.stop.subscribe();
        let way = async move {
            let mut write = None;
            tokio::select! {
                outcome = upload.make(queue, digest, count, &mut write) => drop(told.send(outcome)),
                _ = stop.wait_for(|stop| *stop) => {}
            }
            // A blob has no name to commit; abandoning cancels unfinished uploads at the store.
            if let Some(write) = write {
                write.abandon().await;
            }
        };
        state.tasks.spawn_on(way, runtime);
        let sending = Sending { moved, arrived };
        let state = Arc::clone(&self.state);
        Some(Box::new(Hashed { state, chunks: Some(chunks), waits: None, patience: PATIENCE, known, sending }))
    }
}

/// The hashing end of an upload.
struct Hashed {
    state: Arc<Mutex<State>>,
    /// Takes chunks until sending is too slow.
    chunks: Option<mpsc::Sender<Bytes>>,
    /// A chunk that did not fit into the queue.
    waits: Option<Bytes>,
    patience: Duration,
    known: oneshot::Sender<Digest>,
    sending: Sending,
}

impl Hashed {
    /// Records that this many bytes were sent: after keeping pace, sending may stall again.
    fn sent(&mut self, bytes: usize) {
        self.patience = (self.patience + Duration::from_secs_f64(bytes as f64 / PACE)).min(PATIENCE);
    }
}

#[async_trait]
impl Leaving for Hashed {
    fn offer(&mut self, chunk: Bytes) -> bool {
        let Some(chunks) = &self.chunks else { return true };
        let len = chunk.len();
        match chunks.try_send(chunk) {
            Ok(()) => self.sent(len),
            Err(mpsc::error::TrySendError::Full(chunk)) => self.waits = Some(chunk),
            Err(mpsc::error::TrySendError::Closed(_)) => self.chunks = None,
        }
        self.waits.is_none()
    }

    /// Waits for space in the queue while sending keeps pace; once it falls behind, never again.
    async fn room(&mut self) {
        let (Some(chunks), Some(chunk)) = (&self.chunks, self.waits.take()) else { return };
        let (start, len) = (Instant::now(), chunk.len());
        if chunks.send_timeout(chunk, self.patience).await.is_err() {
            self.chunks = None;
        }
        self.patience = self.patience.saturating_sub(start.elapsed());
        self.sent(len);
    }

    fn known(self: Box<Self>, digest: &Digest) {
        if self.known.send(digest.clone()).is_ok() {
            locked(&self.state).known.insert(digest.clone(), self.sending);
        }
    }
}

/// An upload as seen by the copy that needs the content.
pub(super) struct Sending {
    moved: watch::Receiver<u64>,
    arrived: oneshot::Receiver<Result<Outcome>>,
}

impl Sending {
    /// Waits for the content to arrive, reporting sent bytes to `moved`. `Present`: the store had it before; `Moved`:
    /// it has it now.
    pub(super) async fn arrive(mut self, moved: impl Fn(u64)) -> Result<Outcome> {
        let mut told = 0;
        let mut tell = |watch: &mut watch::Receiver<u64>| {
            let now = *watch.borrow_and_update();
            moved(now.saturating_sub(told));
            told = now;
        };
        // An abandoned request may keep its content, and its end of the counter, while the connection stands.
        let arrived = loop {
            tokio::select! {
                arrived = &mut self.arrived => break arrived,
                changed = self.moved.changed() => match changed {
                    Ok(()) => tell(&mut self.moved),
                    Err(_) => break self.arrived.await,
                },
            }
        };
        tell(&mut self.moved);
        arrived.unwrap_or_else(|_| Err(given_up()))
    }
}

fn given_up() -> Error {
    Error::new(Kind::Internal, "the early upload was abandoned")
}

/// The upload of one file.
struct FileUpload {
    to: Arc<dyn Store>,
    tag: (RefName, Arc<OnceCell<Standing>>),
    file: SourceFile,
    slot: OwnedSemaphorePermit,
}

impl FileUpload {
    async fn make(
        self,
        queue: mpsc::Receiver<Bytes>,
        digest: oneshot::Receiver<Digest>,
        count: watch::Sender<u64>,
        write: &mut Option<Write>,
    ) -> Result<Outcome> {
        let Self { to, tag, file, slot: _slot } = self;
        if is_tagged(to.as_ref(), &tag).await? {
            return Err(Error::new(Kind::Exists, format!("tag `{}` already exists", tag.0)));
        }
        let puts = write.insert(store::begin(to.as_ref(), Intent::default()).await?).puts();
        let (size, (tell, told)) = (file.size(), oneshot::channel());
        let mut sending = Box::pin(async {
            let mut sink = puts.stream(Some(size)).await?;
            let mut content = Content { file, queue: Some(queue), rest: None };
            while let Some(chunk) = content.next(sink.offset()).await? {
                sink.write(chunk).await?;
                count.send_replace(sink.offset());
            }
            sink.finish(Some(&told.await.map_err(|_| given_up())?)).await.map(|_| Outcome::Moved)
        });
        let asking = async {
            let digest = digest.await.map_err(|_| given_up())?;
            let left = size.saturating_sub(*count.borrow());
            let desc = Descriptor::new(media_type::OCTET_STREAM, digest.clone(), size);
            if left >= WORTH_ASKING && contains(to.as_ref(), &Item::blob(desc)).await.unwrap_or(false) {
                return Ok::<_, Error>(Outcome::Present);
            }
            // If sending failed, it reports that itself, and nobody needs the digest.
            let _ = tell.send(digest);
            Ok(Outcome::Moved)
        };
        tokio::select! {
            sent = &mut sending => sent,
            asked = asking => match asked? {
                Outcome::Moved => sending.await,
                there => Ok(there),
            }
        }
    }
}

async fn is_tagged(to: &dyn Store, (name, found): &(RefName, Arc<OnceCell<Standing>>)) -> Result<bool> {
    let found = found.get_or_try_init(|| standing(to, name)).await?;
    Ok(matches!(found, Standing::For(_)))
}

/// The content of a file: chunks handed over by hashing, then the rest of the file.
struct Content {
    file: SourceFile,
    queue: Option<mpsc::Receiver<Bytes>>,
    rest: Option<ByteStream>,
}

impl Content {
    /// The chunk at this offset.
    async fn next(&mut self, at: u64) -> Result<Option<Bytes>> {
        if let Some(queue) = &mut self.queue {
            if let Some(chunk) = queue.recv().await {
                return Ok(Some(chunk));
            }
            self.queue = None;
        }
        let rest = match &mut self.rest {
            Some(rest) => rest,
            None => self.rest.insert(self.file.open(at).await?),
        };
        rest.try_next().await
    }
}
