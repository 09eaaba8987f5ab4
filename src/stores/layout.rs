//! An OCI image layout directory (image-spec image-layout.md 1.0.0), shared safely between processes.
//!
//! A blob is written beside its place under a temporary name, verified, synced and renamed; `index.json` comes last,
//! under a lock, re-read and merged. A crash at any point leaves a valid layout. The next writer cleans up, and goes on
//! with large blobs where they broke off: what is there of them is hashed again, and the rest is asked for.
//! Listed are what is tagged, what was copied as a root, and manifests with a subject (the convention of oras).

mod files;
mod incoming;
mod unsynced;
mod writing;

use std::{
    collections::BTreeMap,
    fmt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;

use self::files::Files;
use super::{
    index::IndexFile,
    listing::{About, Manifests, blob_path, unnamed},
};
use crate::{
    blob::{Blob, ByteStream, FileSlice, read_file},
    error::{Error, Result},
    fs::{StrictStamp, blocking},
    graph::Graph,
    oci::{Algorithm, Descriptor, Digest, RefName, media_type},
    store::{Inventory, ReadStore, Store, Upload},
};

/// A layout directory. Cloning gives another handle on the same store.
///
/// Between `expect` and `finish`, changes of the list are held back and written together by `finish`, or dropped by
/// `abandon`; otherwise each is written at once.
#[derive(Debug, Clone)]
pub struct Layout(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    files: Files,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many copies are under way.
    copies: usize,
    pending: Pending,
    /// The list as it was last read, and what it was read from.
    index: Option<(StrictStamp, Arc<IndexFile>)>,
    /// What listed manifests say about their subjects: content, so it never changes.
    about: BTreeMap<Digest, Option<About>>,
}

/// Changes of the list that are still to be written.
#[derive(Debug, Default)]
struct Pending {
    tags: BTreeMap<RefName, Descriptor>,
    listed: BTreeMap<Digest, Descriptor>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.listed.is_empty()
    }
}

