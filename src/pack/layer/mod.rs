//! Packs parts of a plan into blobs with digests, several at a time.

mod tar;

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures_util::future::try_join_all;

use super::{Leaving, Options, Outlet, spool::BlobContent};
use crate::{
    blob::{Blob as _, Buffers, SourceFile},
    error::{Context as _, Error, Kind, Result},
    fs::Base,
    oci::{Descriptor, Digest, Hasher, media_type},
    plan::{Content, Part},
    progress::Event,
};

/// The name of a part in errors.
pub(super) fn named(index: usize, part: &Part) -> String {
    match part.id.as_str() {
        "" => format!("layer {index}"),
        id => format!("layer {index} (`{id}`)"),
    }
}

/// A packed blob.
#[derive(Debug)]
pub(super) struct Made {
    /// The descriptor, still without annotations.
    pub(super) desc: Descriptor,
    /// The digest of the content before compression.
    pub(super) diff_id: Digest,
    /// The bytes or their place.
    pub(super) held: BlobContent,
}

impl Made {
    /// A blob in memory.
    pub(super) fn of(media_type: &str, bytes: Bytes) -> Self {
        let mut desc = Descriptor::of(media_type, &bytes);
        if media_type == media_type::EMPTY && bytes == "{}" {
            desc = Descriptor::empty();
        }
        Self { diff_id: desc.digest.clone(), desc, held: BlobContent::Memory(bytes) }
    }
}

/// The state shared by packing threads.
pub(super) struct Packing {
    path: PathBuf,
    base: OnceLock<Base>,
    pub(super) options: Options,
    /// Set by the caller to cancel the work.
    stop: Arc<AtomicBool>,
    /// Set after a failure, so that other threads end early.
    failed: AtomicBool,
}

impl Packing {
    pub(super) fn new(base: &Path, options: &Options, stop: Arc<AtomicBool>) -> Self {
        let (path, options) = (base.to_owned(), options.clone());
        Self { path, base: OnceLock::new(), options, stop, failed: AtomicBool::new(false) }
    }

    /// The number of threads.
    pub(super) fn threads(&self) -> usize {
        self.options.threads.max(1)
    }

    /// Opens a regular file below the base. The base is opened with the first file, since not every plan has files.
    fn open(&self, path: &Path) -> Result<(SourceFile, File)> {
        let base = match self.base.get() {
            Some(base) => base,
            None => {
                let base = Base::new(&self.path)?;
                self.base.get_or_init(|| base)
            }
        };
        SourceFile::beneath(base, path)
    }

    /// Reports bytes read from files.
    fn read(&self, bytes: usize) {
        self.options.progress.tell(Event::Read(bytes as u64));
    }

    /// Errors: the work was cancelled or has failed.
    fn go_on(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) || self.failed.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Internal, STOPPED));
        }
        Ok(())
    }
}

/// The message of the error in threads that end early, after another failure or on cancellation.
const STOPPED: &str = "packing was stopped";

/// Packs all layers, one per thread at a time. The first failure ends all threads.
pub(super) async fn all(packing: &Arc<Packing>, parts: &Arc<Vec<Part>>) -> Result<Vec<Made>> {
    let threads = packing.threads();
    let archives = parts.iter().filter(|part| matches!(part.content, Content::Tar { .. })).count();
    let share = threads / archives.clamp(1, threads);
    let (packing, parts) = (Arc::clone(packing), Arc::clone(parts));
    let workers = threads.min(parts.len());
    let queue = Arc::new(Queue { packing, parts, next: AtomicUsize::new(0), share });
    let mut done = try_join_all((0..workers).map(|_| worker(Arc::clone(&queue)))).await?;
    let mut done: Vec<_> = done.drain(..).flatten().collect();
    // Report a cause rather than its consequences; among causes, that of the first layer.
    done.sort_by_key(|(index, made)| (matches!(made, Err(e) if e.message() == STOPPED), *index));
    done.into_iter().map(|(_, made)| made).collect()
}

/// Runs work on a thread of its own.
pub(super) async fn working<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| panicked())?
}

fn panicked() -> Error {
    Error::new(Kind::Internal, "a packing thread failed")
}

/// The results of parts, with their indexes.
type Done = Vec<(usize, Result<Made>)>;

/// Packs parts until the queue is empty. A thread never blocks on an outlet.
async fn worker(queue: Arc<Queue>) -> Result<Done> {
    let (mut done, mut halted) = (Vec::new(), None);
    loop {
        let (turn, from) = (Arc::clone(&queue), halted.take());
        let made;
        (made, halted) = working(move || Ok(turn.work(from))).await?;
        done.extend(made);
        match &mut halted {
            Some((_, Hashing { leaving: Some(leaving), .. })) => leaving.room().await,
            Some(_) => {}
            None => return Ok(done),
        }
    }
}

/// The parts left to pack.
struct Queue {
    packing: Arc<Packing>,
    parts: Arc<Vec<Part>>,
    next: AtomicUsize,
    /// The number of threads per archive.
    share: usize,
}

