//! An OCI image layout in one uncompressed tar, which skopeo, podman, oras and containerd read.
//!
//! Reading is by position: one walk over the headers, then every blob is a slice of the file. Writing lays the whole
//! archive out before the first byte, fills it in parallel, and renames it into place: the same content has the same
//! bytes, whatever the order of events. Files that are neither blobs nor part of the layout are not carried into a
//! rewritten archive: a `manifest.json` would no longer be true.

mod contents;
mod plan;
mod write;

use std::{
    collections::BTreeMap,
    fmt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use futures_util::TryStreamExt as _;

use self::{
    contents::{Contents, Piece},
    write::{Session, Target},
};
use super::{behind::Behind, index, listing::Manifests};
use crate::{
    blob::{Blob, ByteStream, FileSlice, read_file},
    error::{Error, Result},
    fs::blocking,
    graph::Graph,
    oci::{Descriptor, Digest, RefName},
    store::{Inventory, ReadStore, Store, verified},
};

/// An archive. Cloning gives another handle on the same store.
///
/// Content is taken between `expect` and `finish` only, of one copy at a time; nothing is visible to others before
/// `finish`. From `expect` to `finish` or `abandon`, other writers are turned away. What came before a failure need not
/// come again in the next copy by this handle. A reader keeps what it opened, even when the file is replaced.
#[derive(Debug, Clone)]
pub struct Archive(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    target: Target,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    contents: Arc<Contents>,
    session: Option<Arc<Session>>,
    /// What came in a copy that was given up.
    brought: BTreeMap<Digest, Piece>,
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

    /// Opens an archive, or stands for one that the first copy makes. Blocks on the file system.
    ///
    /// Errors: a file that is no OCI archive.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let target = Target::new(path.as_ref())?;
        let contents = match Contents::read(&target.path) {
            Err(e) if e.kind() == crate::Kind::NotFound => Contents::empty(&target.path)?,
            other => other?,
        };
        Ok(Self::of(target, contents))
    }

    fn of(target: Target, contents: Contents) -> Self {
        let state = State { contents: Arc::new(contents), session: None, brought: BTreeMap::new() };
        Self(Arc::new(Shared { target, state: Mutex::new(state) }))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.target.path
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Shared) -> Result<T> + Send + 'static) -> Result<T> {
        let shared = Arc::clone(&self.0);
        blocking(move || work(&shared)).await
    }

    /// Content whose size is as described.
    fn piece(&self, desc: &Descriptor) -> Option<Piece> {
        self.0.view().piece(&desc.digest).filter(|piece| piece.slice.len == desc.size)
    }

    async fn write(&self, session: &Session, desc: &Descriptor, blob: &dyn Blob) -> Result<()> {
        let place = session.place(&desc.digest).ok_or_else(|| self.unexpected(desc))?;
        let mut behind = Behind::new(place.file, place.slice.path, place.slice.offset);
        let mut stream = verified(desc, blob.open(0).await?);
        while let Some(chunk) = stream.try_next().await? {
            behind.write(chunk).await?;
        }
        behind.finish().await?;
        session.arrive(&desc.digest);
        Ok(())
    }

    fn unexpected(&self, desc: &Descriptor) -> Error {
        Error::unsupported(format!("{self} takes only content that was announced, which {} was not", desc.digest))
    }
}

/// What a handle sees: the archive, and the copy that is under way.
struct View {
    contents: Arc<Contents>,
    session: Option<Arc<Session>>,
}

impl View {
    fn piece(&self, digest: &Digest) -> Option<Piece> {
        match &self.session {
            Some(session) => session.piece(digest),
            None => self.contents.blobs.get(digest).cloned(),
        }
    }

    fn index(&self) -> &index::IndexFile {
        self.session.as_ref().map_or(&self.contents.index, |session| &session.base.index)
    }

    fn tag(&self, name: &str) -> Option<Descriptor> {
        let tags = self.session.as_ref()?.tags.lock().unwrap_or_else(PoisonError::into_inner);
        tags.get(name).cloned()
    }
}

