//! An OCI image layout in one uncompressed tar, readable by skopeo, podman, oras and containerd.
//!
//! Reading is positional: after one pass over the headers, every blob is a slice of the file. A compressed archive is
//! decompressed into a temporary file first, and never written. Writing lays out the
//! whole archive before the first byte, fills it in parallel, and renames it into place: the same content gives the
//! same bytes, whatever the order of events. Files that are neither blobs nor part of the layout are dropped when an
//! archive is rewritten: a `manifest.json` would no longer be true.

mod compressed;
mod contents;
mod plan;
mod session;

use std::{
    fmt,
    ops::Range,
    path::Path,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use tokio::time::{Instant, sleep};

pub use self::compressed::Decompression;
use self::{
    compressed::ENDS,
    contents::{BlobSlice, Contents},
    session::{ArchiveSession, Lock, Target},
};
use super::listing::{Manifests, same_size};
use crate::{
    blob::{ByteStream, FileSlice, read_file},
    error::{Code, Error, Result},
    fs::blocking,
    oci::{Descriptor, Digest, Platforms},
    progress::{Event, Observer},
    store::{
        Abilities, Intent, Inventory, Item, Name, NamePage, Presence, ReadStore, Session, Store, new_version, one_page,
        resolve_prefix,
    },
};

/// How often a waiting writer retries the lock.
const AGAIN: Duration = Duration::from_millis(100);

/// An archive. A clone is another handle on the same store.
///
/// Among all processes, one session writes at a time; nothing of it is visible before it commits. A reader keeps the
/// file that it opened, even after it is replaced.
#[derive(Debug, Clone)]
pub struct Archive {
    shared: Arc<Shared>,
    /// How long to wait for another writer.
    patience: Option<Duration>,
    progress: Observer,
}

#[derive(Debug)]
struct Shared {
    target: Target,
    contents: RwLock<Arc<Contents>>,
    /// The version of the contents.
    version: AtomicU64,
}

impl Archive {
    /// Opens an existing archive. Blocks on the file system.
    ///
    /// Errors: kind `NotFound`; `Invalid` for a file that is not an OCI archive, or a hostile one; `Unsupported` if
    /// compressed, or an archive of `docker save` (code `DockerArchive`).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let target = Target::new(path.as_ref())?;
        let contents = Contents::read(&target.path, None)?;
        Ok(Self::of(target, contents))
    }

    /// Opens an existing archive, which may be compressed with gzip or zstd: then all of it is decompressed now. It can
    /// only be read, and stays as it is now. Blocks on the file system.
    ///
    /// Errors: those of [`Archive::open`]; another compression; damaged data (kind `Mismatch`), more of it than the
    /// limit (`Limit`), or than there is room for (`NoSpace`).
    pub fn open_with(path: impl AsRef<Path>, decompression: &Decompression) -> Result<Self> {
        let target = Target::new(path.as_ref())?;
        let contents = Contents::read(&target.path, Some(decompression))?;
        Ok(Self { progress: decompression.progress.clone(), ..Self::of(target, contents) })
    }

    /// Opens an archive, or prepares one that the first session creates; an empty file becomes one. Blocks on the file
    /// system.
    ///
    /// Errors: a file that is not an OCI archive, or a compressed one; a new file with the name of a compressed
    /// one (kind `Misuse`).
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let target = Target::new(path.as_ref())?;
        let (contents, exists) = Contents::before(&target.path)?;
        if !exists && is_named_compressed(path.as_ref()) {
            return Err(misnamed(path.as_ref()));
        }
        Ok(Self::of(target, contents))
    }

    fn of(target: Target, contents: Contents) -> Self {
        let contents = RwLock::new(Arc::new(contents));
        let shared = Arc::new(Shared { target, contents, version: AtomicU64::new(new_version()) });
        Self { shared, patience: None, progress: Observer::default() }
    }

    /// True if the file `oci-layout` is missing, as in an archive of Hauler. The next session adds it.
    #[must_use]
    pub fn is_unmarked(&self) -> bool {
        self.contents().unmarked
    }

    /// This archive, with sessions that wait for another writer, at most `longest`. Without this they fail at once.
    #[must_use]
    pub fn waiting(self, longest: Duration, progress: Observer) -> Self {
        Self { patience: Some(longest), progress, ..self }
    }

    /// This archive, with an observer that hears what a session drops.
    #[must_use]
    pub fn observed(self, progress: Observer) -> Self {
        Self { progress, ..self }
    }

    /// Path of the archive.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.target.path
    }

    fn contents(&self) -> Arc<Contents> {
        Arc::clone(&self.shared.contents.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the file again after it was replaced.
    fn reload(&self) -> Result<()> {
        let (contents, _) = Contents::before(&self.shared.target.path)?;
        *self.shared.contents.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(contents);
        // After the contents: a reader that sees this number finds these contents, or newer ones.
        self.shared.version.store(new_version(), Ordering::SeqCst);
        Ok(())
    }

    /// Acquires the lock for writing. Errors: code `StoreBusy` if another writer keeps it.
    async fn lock(&self) -> Result<Lock> {
        let (start, mut told) = (Instant::now(), false);
        loop {
            let shared = Arc::clone(&self.shared);
            let busy = match blocking(move || Lock::new(&shared.target)).await {
                Err(e) if e.code() == Some(Code::StoreBusy) => e,
                other => return other,
            };
            let Some(longest) = self.patience else { return Err(busy) };
            if start.elapsed() >= longest {
                return Err(busy.context(format!("after waiting {} s", longest.as_secs())));
            }
            if !std::mem::replace(&mut told, true) {
                self.progress.tell(Event::Busy { why: busy.to_string(), time: longest });
            }
            sleep(AGAIN).await;
        }
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Contents) -> Result<T> + Send + 'static) -> Result<T> {
        let contents = self.contents();
        blocking(move || work(&contents)).await
    }
}

