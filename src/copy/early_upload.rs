//! Content that leaves for a store while its digest is still being computed.
//!
//! A large file is read once: what is hashed is sent at the same time. Where the network is slower than that, hashing
//! runs ahead, so that the digest is known early, and sending reads the file on its own. All of this may fail without
//! harm: what did not arrive this way is copied in the ordinary one.

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

use crate::{
    blob::{Blob as _, ByteStream, SourceFile},
    error::{Error, Kind, Result},
    oci::{Descriptor, Digest, RefName, media_type},
    pack::{Leaving, Outlet},
    progress::Outcome,
    store::{self, Intent, Item, Store, Write, contains},
};

/// Smallest file, in bytes, that leaves early: for less, the requests cost more than a second look at the file.
const LARGE: u64 = 8 << 20;
/// How many files are on their way at a time.
const MOST: usize = 4;
/// How many pieces wait for their turn. With the one whose turn it is, and the one that a sink keeps, four wait.
const QUEUE: usize = 2;
/// How long hashing waits for sending to begin, and whenever that falters.
const PATIENCE: Duration = Duration::from_millis(500);
/// Hashing keeps to the pace of sending as long as that is so many bytes a second; a second reading costs less than
/// waiting for a slower network.
const PACE: f64 = 200e6;
/// A registry is asked whether it has a blob when so many of its bytes are still to be sent.
const WORTH_ASKING: u64 = 4 << 20;
/// How long the ends of what is given up are waited for.
const STOP: Duration = Duration::from_secs(5);

/// What is on its way to one store. Dropping it gives that up.
pub struct EarlyUpload {
    to: Arc<dyn Store>,
    /// A tag that must not be there, and what it stands for.
    tag: (RefName, Arc<OnceCell<Option<Descriptor>>>),
    slots: Arc<Semaphore>,
    /// What carries it; without one, nothing leaves.
    runtime: Option<Handle>,
    stop: watch::Sender<bool>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Size and first bytes of all that has left: the same content never leaves twice.
    begun: HashSet<(u64, Digest)>,
    known: HashMap<Digest, Sending>,
    tasks: JoinSet<()>,
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EarlyUpload {
    /// Towards this store, if it streams, unless it has this tag: an artifact that is there already is most likely the
    /// same. So many files at a time, and never more than four. To be called on the runtime that is to do the work.
    #[must_use]
    pub fn new(to: Arc<dyn Store>, tag: RefName, concurrency: Option<usize>) -> Self {
        Self {
            runtime: Handle::try_current().ok().filter(|_| to.abilities().streams),
            to,
            tag: (tag, Arc::default()),
            slots: Arc::new(Semaphore::new(concurrency.unwrap_or(MOST).min(MOST))),
            stop: watch::Sender::new(false),
            state: Arc::default(),
        }
    }

    /// Whether this is on its way there.
    pub(super) fn is_to(&self, store: &Arc<dyn Store>) -> bool {
        ptr::addr_eq(Arc::as_ptr(&self.to), Arc::as_ptr(store))
    }

    /// What the tag stands for at the destination, where that was asked.
    pub(super) fn tagged(&self, tag: &RefName) -> Option<Option<Descriptor>> {
        if self.tag.0 == *tag { self.tag.1.get().cloned() } else { None }
    }

    /// What has left and has this digest.
    pub(super) fn take(&self, digest: &Digest) -> Option<Sending> {
        locked(&self.state).known.remove(digest)
    }

    /// Gives up what is still on its way, and waits a moment for the store to hear of it.
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
    /// A large file leaves, if nothing like it has left.
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
            // A blob has no name to be committed, and the store is to hear of what ends early.
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

/// The hashing end.
struct Hashed {
    state: Arc<Mutex<State>>,
    /// Where pieces go, until sending is too slow for them.
    chunks: Option<mpsc::Sender<Bytes>>,
    /// A piece for which there was no room.
    waits: Option<Bytes>,
    patience: Duration,
    known: oneshot::Sender<Digest>,
    sending: Sending,
}

impl Hashed {
    /// Notes that so many bytes were taken: what keeps the pace that is wanted may falter again.
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

    /// As long as sending keeps its pace, and never again after that.
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

/// Content on its way, seen from the copy that needs it.
pub(super) struct Sending {
    moved: watch::Receiver<u64>,
    arrived: oneshot::Receiver<Result<Outcome>>,
}

impl Sending {
    /// Waits for the content to arrive, and tells of the bytes that leave. `Present`: the store had it before;
    /// `Moved`: it has it now.
    pub(super) async fn arrive(mut self, moved: impl Fn(u64)) -> Result<Outcome> {
        let mut told = 0;
        let mut tell = |watch: &mut watch::Receiver<u64>| {
            let now = *watch.borrow_and_update();
            moved(now.saturating_sub(told));
            told = now;
        };
        // A request that was given up may keep its content, and its end of the count, for as long as the line stands.
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
    Error::new(Kind::Internal, "the content was given up on its way")
}

/// The way of one file.
struct FileUpload {
    to: Arc<dyn Store>,
    tag: (RefName, Arc<OnceCell<Option<Descriptor>>>),
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
            return Err(Error::new(Kind::Exists, format!("the tag {} exists", tag.0)));
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
            // Nobody waits for the digest when the sending has failed, which it says itself.
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

async fn is_tagged(to: &dyn Store, (name, found): &(RefName, Arc<OnceCell<Option<Descriptor>>>)) -> Result<bool> {
    let ask = || async {
        match to.resolve(&name.clone().into()).await {
            Ok(found) => Ok(Some(found)),
            Err(e) if e.kind() == Kind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    };
    Ok(found.get_or_try_init(ask).await?.is_some())
}

/// The content of a file: what hashing hands over, and what it leaves.
struct Content {
    file: SourceFile,
    queue: Option<mpsc::Receiver<Bytes>>,
    rest: Option<ByteStream>,
}

impl Content {
    /// The piece that begins at this offset.
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
