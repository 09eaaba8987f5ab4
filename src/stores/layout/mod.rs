//! An OCI image layout directory (image-spec image-layout.md 1.0.0), safely shared between processes.
//!
//! A blob is written under a temporary name, verified, synced and renamed; `index.json` is written last, under a lock,
//! re-read and merged. A crash at any point leaves a valid layout. The next writer cleans up and resumes large blobs:
//! their partial content is hashed again, and only the rest is fetched. The list holds tagged manifests, copied roots,
//! and manifests with a subject (the convention of oras).

mod commit;
mod files;
mod incoming;
mod memory;
mod session;
mod state;
mod unsynced;
mod writing;

use std::{
    fmt,
    ops::Range,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

use async_trait::async_trait;
use futures_util::stream::BoxStream;

pub(crate) use self::memory::Memory;
use self::{
    commit::Queue,
    files::Files,
    memory::Held,
    session::LayoutSession,
    state::{Brief, State},
};
use super::listing::{About, Manifests, blob_path, same_size};
use crate::{
    blob::{ByteStream, FileSlice, part, read_file},
    error::{Error, Kind, Result},
    fs::{StrictStamp, blocking},
    oci::{Descriptor, Digest, Platforms},
    store::{
        Abilities, Intent, Inventory, Item, Name, NamePage, Presence, ReadStore, Session, Store, one_page,
        resolve_prefix,
    },
};

/// A layout directory. A clone is another handle on the same store.
///
/// Any number of sessions, in this process and others, may write at a time. Readers see committed changes.
#[derive(Debug, Clone)]
pub struct Layout(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    files: Files,
    /// Concurrent commits, whose changes are written together.
    queue: Queue,
    /// Set by the first session, once leftovers of crashed writers are removed.
    cleaned: OnceLock<()>,
    state: Mutex<State>,
    /// Held while the list is read, so that many who ask at once read it once.
    reading: Mutex<()>,
    memory: Arc<Memory>,
    own: Weak<Shared>,
}

/// A handle that does not keep the layout open.
#[cfg(feature = "serve")]
#[derive(Debug, Clone)]
pub(crate) struct WeakLayout(Weak<Shared>);

#[cfg(feature = "serve")]
impl WeakLayout {
    /// The handle, unless nobody has it any more.
    pub(crate) fn upgrade(&self) -> Option<Layout> {
        self.0.upgrade().map(Layout)
    }
}

impl Layout {
    /// True if a layout is at this path, also one that only lacks its marker. Blocks on the file system.
    pub fn is_at(path: impl AsRef<Path>) -> bool {
        path.as_ref().is_dir() && Files::open(path.as_ref()).is_ok()
    }

    /// Opens an existing layout. One that only lacks its marker, the file `oci-layout`, can be read, but not written.
    /// Blocks on the file system.
    ///
    /// Errors: kind `NotFound` if there is no such directory, `Invalid` if it is not a layout.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self::of(Files::open(path.as_ref())?, OnceLock::new(), Arc::default()))
    }

    /// Opens a layout, or creates one in a new or empty directory, and removes leftovers of crashed writers. Blocks on
    /// the file system.
    ///
    /// Errors: kind `Exists` if the directory holds other files, `Unsupported` if it is a layout without a marker.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self::of(Files::create(path.as_ref())?, OnceLock::from(()), Arc::default()))
    }

    /// Opens a layout whose list shares memory with those of others.
    #[cfg(any(test, feature = "serve"))]
    pub(crate) fn open_within(path: impl AsRef<Path>, memory: &Arc<Memory>) -> Result<Self> {
        Ok(Self::of(Files::open(path.as_ref())?, OnceLock::new(), Arc::clone(memory)))
    }

    /// Opens or creates a layout whose list shares memory with those of others.
    #[cfg(feature = "serve")]
    pub(crate) fn create_within(path: impl AsRef<Path>, memory: &Arc<Memory>) -> Result<Self> {
        Ok(Self::of(Files::create(path.as_ref())?, OnceLock::from(()), Arc::clone(memory)))
    }

    fn of(files: Files, cleaned: OnceLock<()>, memory: Arc<Memory>) -> Self {
        Self(Arc::new_cyclic(|own| Shared {
            files,
            queue: Queue::default(),
            cleaned,
            state: Mutex::default(),
            reading: Mutex::default(),
            memory,
            own: Weak::clone(own),
        }))
    }

    /// True if the file `oci-layout` is missing, as in a store of Hauler.
    #[must_use]
    pub fn is_unmarked(&self) -> bool {
        self.0.files.unmarked
    }

    /// Errors (kind `Unsupported`): no session can write to this layout, because it has no marker.
    pub fn check_writable(&self) -> Result<()> {
        self.0.files.check_writable()
    }

    /// Path of the layout.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.files.path()
    }

    /// True if both are handles on the same open layout.
    #[cfg(all(test, feature = "serve"))]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The handle, as long as others have it.
    #[cfg(feature = "serve")]
    pub(crate) fn downgrade(&self) -> WeakLayout {
        WeakLayout(Arc::downgrade(&self.0))
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Shared) -> Result<T> + Send + 'static) -> Result<T> {
        let shared = Arc::clone(&self.0);
        blocking(move || work(&shared)).await
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The list, from memory if the file is unchanged.
    fn index(&self) -> Result<Arc<Held>> {
        let known = |stamp: &StrictStamp| {
            let state = self.state();
            state.index.as_ref().filter(|(known, _)| known == stamp).map(|(_, index)| Arc::clone(index))
        };
        if let Some(index) = known(&self.files.index_stamp()?) {
            return Ok(index);
        }
        let _alone = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = self.files.index_stamp()?;
        if let Some(index) = known(&stamp) {
            return Ok(index);
        }
        let share = self.memory.take(self.files.index_weight()?);
        let index = Arc::new(Held::new(self.files.index()?, share));
        // Changed while being read: valid now, but not worth caching.
        let unchanged = (self.files.index_stamp()? == stamp).then_some(stamp);
        self.state().renew(&index, unchanged);
        if unchanged.is_some() {
            self.memory.remembers(&self.own);
        }
        Ok(index)
    }

    /// Forgets the list, and what is known of its manifests.
    fn forget(&self) {
        let forgotten = {
            let mut state = self.state();
            (state.index.take(), std::mem::take(&mut state.briefs))
        };
        drop(forgotten);
    }

    /// Removes leftovers of crashed writers, once for all handles that share this state.
    fn clean(&self) -> Result<()> {
        if self.cleaned.get().is_none() {
            self.files.clean()?;
            let _ = self.cleaned.set(());
        }
        Ok(())
    }
}