impl Manifests for View {
    fn manifest(&self, digest: &Digest) -> Result<Vec<u8>> {
        let piece = self.piece(digest).ok_or_else(|| self.missing(format_args!("{digest}")))?;
        piece.read(digest, 2 * crate::oci::MAX_MANIFEST)
    }

    fn missing(&self, what: fmt::Arguments<'_>) -> Error {
        self.contents.missing(what)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self) -> View {
        let state = self.state();
        View { contents: Arc::clone(&state.contents), session: state.session.clone() }
    }

    fn session(&self) -> Option<Arc<Session>> {
        self.state().session.clone()
    }

    /// Looks at the file anew, after it was replaced.
    fn reload(&self) -> Result<()> {
        let contents = Arc::new(Contents::read(&self.target.path)?);
        let mut state = self.state();
        (state.contents, state.session) = (contents, None);
        Ok(())
    }

    fn tag(&self, name: RefName, desc: &Descriptor) -> Result<()> {
        let own = self.view().resolve(self.view().index(), None, &desc.digest.to_string())?;
        if self.view().piece(&own.digest).is_none() {
            return Err(self.view().missing(format_args!("{}", own.digest)));
        }
        if let Some(session) = self.session() {
            session.tags.lock().unwrap_or_else(PoisonError::into_inner).insert(name, own);
            return Ok(());
        }
        self.set_tags(&[(name, own)].into(), None)
    }

    /// Sets tags on manifests that are here, at once.
    fn set_tags(&self, tags: &BTreeMap<RefName, Descriptor>, earlier: Option<&Session>) -> Result<()> {
        Session::edit(&self.target, earlier, |base, index, _| base.list(index, tags, &BTreeMap::new()))?;
        self.reload()
    }

    /// Ends a copy of this graph that failed: what came is kept, its tags are not. Those that others set meanwhile are
    /// written, while the lock is still held.
    fn abandon(&self, graph: &Graph) -> Result<()> {
        let Some(session) = self.session() else { return Ok(()) };
        {
            let mut state = self.state();
            (state.session, state.brought) = (None, session.brought());
        }
        let mut tags = session.tags.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for root in &graph.roots {
            tags.retain(|tag, desc| desc.digest != root.desc.digest || !root.tags.iter().any(|own| *own == **tag));
        }
        if tags.is_empty() { Ok(()) } else { self.set_tags(&tags, Some(&session)) }
    }

    fn untag(&self, name: &str) -> Result<()> {
        self.give_up();
        let gone = Session::edit(&self.target, None, |_, index, _| index.untag(name))?;
        self.reload_if_there()?;
        if gone { Ok(()) } else { Err(self.view().missing(format_args!("tag `{}`", name))) }
    }

    fn delete(&self, digest: &Digest) -> Result<()> {
        self.give_up();
        let gone = Session::edit(&self.target, None, |_, index, kept| {
            index.forget(digest);
            Ok(kept.remove(digest).is_some())
        })?;
        self.reload_if_there()?;
        if gone { Ok(()) } else { Err(self.view().missing(format_args!("{digest}"))) }
    }

    /// Ends a copy that was not finished, and lets go of the lock.
    fn give_up(&self) {
        self.state().session = None;
    }

    fn reload_if_there(&self) -> Result<()> {
        match self.reload() {
            Err(e) if e.kind() == crate::Kind::NotFound => Ok(()),
            other => other,
        }
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
        self.run(move |shared| {
            let view = shared.view();
            view.resolve(view.index(), view.tag(&name).as_ref(), &name)
        })
        .await
    }

    async fn fetch(&self, desc: &Descriptor, from: u64) -> Result<ByteStream> {
        let view = self.0.view();
        let piece = view.piece(&desc.digest).ok_or_else(|| view.missing(format_args!("{}", desc.digest)))?;
        let FileSlice { path, offset, len } = piece.slice;
        Ok(read_file(piece.file, path, offset.saturating_add(from), len.saturating_sub(from)))
    }

