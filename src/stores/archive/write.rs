//! Writing an archive: under a lock, into a temporary file beside it, each blob at its final place, then one rename.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::{
    fs::{FallocateFlags, OFlags},
    io::Errno,
};

use super::{
    contents::{Contents, Piece},
    plan::Plan,
};
use crate::{
    blob::FileSlice,
    error::{Context as _, Error, Kind, Result},
    fs::{Dir, TemporaryFile},
    graph::Graph,
    oci::{Descriptor, Digest, RefName},
    stores::{
        index::IndexFile,
        listing::{Manifests as _, unnamed},
    },
};

/// Where an archive is, and its name there.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) path: PathBuf,
    parent: PathBuf,
    name: String,
}

impl Target {
    /// A path that a user named; a symbolic link is followed, so that its target is what gets replaced.
    pub(super) fn new(path: &Path) -> Result<Self> {
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| Error::invalid(format!("`{}` is not the name of a file", path.display())))?;
        let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf();
        Ok(Self { name: name.to_owned(), parent, path })
    }

    /// What is there now; nothing when there is no such file.
    fn contents(&self) -> Result<(Contents, bool)> {
        match Contents::read(&self.path) {
            Err(e) if e.kind() == Kind::NotFound => Ok((Contents::empty(&self.path)?, false)),
            other => Ok((other?, true)),
        }
    }
}

/// The right to replace an archive: a locked file beside it, gone when dropped.
#[derive(Debug)]
pub(super) struct Lock {
    dir: Dir,
    name: String,
    file: File,
}