impl Manifests for Shared {
    fn manifest(&self, digest: &Digest) -> Result<Vec<u8>> {
        self.files.manifest(digest)
    }

    fn missing(&self, what: fmt::Arguments<'_>) -> Error {
        self.files.missing(what)
    }

    fn about(&self, desc: &Descriptor) -> Result<Option<About>> {
        if self.state().briefs.get(&desc.digest).is_some_and(Option::is_none) {
            return Ok(None);
        }
        let about = Read(&self.files).about(desc)?;
        if about.is_some() || self.files.blob_size(&desc.digest)? == Some(desc.size) {
            let brief = about.as_ref().map(|About { subject, shown }| Brief {
                subject: subject.clone(),
                artifact_type: shown.artifact_type.as_deref().map(Into::into),
                size: shown.size,
            });
            self.state().briefs.insert(desc.digest.clone(), brief);
        }
        Ok(about)
    }

    fn about_in_brief(&self, desc: &Descriptor) -> Result<Option<About>> {
        let known = self.state().briefs.get(&desc.digest).cloned();
        if let Some(known) = known {
            let shown = |size, artifact_type| Descriptor { size, artifact_type, ..desc.bare() };
            return Ok(known.map(|Brief { subject, artifact_type, size }| About {
                subject,
                shown: shown(size, artifact_type.map(String::from)),
            }));
        }
        Ok(self.about(desc)?.map(About::without_annotations))
    }

    fn is_known_to_lack(&self, digest: &Digest, subject: &Digest) -> bool {
        let lacks = |known: &Option<Brief>| known.as_ref().is_none_or(|known| known.subject != *subject);
        self.state().briefs.get(digest).is_some_and(lacks)
    }
}

/// The files without cached reads.
struct Read<'a>(&'a Files);