impl Layout {
    /// Opens a layout that exists. Blocks on the file system.
    ///
    /// Errors: kind `NotFound` when there is no such directory, `Invalid` when it is no layout.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self::of(Files::open(path.as_ref())?))
    }

    /// Opens a layout, or makes one in a new or empty directory, and removes what crashed writers left in it. Blocks
    /// on the file system.
    ///
    /// Errors: kind `Exists` when the directory holds something else.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self::of(Files::create(path.as_ref())?))
    }

    fn of(files: Files) -> Self {
        Self(Arc::new(Shared { files, state: Mutex::default() }))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.files.path()
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Shared) -> Result<T> + Send + 'static) -> Result<T> {
        let shared = Arc::clone(&self.0);
        blocking(move || work(&shared)).await
    }

    /// Notes changes of the list, and writes them unless a copy is under way.
    async fn note(&self, tags: Vec<(RefName, Descriptor)>, listed: Option<Descriptor>) -> Result<()> {
        let held_back = {
            let mut state = self.0.state();
            state.pending.tags.extend(tags);
            state.pending.listed.extend(listed.map(|desc| (desc.digest.clone(), desc)));
            state.copies > 0
        };
        if held_back { Ok(()) } else { self.run(Shared::write_pending).await }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The list, from memory when the file is as it was.
    fn index(&self) -> Result<Arc<IndexFile>> {
        let stamp = self.files.index_stamp()?;
        if let Some((known, index)) = &self.state().index
            && *known == stamp
        {
            return Ok(Arc::clone(index));
        }
        let index = Arc::new(self.files.index()?);
        // Changed while it was read: good for now, but not to be kept.
        if self.files.index_stamp()? == stamp {
            self.state().index = Some((stamp, Arc::clone(&index)));
        }
        Ok(index)
    }

    fn resolve(&self, name: &str) -> Result<Descriptor> {
        let index = self.index()?;
        let pending = self.state().pending.tags.get(name).cloned();
        Manifests::resolve(self, &index, pending.as_ref(), name)
    }

    /// Notes that a copy has ended; whether one was under way.
    fn ended(&self) -> bool {
        let mut state = self.state();
        let was = state.copies > 0;
        state.copies = state.copies.saturating_sub(1);
        if state.copies == 0 {
            self.files.keep_open(false);
        }
        was
    }

    /// Notes that a copy is under way.
    fn began(&self) {
        let mut state = self.state();
        state.copies = state.copies.saturating_add(1);
        self.files.keep_open(true);
    }

    /// Forgets what a copy of this graph has noted; whether there is anything left that nobody else will write.
    fn withdraw(&self, graph: &Graph) -> bool {
        let mut state = self.state();
        for root in &graph.roots {
            let own = |desc: &Descriptor| desc.digest == root.desc.digest;
            for tag in
                root.tags.iter().filter(|tag| state.pending.tags.get(tag.as_str()).is_some_and(own)).collect::<Vec<_>>()
            {
                state.pending.tags.remove(tag.as_str());
            }
        }
        // Another copy may have noted the same, and would not note it again.
        if state.copies == 0 {
            unnamed(graph).keys().for_each(|digest| drop(state.pending.listed.remove(digest)));
        }
        state.copies == 0 && !state.pending.is_empty()
    }

    /// Writes all changes that are possible now: what is not here yet is not listed.
    fn write_pending(&self) -> Result<()> {
        let Pending { tags, listed } = std::mem::take(&mut self.state().pending);
        let here =
            |desc: &Descriptor| matches!(self.files.blob_size(&desc.digest), Ok(Some(size)) if size == desc.size);
        let (ready, waiting): (BTreeMap<_, _>, BTreeMap<_, _>) = listed.into_iter().partition(|(_, desc)| here(desc));
        if self.state().copies > 0 {
            self.state().pending.listed.extend(waiting);
        }
        if ready.is_empty() && tags.is_empty() {
            return Ok(());
        }
        let written = self.files.change(|index| self.list(index, &tags, &ready));
        if written.is_err() {
            let mut state = self.state();
            for (name, desc) in tags {
                state.pending.tags.entry(name).or_insert(desc);
            }
            state.pending.listed.extend(ready);
        }
        written
    }

    fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        let pending = self.state().pending.listed.values().cloned().collect();
        Manifests::referrers(self, &*self.index()?, pending, subject)
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
        if let Some(known) = self.state().about.get(&desc.digest) {
            return Ok(known.clone());
        }
        let about = Read(&self.files).about(desc)?;
        if about.is_some() || self.files.blob_size(&desc.digest)? == Some(desc.size) {
            self.state().about.insert(desc.digest.clone(), about.clone());
        }
        Ok(about)
    }
}

/// The same without the memory of what was read.
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
    async fn resolve(&self, name: &str) -> Result<Descriptor> {
        let name = name.to_owned();
        self.run(move |shared| shared.resolve(&name)).await
    }

    async fn fetch(&self, desc: &Descriptor, from: u64) -> Result<ByteStream> {
        let digest = desc.digest.clone();
        let (file, size) = self.run(move |shared| shared.files.blob(&digest)).await?;
        let path = self.path().join(blob_path(&desc.digest));
        Ok(read_file(Arc::new(file), path, from, size.saturating_sub(from)))
    }

    async fn size(&self, digest: &Digest) -> Result<u64> {
        let digest = digest.clone();
        self.run(move |shared| shared.files.blob_size(&digest)?.ok_or_else(|| shared.files.missing(&digest))).await
    }

    async fn tags(&self) -> Result<Vec<String>> {
        self.run(|shared| {
            let mut names = shared.index()?.names();
            names.extend(shared.state().pending.tags.keys().map(ToString::to_string));
            Ok(names.into_iter().collect())
        })
        .await
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        let subject = subject.digest.clone();
        self.run(move |shared| shared.referrers(&subject)).await
    }

    fn local(&self, desc: &Descriptor) -> Option<FileSlice> {
        let size = self.0.files.named_size(&desc.digest).ok()??;
        let path = self.path().join(blob_path(&desc.digest));
        (size == desc.size).then_some(FileSlice { path, offset: 0, len: size })
    }

    async fn inventory(&self) -> Result<Option<Inventory>> {
        self.run(|shared| shared.files.inventory().map(Some)).await
    }
}