impl Lock {
    /// Errors: kind `Unavailable` when another writer is at work.
    fn new(target: &Target) -> Result<Self> {
        let dir = Dir::open(&target.parent)?;
        let name = format!(".{}.artifact-lock", target.name);
        loop {
            let (file, _) = dir.file_with(&name, OFlags::RDWR | OFlags::CREATE)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(std::fs::TryLockError::WouldBlock) => {
                    let message = format!("`{}` is being written by somebody else", target.path.display());
                    return Err(Error::new(Kind::Unavailable, message));
                }
                Err(std::fs::TryLockError::Error(e)) => {
                    return Err(Error::from(e).context(format!("cannot lock `{}`", target.path.display())));
                }
            }
            // The last holder removes the file: what we hold may be one that is no longer there.
            if dir.holds(&name, &file)? {
                return Ok(Self { dir, name, file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is held, so that nobody can be waiting on a name that is about to go.
        let _ = self.dir.remove(&self.name);
        let _ = self.file.unlock();
    }
}

/// One rewriting of an archive, from the announcement of what comes to the rename.
#[derive(Debug)]
pub(super) struct Session {
    target: Target,
    lock: Arc<Lock>,
    /// The archive as it was found, under the lock.
    pub(super) base: Contents,
    /// What of it stays, and what is to come, with sizes.
    kept: BTreeMap<Digest, u64>,
    /// Content that need not come: in the old archive, or left by an attempt that failed.
    pub(super) known: BTreeMap<Digest, Piece>,
    manifests: HashSet<Digest>,
    plan: Plan,
    /// `None` when nothing changes.
    draft: Option<TemporaryFile>,
    arrived: Mutex<HashSet<Digest>>,
    gates: HashMap<Digest, Arc<tokio::sync::Mutex<()>>>,
    pub(super) tags: Mutex<BTreeMap<RefName, Descriptor>>,
    pub(super) listed: BTreeMap<Digest, Descriptor>,
}

impl Session {
    /// Lays out the archive that will hold what is there now and this graph under these tags. Content that earlier
    /// attempts `brought` need not come again; one that has not ended lends its lock.
    pub(super) fn begin(
        target: &Target,
        graph: &Graph,
        tags: &BTreeMap<RefName, Descriptor>,
        earlier: Option<&Self>,
        brought: BTreeMap<Digest, Piece>,
    ) -> Result<Self> {
        let lock = earlier.map_or_else(|| Lock::new(target).map(Arc::new), |s| Ok(Arc::clone(&s.lock)))?;
        lock.dir.clean(|_| false)?;
        let (base, exists) = target.contents()?;
        let mut known = brought;
        known.extend(base.blobs.clone());
        let mut kept: BTreeMap<_, _> = base.blobs.iter().map(|(digest, p)| (digest.clone(), p.slice.len)).collect();
        let mut grows = false;
        for desc in graph.descriptors() {
            let before = kept.insert(desc.digest.clone(), desc.size);
            grows |= before.is_none();
            if before.is_some_and(|size| size != desc.size) {
                // A blob of another size is what a damaged archive has: it is to come again.
                known.remove(&desc.digest);
                grows = true;
            }
        }
        known.retain(|digest, piece| kept.get(digest) == Some(&piece.slice.len));
        let mut manifests = base.manifests();
        manifests.extend(graph.manifests.iter().map(|node| node.desc.digest.clone()));
        let listed = unnamed(graph);
        let mut index = base.index.clone();
        base.list(&mut index, tags, &listed)?;
        let plan = Plan::of(index.encode()?, &kept, &manifests)?;
        let changes = grows || !exists || index.changed();
        let draft = if changes { Some(allocate(&lock.dir, plan.total)?) } else { None };
        let gates = plan.slots.keys().map(|digest| (digest.clone(), Arc::default())).collect();
        Ok(Self {
            target: target.clone(),
            lock,
            base,
            kept,
            known,
            manifests,
            plan,
            draft,
            arrived: Mutex::default(),
            gates,
            tags: Mutex::default(),
            listed,
        })
    }

    /// The same archive with another list or without some content. An attempt that has not ended lends its lock.
    pub(super) fn edit<T>(
        target: &Target,
        earlier: Option<&Self>,
        edit: impl FnOnce(&Contents, &mut IndexFile, &mut BTreeMap<Digest, u64>) -> Result<T>,
    ) -> Result<T> {
        if !target.path.exists() {
            let base = Contents::empty(&target.path)?;
            return edit(&base, &mut base.index.clone(), &mut BTreeMap::new());
        }
        let mut session = Self::begin(target, &Graph::default(), &BTreeMap::new(), earlier, BTreeMap::new())?;
        let mut index = session.base.index.clone();
        let before = session.kept.len();
        let outcome = edit(&session.base, &mut index, &mut session.kept)?;
        if index.changed() || session.kept.len() != before {
            session.write(&index)?;
        }
        Ok(outcome)
    }

    /// What came so far, for the next attempt.
    pub(super) fn brought(&self) -> BTreeMap<Digest, Piece> {
        let arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: BTreeMap<_, _> = self.known.clone();
        all.retain(|_, piece| piece.verified);
        all.extend(arrived.iter().filter_map(|digest| Some((digest.clone(), self.place(digest)?))));
        all
    }

    /// Where a blob goes, or lies.
    pub(super) fn place(&self, digest: &Digest) -> Option<Piece> {
        let (offset, len) = *self.plan.slots.get(digest)?;
        let draft = self.draft.as_ref()?;
        let slice = FileSlice { path: draft.path(), offset, len };
        Some(Piece { file: Arc::clone(draft.file()), slice, verified: true })
    }

    /// Content that is here, now or from before.
    pub(super) fn piece(&self, digest: &Digest) -> Option<Piece> {
        let arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner).contains(digest);
        if arrived { self.place(digest) } else { self.known.get(digest).cloned() }
    }

    /// The size under which content was announced.
    pub(super) fn expected(&self, digest: &Digest) -> Option<u64> {
        self.kept.get(digest).copied()
    }

    /// What keeps two writers of one blob apart.
    pub(super) fn gate(&self, digest: &Digest) -> Arc<tokio::sync::Mutex<()>> {
        self.gates.get(digest).cloned().unwrap_or_default()
    }

    /// Notes that all bytes of a blob are in their place.
    pub(super) fn arrive(&self, digest: &Digest) {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).insert(digest.clone());
    }

    /// Replaces the archive. Errors: kind `NotFound` when something that was announced has not come.
    pub(super) fn finish(&self) -> Result<()> {
        if let Some(digest) = self.kept.keys().find(|digest| self.piece(digest).is_none()) {
            return Err(Error::not_found(format!("{digest} was announced and has not come")));
        }
        let tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut index = self.base.index.clone();
        self.base.list(&mut index, &tags, &self.listed)?;
        if self.draft.is_none() && !index.changed() {
            return Ok(());
        }
        self.write(&index)
    }

    fn write(&self, index: &IndexFile) -> Result<()> {
        let encoded = index.encode()?;
        match &self.draft {
            Some(draft) if encoded == self.plan.index && self.kept.len() == self.plan.slots.len() => {
                self.fill(draft, &self.plan)?;
                draft.keep(&self.lock.dir, &self.target.name)?;
            }
            // Something was tagged that was not announced, or removed: all offsets move.
            _ => {
                let plan = Plan::of(encoded, &self.kept, &self.manifests)?;
                let draft = allocate(&self.lock.dir, plan.total)?;
                self.fill(&draft, &plan)?;
                draft.keep(&self.lock.dir, &self.target.name)?;
            }
        }
        self.lock.dir.sync()
    }

    /// Writes all that is not in its place yet.
    fn fill(&self, draft: &TemporaryFile, plan: &Plan) -> Result<()> {
        for (at, bytes) in &plan.fixed {
            draft.write_at(bytes, *at)?;
        }
        for (digest, (at, _)) in &plan.slots {
            let piece = self.piece(digest).ok_or_else(|| self.base.missing(format_args!("{digest}")))?;
            let in_place = Arc::ptr_eq(&piece.file, draft.file()) && piece.slice.offset == *at;
            if !in_place {
                piece.copy_to(digest, draft.file(), *at).context(|| format!("copy {digest} into the new archive"))?;
            }
        }
        Ok(())
    }
}

/// An unfinished file of this size: that the disk is too small is found out now.
fn allocate(dir: &Dir, total: u64) -> Result<TemporaryFile> {
    let draft = TemporaryFile::new(dir)?;
    let path = draft.path();
    match rustix::fs::fallocate(&**draft.file(), FallocateFlags::empty(), 0, total) {
        Ok(()) => {}
        Err(Errno::NOTSUP | Errno::INVAL | Errno::NOSYS) => {
            draft.file().set_len(total).context(|| format!("cannot write `{}`", path.display()))?;
        }
        Err(e) => {
            return Err(Error::from(std::io::Error::from(e)).context(format!("cannot write `{}`", path.display())));
        }
    }
    Ok(draft)
}