impl Queue {
    /// Works until the queue is empty, or until the outlet has no space for a file, which may be `halted` itself; that
    /// file is returned.
    fn work(&self, mut halted: Option<(usize, Hashing)>) -> (Done, Option<(usize, Hashing)>) {
        let mut done = Vec::new();
        loop {
            let index = halted.as_ref().map_or_else(|| self.next.fetch_add(1, Ordering::Relaxed), |(index, _)| *index);
            let Some(part) = self.parts.get(index) else { return (done, None) };
            let made = match self.go_on(part, halted.take().map(|(_, hashing)| hashing)) {
                Ok(Stage::Halted(hashing)) => return (done, Some((index, hashing))),
                Ok(Stage::Made(made)) => Ok(made),
                Err(e) => Err(e.context(named(index, part))),
            };
            if made.is_err() {
                self.packing.failed.store(true, Ordering::Relaxed);
            }
            done.push((index, made));
        }
    }

    fn go_on(&self, part: &Part, begun: Option<Hashing>) -> Result<Stage> {
        let (packing, outlet) = (&*self.packing, self.packing.options.outlet.as_deref());
        let mut hashing = match (begun, &part.content) {
            (Some(begun), _) => begun,
            (None, Content::File(path)) => Hashing::begin(packing, path)?,
            _ => return one(packing, part, self.share).map(Stage::Made),
        };
        match hashing.run(packing, outlet)? {
            true => Ok(Stage::Made(hashing.made(&part.media_type)?)),
            false => Ok(Stage::Halted(hashing)),
        }
    }
}

/// The progress of a part.
enum Stage {
    /// Packed.
    Made(Made),
    /// Waiting for the outlet.
    Halted(Hashing),
}

/// Packs one part, with this number of threads for compression.
pub(super) fn one(packing: &Packing, part: &Part, threads: usize) -> Result<Made> {
    packing.go_on()?;
    match &part.content {
        Content::Empty {} => Ok(Made::of(&part.media_type, Bytes::from_static(b"{}"))),
        Content::Text(text) => Ok(Made::of(&part.media_type, Bytes::copy_from_slice(text.as_bytes()))),
        Content::Json { value, encoding } => Ok(Made::of(&part.media_type, encoding.encode(value)?.into())),
        Content::File(path) => {
            let mut hashing = Hashing::begin(packing, path)?;
            hashing.run(packing, None)?;
            hashing.made(&part.media_type)
        }
        Content::Tar { entries, compress } => tar::pack(packing, &part.media_type, entries, *compress, threads),
    }
}

/// A file being hashed in place, optionally with an outlet that takes its bytes.
struct Hashing {
    source: SourceFile,
    file: File,
    hasher: Hasher,
    size: u64,
    buffers: Buffers,
    leaving: Option<Box<dyn Leaving>>,
}

impl Hashing {
    fn begin(packing: &Packing, path: &Path) -> Result<Self> {
        packing.go_on()?;
        let (source, file) = packing.open(path)?;
        let buffers = Buffers::of(source.size());
        Ok(Self { source, file, hasher: Hasher::default(), size: 0, buffers, leaving: None })
    }

    /// Hashes to the end (`true`) or until the outlet is full (`false`).
    fn run(&mut self, packing: &Packing, outlet: Option<&dyn Outlet>) -> Result<bool> {
        while self.size < self.source.size() {
            packing.go_on()?;
            let mut chunk = self.buffers.take();
            let read = read(&self.source, &mut self.file, &mut chunk)?;
            if read == 0 {
                return Err(changed(&self.source));
            }
            chunk.truncate(read);
            let chunk = self.buffers.lend(chunk);
            if self.size == 0 {
                self.leaving = outlet.and_then(|outlet| outlet.open(&self.source, &chunk));
            }
            self.hasher.update(&chunk);
            packing.read(read);
            self.size = self.size.saturating_add(read as u64);
            if self.leaving.as_mut().is_some_and(|leaving| !leaving.offer(chunk)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The blob, after hashing.
    fn made(mut self, media_type: &str) -> Result<Made> {
        at_end(&self.source, &mut self.file)?;
        let desc = Descriptor::new(media_type, self.hasher.finish(), self.size);
        if let Some(leaving) = self.leaving {
            leaving.known(&desc.digest);
        }
        Ok(Made { diff_id: desc.digest.clone(), desc, held: BlobContent::Source(self.source) })
    }
}

fn read(source: &SourceFile, file: &mut File, chunk: &mut [u8]) -> Result<usize> {
    loop {
        match file.read(chunk) {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            other => return other.context(|| format!("cannot read `{}`", source.path().display())),
        }
    }
}

/// Errors (kind `Changed`): the file, read to its size, has more bytes or has changed.
fn at_end(source: &SourceFile, file: &mut File) -> Result<()> {
    // Files in `/proc` have size 0 but content, which only reading shows.
    if read(source, file, &mut [0])? > 0 {
        return Err(changed(source));
    }
    source.check(file)
}

fn changed(source: &SourceFile) -> Error {
    Error::new(Kind::Changed, format!("`{}` changed during reading", source.path().display()))
}