#[async_trait]
impl Store for Layout {
    async fn expect(&self, graph: &Graph) -> Result<()> {
        self.0.began();
        for (digest, desc) in unnamed(graph) {
            self.0.state().pending.listed.entry(digest).or_insert(desc);
        }
        let cleaned = self.run(|shared| shared.files.clean()).await;
        if cleaned.is_err() {
            self.abandon(graph).await;
        }
        cleaned
    }

    async fn contains(&self, desc: &Descriptor) -> Result<bool> {
        let desc = desc.bare();
        self.run(move |shared| Ok(shared.files.blob_size(&desc.digest)? == Some(desc.size))).await
    }

    async fn push(&self, desc: &Descriptor, blob: &dyn Blob) -> Result<()> {
        if media_type::points(&desc.media_type) {
            return match self.push_manifest(desc, blob).await? {
                Some(listed) => self.note(Vec::new(), Some(listed)).await,
                None => Ok(()),
            };
        }
        // A copy has asked. What another writer brought since comes once more, and stays what it is.
        if self.0.state().copies == 0 && self.contains(desc).await? {
            return Ok(());
        }
        self.push_blob(desc, blob).await
    }

    async fn tag(&self, name: &str, desc: &Descriptor) -> Result<()> {
        let own = self.resolve(&desc.digest.to_string()).await?;
        if !self.contains(&own).await? {
            return Err(self.0.files.missing(&own.digest));
        }
        self.note(vec![(name.parse()?, own)], None).await
    }

    async fn publish(&self, desc: &Descriptor, manifest: &Bytes, tags: &[String]) -> Result<()> {
        let named = |tag: &String| Ok((tag.parse()?, desc.bare()));
        let named = tags.iter().map(named).collect::<Result<Vec<_>>>()?;
        let listed = self.push_manifest(desc, manifest).await?;
        self.note(named, listed).await
    }

    async fn finish(&self) -> Result<()> {
        let copied = self.0.ended();
        if self.0.state().pending.is_empty() {
            return Ok(());
        }
        let written = self.run(Shared::write_pending).await;
        if written.is_err() && copied {
            // It is over when it is given up.
            self.0.began();
        }
        written
    }

    async fn abandon(&self, graph: &Graph) {
        self.0.ended();
        if self.0.withdraw(graph) {
            // What others set meanwhile. What cannot be written stays noted, for the next to write.
            self.run(Shared::write_pending).await.ok();
        }
    }

    async fn untag(&self, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.run(move |shared| {
            let pending = shared.state().pending.tags.remove(name.as_str()).is_some();
            if shared.files.change(|index| index.untag(&name))? || pending {
                return Ok(());
            }
            Err(shared.files.missing(format_args!("tag `{}`", name)))
        })
        .await
    }

    async fn delete(&self, desc: &Descriptor) -> Result<()> {
        let digest = desc.digest.clone();
        self.run(move |shared| {
            {
                let mut state = shared.state();
                state.pending.tags.retain(|_, tagged| tagged.digest != digest);
                state.pending.listed.remove(&digest);
            }
            shared.files.change(|index| {
                index.forget(&digest);
                Ok(())
            })?;
            if shared.files.remove(&digest)? { Ok(()) } else { Err(shared.files.missing(&digest)) }
        })
        .await
    }

    async fn upload(&self, algorithm: Algorithm) -> Result<Box<dyn Upload>> {
        self.start_upload(algorithm).await
    }
}
