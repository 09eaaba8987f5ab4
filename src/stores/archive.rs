//! An OCI image layout in one uncompressed tar, which skopeo, podman, oras and containerd read.
//!
//! Reading is by position: one walk over the headers, then every blob is a slice of the file. Writing lays the whole
//! archive out before the first byte, fills it in parallel, and renames it into place: the same content has the same
//! bytes, whatever the order of events. Files that are neither blobs nor part of the layout are not carried into a
//! rewritten archive: a `manifest.json` would no longer be true.

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
};

use async_trait::async_trait;

use self::{
    contents::{Contents, Piece},
    session::{Target, Writing},
};
use super::listing::{Manifests, same_size};
use crate::{
    blob::{ByteStream, FileSlice, read_file},
    error::{Kind, Result},
    fs::blocking,
    oci::{Descriptor, Digest},
    store::{Abilities, Flaw, Intent, Inventory, Item, Presence, ReadStore, Session, Store},
};

/// An archive. Cloning gives another handle on the same store.
///
/// One session writes at a time, of all processes; nothing of it is visible before it commits. A reader keeps what it
/// opened, even when the file is replaced.
#[derive(Debug, Clone)]
pub struct Archive(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    target: Target,
    contents: RwLock<Arc<Contents>>,
    /// How often the contents were replaced.
    replaced: AtomicU64,
}

impl Archive {
    /// Opens an archive that exists. Blocks on the file system.
    ///
    /// Errors: kind `NotFound`; `Invalid` for what is no OCI archive, or a hostile one; `Unsupported` when compressed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let target = Target::new(path.as_ref())?;
        let contents = Contents::read(&target.path)?;
        Ok(Self::of(target, contents))
    }

    /// Opens an archive, or stands for one that the first session makes. Blocks on the file system.
    ///
    /// Errors: a file that is no OCI archive.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let target = Target::new(path.as_ref())?;
        let contents = match Contents::read(&target.path) {
            Err(e) if e.kind() == Kind::NotFound => Contents::empty(&target.path)?,
            other => other?,
        };
        Ok(Self::of(target, contents))
    }

    fn of(target: Target, contents: Contents) -> Self {
        Self(Arc::new(Shared { target, contents: RwLock::new(Arc::new(contents)), replaced: AtomicU64::new(0) }))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.target.path
    }

    fn contents(&self) -> Arc<Contents> {
        Arc::clone(&self.0.contents.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the file again, after it was replaced.
    fn reload(&self) -> Result<()> {
        let contents = match Contents::read(&self.0.target.path) {
            Err(e) if e.kind() == Kind::NotFound => Contents::empty(&self.0.target.path)?,
            other => other?,
        };
        *self.0.contents.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(contents);
        // After them: whoever sees this number finds these contents, or newer ones.
        self.0.replaced.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Contents) -> Result<T> + Send + 'static) -> Result<T> {
        let contents = self.contents();
        blocking(move || work(&contents)).await
    }
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci-archive:{}", self.path().display())
    }
}

#[async_trait]
impl ReadStore for Archive {
    async fn resolve(&self, name: &str) -> Result<Descriptor> {
        let name = name.to_owned();
        self.run(move |contents| contents.resolve(&contents.index, &name)).await
    }

    async fn fetch(&self, item: &Item, range: Range<u64>) -> Result<ByteStream> {
        let Piece { file, slice: FileSlice { path, offset, len }, .. } = self.contents().piece(&item.desc.digest)?;
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

    async fn tags(&self) -> Result<Vec<String>> {
        Ok(self.contents().index.names().into_iter().collect())
    }

    async fn names_version(&self) -> Result<Option<u64>> {
        Ok(Some(self.0.replaced.load(Ordering::SeqCst)))
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        let subject = subject.digest.clone();
        self.run(move |contents| contents.referrers(&contents.index, &subject)).await
    }

    fn local(&self, item: &Item) -> Option<FileSlice> {
        let piece = self.contents().blobs.get(&item.desc.digest).cloned()?;
        (piece.slice.len == item.desc.size).then_some(piece.slice)
    }

    async fn unreadable(&self) -> Result<Vec<Flaw>> {
        Ok(self.contents().index.unreadable())
    }

    async fn inventory(&self) -> Result<Option<Inventory>> {
        self.run(|contents| {
            Ok(Some(Inventory {
                entries: contents.index.entries().cloned().collect(),
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
        let archive = self.clone();
        blocking(move || {
            let writing = Writing::begin(archive.clone(), &archive.0.target, intent)?;
            Ok(Arc::new(writing) as Arc<dyn Session>)
        })
        .await
    }
}