impl Manifests for Read<'_> {
    fn manifest(&self, digest: &Digest) -> Result<Vec<u8>> {
        self.0.manifest(digest)
    }

    fn missing(&self, what: fmt::Arguments<'_>) -> Error {
        self.0.missing(what)
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci:{}", self.path().display())
    }
}

#[async_trait]
impl ReadStore for Layout {
    async fn resolve(&self, name: &Name) -> Result<Descriptor> {
        if let Name::Prefix(prefix) = name {
            return resolve_prefix(self, prefix).await;
        }
        let (name, place) = (name.clone(), self.to_string());
        self.run(move |shared| Manifests::resolve(shared, &*shared.index()?, &name, &place)).await
    }

    async fn fetch(&self, item: &Item, range: Range<u64>) -> Result<ByteStream> {
        let digest = item.desc.digest.clone();
        let path = self.path().join(blob_path(&digest));
        let found = self.run(move |shared| match shared.files.blob(&digest) {
            Err(missing) if missing.kind() == Kind::NotFound => {
                shared.index()?.whole_as(&digest).map(Err).ok_or(missing)
            }
            other => other.map(Ok),
        });
        let (file, size) = match found.await? {
            Ok(file) => file,
            Err(whole) => return Ok(part(&whole, &range)),
        };
        same_size(&item.desc, size, self)?;
        let end = range.end.min(size);
        Ok(read_file(Arc::new(file), path, range.start, end.saturating_sub(range.start)))
    }

    async fn has(&self, items: &[Item]) -> Result<Vec<Presence>> {
        let digests: Vec<Digest> = items.iter().map(|item| item.desc.digest.clone()).collect();
        self.run(move |shared| {
            let presence = |digest| Ok(shared.files.blob_size(digest)?.map_or(Presence::Absent, Presence::here));
            digests.iter().map(presence).collect()
        })
        .await
    }

    fn names(&self) -> BoxStream<'_, Result<NamePage>> {
        one_page(self.run(|shared| Ok(shared.index()?.names())))
    }

    async fn unnamed(&self) -> Result<Vec<Descriptor>> {
        self.run(|shared| Manifests::unnamed(shared, &*shared.index()?)).await
    }

    async fn names_after(&self, last: Option<&str>, most: usize) -> Result<Option<NamePage>> {
        let last = last.map(str::to_owned);
        self.run(move |shared| Ok(Some(shared.index()?.names_after(last.as_deref(), most)))).await
    }

    /// An unchanged list is not read again.
    async fn names_version(&self) -> Result<Option<u64>> {
        self.run(|shared| {
            shared.index()?;
            Ok(Some(shared.state().version))
        })
        .await
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        let subject = subject.digest.clone();
        self.run(move |shared| Manifests::referrers(shared, &*shared.index()?, &subject, true)).await
    }

    async fn referrers_in_brief(&self, subject: &Descriptor) -> Result<Option<Vec<Descriptor>>> {
        let subject = subject.digest.clone();
        self.run(move |shared| Manifests::referrers(shared, &*shared.index()?, &subject, false).map(Some)).await
    }

    async fn kept_platforms(&self, index: &Descriptor) -> Result<Option<Platforms>> {
        let digest = index.digest.clone();
        self.run(move |shared| Ok(shared.index()?.platforms(&digest))).await
    }

    fn local(&self, item: &Item) -> Option<FileSlice> {
        let size = self.0.files.blob_size(&item.desc.digest).ok()??;
        let path = self.path().join(blob_path(&item.desc.digest));
        (size == item.desc.size).then_some(FileSlice { path, offset: 0, len: size })
    }

    async fn inventory(&self) -> Result<Option<Inventory>> {
        self.run(|shared| shared.files.inventory().map(Some)).await
    }
}

#[async_trait]
impl Store for Layout {
    fn abilities(&self) -> Abilities {
        Abilities::ALL
    }

    async fn begin(&self, intent: Intent) -> Result<Arc<dyn Session>> {
        let layout = self.clone();
        self.run(move |shared| {
            shared.files.check_writable()?;
            shared.clean()?;
            Ok(Arc::new(LayoutSession::begin(layout, intent)?) as Arc<dyn Session>)
        })
        .await
    }
}