/// True for the name of a compressed tar file.
pub(crate) fn is_named_compressed(path: &Path) -> bool {
    let name = path.to_string_lossy().to_ascii_lowercase();
    ENDS.iter().any(|end| name.ends_with(end))
}

/// The error for a new archive that is named like a compressed one.
fn misnamed(path: &Path) -> Error {
    Error::misuse(format!("archives are written uncompressed: `{}` should end in `.tar`", path.display()))
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci-archive:{}", self.path().display())
    }
}

#[async_trait]
impl ReadStore for Archive {
    async fn resolve(&self, name: &Name) -> Result<Descriptor> {
        if let Name::Prefix(prefix) = name {
            return resolve_prefix(self, prefix).await;
        }
        let (name, place) = (name.clone(), self.to_string());
        self.run(move |contents| contents.resolve(&contents.index, &name, &place)).await
    }

    async fn fetch(&self, item: &Item, range: Range<u64>) -> Result<ByteStream> {
        let BlobSlice { file, slice: FileSlice { path, offset, len }, .. } =
            self.contents().piece(&item.desc.digest)?;
        same_size(&item.desc, len, self)?;
        let end = range.end.min(len);
        Ok(read_file(file, path, offset.saturating_add(range.start), end.saturating_sub(range.start)))
    }

    async fn has(&self, items: &[Item]) -> Result<Vec<Presence>> {
        let contents = self.contents();
        let presence = |digest: &Digest| match contents.blobs.get(digest) {
            Some(piece) => Presence::here(piece.slice.len),
            None => Presence::Absent,
        };
        Ok(items.iter().map(|item| presence(&item.desc.digest)).collect())
    }

    fn names(&self) -> BoxStream<'_, Result<NamePage>> {
        one_page(async { Ok(self.contents().index.names()) })
    }

    async fn unnamed(&self) -> Result<Vec<Descriptor>> {
        self.run(|contents| contents.unnamed(&contents.index)).await
    }

    async fn names_version(&self) -> Result<Option<u64>> {
        Ok(Some(self.shared.version.load(Ordering::SeqCst)))
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        let subject = subject.digest.clone();
        self.run(move |contents| contents.referrers(&contents.index, &subject, true)).await
    }

    async fn referrers_in_brief(&self, subject: &Descriptor) -> Result<Option<Vec<Descriptor>>> {
        let subject = subject.digest.clone();
        self.run(move |contents| contents.referrers(&contents.index, &subject, false).map(Some)).await
    }

    async fn kept_platforms(&self, index: &Descriptor) -> Result<Option<Platforms>> {
        Ok(self.contents().index.platforms(&index.digest))
    }

    fn local(&self, item: &Item) -> Option<FileSlice> {
        let contents = self.contents();
        // The decompressed copy has no path.
        let piece = contents.blobs.get(&item.desc.digest).filter(|_| !contents.is_copy)?;
        (piece.slice.len == item.desc.size).then(|| piece.slice.clone())
    }

    async fn inventory(&self) -> Result<Option<Inventory>> {
        self.run(|contents| {
            Ok(Some(Inventory {
                list: 0,
                entries: contents.index.artifacts().collect(),
                blobs: contents.blobs.iter().map(|(digest, piece)| (digest.clone(), piece.slice.len)).collect(),
                strays: contents.strays.clone(),
                leftovers: Vec::new(),
                flaws: contents.flaws()?,
            }))
        })
        .await
    }
}

#[async_trait]
impl Store for Archive {
    fn abilities(&self) -> Abilities {
        Abilities { streams: false, needs_all: true, ..Abilities::ALL }
    }

    async fn begin(&self, intent: Intent) -> Result<Arc<dyn Session>> {
        let (archive, lock) = (self.clone(), self.lock().await?);
        blocking(move || Ok(Arc::new(ArchiveSession::begin(archive, lock, intent)?) as Arc<dyn Session>)).await
    }
}