    async fn size(&self, digest: &Digest) -> Result<u64> {
        let view = self.0.view();
        view.piece(digest).map(|piece| piece.slice.len).ok_or_else(|| view.missing(format_args!("{digest}")))
    }

    async fn tags(&self) -> Result<Vec<String>> {
        let view = self.0.view();
        let mut names = view.index().names();
        if let Some(session) = &view.session {
            names.extend(session.tags.lock().unwrap_or_else(PoisonError::into_inner).keys().map(ToString::to_string));
        }
        Ok(names.into_iter().collect())
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        let subject = subject.digest.clone();
        self.run(move |shared| {
            let view = shared.view();
            let pending = view.session.as_ref().map(|session| session.listed.values().cloned().collect());
            Manifests::referrers(&view, view.index(), pending.unwrap_or_default(), &subject)
        })
        .await
    }

    fn local(&self, desc: &Descriptor) -> Option<FileSlice> {
        self.piece(desc).map(|piece| piece.slice)
    }

    async fn inventory(&self) -> Result<Option<Inventory>> {
        let contents = self.0.view().contents;
        Ok(Some(Inventory {
            entries: contents.index.entries().cloned().collect(),
            blobs: contents.blobs.iter().map(|(digest, piece)| (digest.clone(), piece.slice.len)).collect(),
            strays: contents.strays.clone(),
            leftovers: Vec::new(),
        }))
    }
}

#[async_trait]
impl Store for Archive {
    async fn expect(&self, graph: &Graph) -> Result<()> {
        let graph = graph.clone();
        self.run(move |shared| {
            let tags = graph.roots.iter().flat_map(|root| root.tags.iter().map(|tag| (tag, root.desc.bare())));
            let tags = tags.map(|(tag, desc)| Ok((tag.parse()?, desc))).collect::<Result<_>>()?;
            let earlier = shared.session();
            let brought = earlier.as_ref().map_or_else(|| shared.state().brought.clone(), |earlier| earlier.brought());
            let session = Session::begin(&shared.target, &graph, &tags, earlier.as_deref(), brought)?;
            let mut state = shared.state();
            (state.session, state.brought) = (Some(Arc::new(session)), BTreeMap::new());
            Ok(())
        })
        .await
    }

    async fn contains(&self, desc: &Descriptor) -> Result<bool> {
        Ok(self.piece(desc).is_some())
    }

    async fn push(&self, desc: &Descriptor, blob: &dyn Blob) -> Result<()> {
        let session = self.0.session().ok_or_else(|| self.unexpected(desc))?;
        match session.expected(&desc.digest) {
            None => return Err(self.unexpected(desc)),
            Some(size) if size != desc.size => {
                let message = format!("{} was announced with {size} bytes and comes with {}", desc.digest, desc.size);
                return Err(Error::mismatch(message));
            }
            Some(_) => {}
        }
        let gate = session.gate(&desc.digest);
        let _alone = gate.lock().await;
        if session.piece(&desc.digest).is_some() {
            return Ok(());
        }
        self.write(&session, desc, blob).await
    }

    async fn tag(&self, name: &str, desc: &Descriptor) -> Result<()> {
        let (name, desc) = (name.parse::<RefName>()?, desc.bare());
        self.run(move |shared| shared.tag(name, &desc)).await
    }

    async fn finish(&self) -> Result<()> {
        self.run(|shared| {
            let Some(session) = shared.session() else { return Ok(()) };
            session.finish()?;
            drop(session);
            shared.reload()
        })
        .await
    }

    async fn abandon(&self, graph: &Graph) {
        let graph = graph.clone();
        // The copy has failed, and its error is the one to be told.
        self.run(move |shared| shared.abandon(&graph)).await.ok();
    }

    async fn untag(&self, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.run(move |shared| shared.untag(&name)).await
    }

    async fn delete(&self, desc: &Descriptor) -> Result<()> {
        let digest = desc.digest.clone();
        self.run(move |shared| shared.delete(&digest)).await
    }
}
