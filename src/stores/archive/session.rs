//! Writing an archive: under a lock, into a temporary file beside it, each blob at its final offset, then one rename.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use rustix::{
    fs::{FallocateFlags, OFlags},
    io::Errno,
};
use tokio::task::JoinHandle;

use super::{
    Archive,
    contents::{BlobSlice, Contents},
    plan::Plan,
};
use crate::{
    blob::{Blob, FileSlice},
    error::{Code, Context as _, Error, Kind, Result},
    fs::{Dir, TemporaryFile},
    oci::{Descriptor, Digest, Parsed, Role},
    progress::{Event, Outcome},
    store::{Committed, Home, Intent, Item, NameChange, NameOutcome, Session, verified},
    stores::{
        index::{IndexFile, Parts},
        listing::{MARKER, Manifests as _, replaces},
        write_behind::WriteBehind,
    },
    tarball::read::quoted_name,
};

/// The directory of an archive and its name there.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) path: PathBuf,
    parent: PathBuf,
    name: String,
}

impl Target {
    /// A path named by the user; a symbolic link is followed, so that its target is replaced.
    pub(super) fn new(path: &Path) -> Result<Self> {
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| Error::invalid(format!("`{}` is not a file name", path.display())))?;
        let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf();
        Ok(Self { name: name.to_owned(), parent, path })
    }
}

/// The exclusive right to replace an archive: a locked file beside it, removed when dropped.
#[derive(Debug)]
pub(super) struct Lock {
    dir: Dir,
    name: String,
    file: File,
}

impl Lock {
    /// Blocks on the file system, but not on another writer.
    ///
    /// Errors: kind `Busy`, code `StoreBusy` if there is another writer.
    pub(super) fn new(target: &Target) -> Result<Self> {
        let dir = Dir::open(&target.parent)?;
        let name = format!(".{}.artifact-lock", target.name);
        loop {
            let (file, _) = dir.file_with(&name, OFlags::RDWR | OFlags::CREATE)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(std::fs::TryLockError::WouldBlock) => {
                    let message = format!("another process is writing `{}`", target.path.display());
                    return Err(Error::new(Kind::Busy, message).with_code(Code::StoreBusy));
                }
                Err(std::fs::TryLockError::Error(e)) => {
                    return Err(Error::from(e).context(format!("cannot lock `{}`", target.path.display())));
                }
            }
            // The previous holder removes the file: the lock may be on a file that is gone.
            if dir.holds(&name, &file)? {
                return Ok(Self { dir, name, file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while locked, so that nobody waits on a name that is about to disappear.
        let _ = self.dir.remove(&self.name);
        let _ = self.file.unlock();
    }
}

/// A session that rewrites the archive, from the declared intent to the rename.
#[derive(Debug)]
pub(super) struct ArchiveSession {
    archive: Archive,
    rewriting: Arc<Rewriting>,
    /// A commit in progress, or one whose caller was cancelled.
    committing: tokio::sync::Mutex<Option<JoinHandle<Result<Committed>>>>,
}

#[derive(Debug)]
struct Rewriting {
    target: Target,
    lock: Mutex<Option<Lock>>,
    /// The archive as found under the lock.
    base: Contents,
    /// Content that stays or will come, with sizes.
    kept: BTreeMap<Digest, u64>,
    /// Content already in the old archive.
    known: BTreeMap<Digest, BlobSlice>,
    manifests: HashSet<Digest>,
    plan: Plan,
    /// `None` if nothing changes.
    draft: Option<TemporaryFile>,
    arrived: Mutex<HashSet<Digest>>,
    gates: HashMap<Digest, Arc<tokio::sync::Mutex<()>>>,
    removals: Vec<Digest>,
    changes: Mutex<Changes>,
}

/// Changes of the list.
#[derive(Debug, Clone, Default)]
struct Changes {
    names: Vec<NameChange>,
    listed: BTreeMap<Digest, Descriptor>,
    /// Indexes that are stored, whole or in part.
    parts: Parts,
    over: bool,
}

impl ArchiveSession {
    /// Lays out the archive for its current and intended content. Blocks on the file system.
    pub(super) fn begin(archive: Archive, lock: Lock, intent: Intent) -> Result<Self> {
        let rewriting = Arc::new(Rewriting::begin(&archive.shared.target, lock, intent)?);
        Ok(Self { archive, rewriting, committing: tokio::sync::Mutex::default() })
    }

    fn unexpected(&self, desc: &Descriptor) -> Error {
        Error::unsupported(format!("{} is not part of this copy to {}", desc.digest, self.archive))
    }

    async fn write(&self, desc: &Descriptor, blob: &dyn Blob) -> Result<Outcome> {
        let all = &self.rewriting;
        if all.changes().over {
            return Err(ended());
        }
        match all.kept.get(&desc.digest) {
            None => return Err(self.unexpected(desc)),
            Some(size) if *size != desc.size => {
                let message = format!("{} was expected with {size} bytes, but has {}", desc.digest, desc.size);
                return Err(Error::mismatch(message));
            }
            Some(_) => {}
        }
        // Serialises two writers of one blob.
        let gate = all.gates.get(&desc.digest).cloned().unwrap_or_default();
        let _alone = gate.lock().await;
        if all.piece(&desc.digest).is_some() {
            return Ok(Outcome::Present);
        }
        let place = all.place(&desc.digest).ok_or_else(|| self.unexpected(desc))?;
        let mut behind = WriteBehind::new(place.file, place.slice.path, place.slice.offset);
        let mut stream = verified(desc, blob.open(0).await?);
        while let Some(chunk) = stream.try_next().await? {
            behind.write(chunk).await?;
        }
        behind.finish().await?;
        all.arrived.lock().unwrap_or_else(PoisonError::into_inner).insert(desc.digest.clone());
        Ok(Outcome::Moved)
    }
}

#[async_trait]
impl Session for ArchiveSession {
    async fn put(&self, desc: &Descriptor, blob: &dyn Blob, _mount_from: &[Home]) -> Result<Outcome> {
        self.write(desc, blob).await
    }

    async fn manifest(&self, desc: &Descriptor, bytes: &Bytes) -> Result<Outcome> {
        let parsed = Parsed::read(&desc.media_type, bytes)?;
        let outcome = self.write(desc, bytes).await?;
        if parsed.subject().is_some() {
            let listed = parsed.listed(desc);
            self.rewriting.changes().listed.entry(listed.digest.clone()).or_insert(listed);
        }
        Ok(outcome)
    }

    fn name(&self, change: NameChange) -> Result<()> {
        let mut changes = self.rewriting.changes();
        if changes.over {
            return Err(ended());
        }
        changes.names.push(change);
        Ok(())
    }

    async fn commit(&self) -> Result<Committed> {
        let mut committing = self.committing.lock().await;
        let task = committing.get_or_insert_with(|| {
            let (archive, rewriting) = (self.archive.clone(), Arc::clone(&self.rewriting));
            // Not interruptible: this handle must see its own write, even if the caller was cancelled.
            tokio::task::spawn_blocking(move || {
                let (committed, dropped) = rewriting.commit()?;
                archive.reload()?;
                dropped.into_iter().for_each(|what| archive.progress.tell(Event::Warning(what)));
                Ok(committed)
            })
        });
        // A cancelled caller may ask again.
        let committed = task.await;
        *committing = None;
        committed.map_err(|e| Error::caused(Kind::Internal, "archive writer aborted", e))?
    }

    async fn abandon(&self) {
        self.rewriting.changes().over = true;
        self.rewriting.unlock();
    }
}

impl Rewriting {
    fn begin(target: &Target, lock: Lock, intent: Intent) -> Result<Self> {
        let Intent { items, parts, listed, names, removals } = intent;
        lock.dir.clean(|_| false)?;
        let (base, exists) = Contents::before(&target.path)?;
        let base = if exists { base.settled()? } else { base };
        let mut known = base.blobs.clone();
        let mut kept: BTreeMap<_, _> = base.blobs.iter().map(|(digest, p)| (digest.clone(), p.slice.len)).collect();
        let mut manifests = base.manifests();
        let mut changes = !exists;
        for Item { desc, role } in &items {
            let before = kept.insert(desc.digest.clone(), desc.size);
            // A blob of another size comes from a damaged archive and must be stored again.
            changes |= before != Some(desc.size);
            if *role == Role::Manifest {
                manifests.insert(desc.digest.clone());
            }
        }
        known.retain(|digest, piece| kept.get(digest) == Some(&piece.slice.len));
        let removals: Vec<Digest> = removals.into_iter().map(|item| item.desc.digest).collect();
        for digest in &removals {
            changes = true;
            kept.remove(digest).ok_or_else(|| base.missing(format_args!("{digest}")))?;
        }
        let listed = listed.into_iter().map(|desc| (desc.digest.clone(), desc)).collect();
        let foreseen = Changes { names, listed, parts: Parts::new(&items, parts), over: false };
        let mut index = base.index.clone();
        foreseen.apply(&base, &mut index, &kept, &removals)?;
        let plan = Plan::of(index.encode()?, &kept, &manifests)?;
        let draft = if changes || index.changed() { Some(allocate(&lock.dir, plan.total)?) } else { None };
        let gates = plan.slots.keys().map(|digest| (digest.clone(), Arc::default())).collect();
        Ok(Self {
            target: target.clone(),
            lock: Mutex::new(Some(lock)),
            base,
            kept,
            known,
            manifests,
            plan,
            draft,
            arrived: Mutex::default(),
            gates,
            removals,
            changes: Mutex::new(Changes { names: Vec::new(), ..foreseen }),
        })
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unlock(&self) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The reserved place of a blob.
    fn place(&self, digest: &Digest) -> Option<BlobSlice> {
        let (offset, len) = *self.plan.slots.get(digest)?;
        let draft = self.draft.as_ref()?;
        let slice = FileSlice { path: draft.path(), offset, len };
        Some(BlobSlice { file: Arc::clone(draft.file()), slice, verified: true })
    }

    /// Content present now or before.
    fn piece(&self, digest: &Digest) -> Option<BlobSlice> {
        let arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner).contains(digest);
        if arrived { self.place(digest) } else { self.known.get(digest).cloned() }
    }

    /// Replaces the archive; also says what is otherwise than in the old one, beyond what was intended.
    ///
    /// Errors: kind `NotFound` if intended content was not stored.
    fn commit(&self) -> Result<(Committed, Vec<String>)> {
        let changes = self.changes().clone();
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.changes().over = true;
        let Some(lock) = lock.filter(|_| !changes.over) else {
            return Err(ended());
        };
        if let Some(digest) = self.kept.keys().find(|digest| self.piece(digest).is_none()) {
            let place = self.target.path.display();
            return Err(Error::not_found(format!("{digest} was expected in oci-archive:{place}, but never written")));
        }
        let mut index = self.base.index.clone();
        let committed = changes.apply(&self.base, &mut index, &self.kept, &self.removals)?;
        if self.draft.is_none() && !index.changed() {
            return Ok((committed, Vec::new()));
        }
        self.write(&index, &lock)?;
        Ok((committed, self.deviations()))
    }

    /// What the new archive lacks or has beside the intended changes.
    fn deviations(&self) -> Vec<String> {
        let place = self.target.path.display();
        let added = self.base.unmarked.then(|| format!("oci-archive:{place}: added the missing `{MARKER}`"));
        let dropped = strays(&self.base.strays).map(|what| format!("oci-archive:{place}: dropped {what}"));
        added.into_iter().chain(dropped).collect()
    }

    fn write(&self, index: &IndexFile, lock: &Lock) -> Result<()> {
        let encoded = index.encode()?;
        match &self.draft {
            Some(draft) if encoded == self.plan.index => {
                self.fill(draft, &self.plan)?;
                draft.keep(&lock.dir, &self.target.name)?;
            }
            // A manifest was named that was not part of the intent: all offsets move.
            _ => {
                let plan = Plan::of(encoded, &self.kept, &self.manifests)?;
                let draft = allocate(&lock.dir, plan.total)?;
                self.fill(&draft, &plan)?;
                draft.keep(&lock.dir, &self.target.name)?;
            }
        }
        lock.dir.sync()
    }

    /// Writes all content that is not yet in its place.
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

/// Files that are not part of an archive, in a few words; `None` if there are none.
fn strays(names: &[String]) -> Option<String> {
    const SHOWN: usize = 3;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| quoted_name(name)).collect();
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let are = if names.len() == 1 { "is" } else { "are" };
    let are_not = format!("which {are} not part of an OCI archive");
    (!names.is_empty()).then(|| format!("{}{more}, {are_not}", shown.join(", ")))
}

fn ended() -> Error {
    Error::new(Kind::Internal, "the session has already ended")
}

impl Changes {
    /// Applies the changes to a list, given the content that is kept.
    fn apply(
        &self,
        base: &Contents,
        index: &mut IndexFile,
        kept: &BTreeMap<Digest, u64>,
        removals: &[Digest],
    ) -> Result<Committed> {
        let (mut tags, mut committed) = (BTreeMap::new(), Committed::default());
        for NameChange { name, to, expect, .. } in &self.names {
            // A name with two manifests is repaired by this change.
            let found = index.named(name).ok().flatten().map(|desc| desc.digest.clone());
            expect.check(name, found.as_ref())?;
            match to {
                Some(desc) if kept.get(&desc.digest) != Some(&desc.size) => {
                    return Err(base.missing(format_args!("{}", desc.digest)));
                }
                Some(desc) => drop(tags.insert(name.clone(), desc.bare())),
                None if index.untag(name)? => {}
                None => return Err(base.missing(format_args!("tag `{name}`"))),
            }
            let outcome = NameOutcome::of(found.as_ref(), to.as_ref().map(|desc| &desc.digest));
            committed.names.push((name.clone(), outcome));
        }
        let known = index.parts(&self.parts);
        base.list(index, &tags, &replaces(&self.names), &self.listed)?;
        index.note(&self.parts, &known)?;
        removals.iter().for_each(|digest| index.forget(digest));
        Ok(committed)
    }
}

/// Creates an unfinished file of this size, so that a full disk is detected early.
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
