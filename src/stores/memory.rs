//! A store in memory: for tests and examples, and as the shortest implementation of a store.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;

use super::listing::only;
use crate::{
    blob::{Blob, ByteStream, part},
    error::{Error, Kind, Result},
    oci::{Algorithm, Descriptor, Digest, Parsed, RefName, Role, annotation, media_type},
    progress::Outcome,
    store::{
        Abilities, Committed, Home, Intent, Inventory, Item, Name, NameChange, NameOutcome, NamePage, Presence,
        ReadStore, Session, Sink, Store, collect, compare, one_page, resolve_prefix, verified,
    },
};

/// Content and tags in memory. A clone is another handle on the same store.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<RwLock<Content>>);

#[derive(Debug, Default)]
struct Content {
    blobs: HashMap<Digest, Bytes>,
    manifests: BTreeMap<Digest, Descriptor>,
    tags: BTreeMap<RefName, Descriptor>,
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn read<T>(&self, f: impl FnOnce(&Content) -> T) -> T {
        f(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, f: impl FnOnce(&mut Content) -> T) -> T {
        f(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// The manifests without a subject.
    fn unrelated(&self) -> Vec<Descriptor> {
        let about = |c: &Content, desc: &Descriptor| {
            let parsed = c.blobs.get(&desc.digest).and_then(|bytes| Parsed::read(&desc.media_type, bytes).ok());
            parsed.is_some_and(|parsed| parsed.subject().is_some())
        };
        self.read(|c| c.tags.values().filter(|desc| !about(c, desc)).cloned().collect())
    }

    fn missing(&self, what: impl fmt::Display) -> Error {
        Error::not_found(format!("{what} is not in {self}"))
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

#[async_trait]
impl ReadStore for Memory {
    async fn resolve(&self, name: &Name) -> Result<Descriptor> {
        let found = match name {
            Name::Digest(digest) => self.read(|c| c.manifests.get(digest).cloned()),
            Name::Ref(name) => self.read(|c| c.tags.get(name).cloned()),
            Name::Prefix(prefix) => return resolve_prefix(self, prefix).await,
            Name::Only => return only(self.unrelated(), self),
        };
        found.ok_or_else(|| self.missing(format_args!("`{name}`")))
    }

    async fn fetch(&self, item: &Item, range: Range<u64>) -> Result<ByteStream> {
        let digest = &item.desc.digest;
        let bytes = self.read(|c| c.blobs.get(digest).cloned()).ok_or_else(|| self.missing(digest))?;
        Ok(part(&bytes, &range))
    }

    async fn has(&self, items: &[Item]) -> Result<Vec<Presence>> {
        let presence = |c: &Content, Item { desc, role }: &Item| {
            let here = *role == Role::Blob || c.manifests.contains_key(&desc.digest);
            let size = c.blobs.get(&desc.digest).filter(|_| here).map(|bytes| bytes.len() as u64);
            size.map_or(Presence::Absent, |size| Presence::Here { size })
        };
        Ok(self.read(|c| items.iter().map(|item| presence(c, item)).collect()))
    }

    fn names(&self) -> BoxStream<'_, Result<NamePage>> {
        let names = self.read(|c| c.tags.keys().cloned().collect());
        one_page(async { Ok(NamePage { names, ..NamePage::default() }) })
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        self.read(|c| {
            let mut found = Vec::new();
            for desc in c.manifests.values() {
                let Some(bytes) = c.blobs.get(&desc.digest) else { continue };
                let parsed = Parsed::read(&desc.media_type, bytes)?;
                if parsed.subject().is_some_and(|s| s.digest == subject.digest) {
                    found.push(Descriptor {
                        artifact_type: parsed.artifact_type().map(Into::into),
                        annotations: parsed.annotations().clone(),
                        ..desc.clone()
                    });
                }
            }
            Ok(found)
        })
    }

    async fn inventory(&self) -> Result<Option<Inventory>> {
        Ok(Some(self.read(|c| {
            let tagged = c.tags.iter().map(|(tag, desc)| {
                let annotations = [(annotation::REF_NAME.to_owned(), tag.to_string())].into();
                Descriptor { annotations, ..desc.bare() }
            });
            // A referrer is found from its subject, tagged or not.
            let about = c.manifests.values().filter(|desc| {
                let parsed = c.blobs.get(&desc.digest).and_then(|bytes| Parsed::read(&desc.media_type, bytes).ok());
                parsed.is_some_and(|parsed| parsed.subject().is_some())
            });
            Inventory {
                entries: tagged.chain(about.cloned()).collect(),
                blobs: c.blobs.iter().map(|(digest, bytes)| (digest.clone(), bytes.len() as u64)).collect(),
                ..Inventory::default()
            }
        })))
    }
}

#[async_trait]
impl Store for Memory {
    fn abilities(&self) -> Abilities {
        Abilities::ALL
    }

    async fn begin(&self, intent: Intent) -> Result<Arc<dyn Session>> {
        let Intent { items, removals, .. } = intent;
        Ok(Arc::new(MemorySession { store: self.clone(), items, removals, staged: Mutex::default() }))
    }
}

/// A session: blobs are visible at once, manifests and names after `commit`.
struct MemorySession {
    store: Memory,
    /// Content that must exist in the end.
    items: Vec<Item>,
    removals: Vec<Item>,
    staged: Mutex<Staged>,
}

#[derive(Default)]
struct Staged {
    manifests: Vec<(Descriptor, Bytes)>,
    names: Vec<NameChange>,
    over: bool,
}

impl MemorySession {
    fn staged(&self) -> MutexGuard<'_, Staged> {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a change for `commit`. Errors: the session has ended.
    fn note(&self, note: impl FnOnce(&mut Staged)) -> Result<()> {
        let mut staged = self.staged();
        if staged.over {
            return Err(ended());
        }
        note(&mut staged);
        Ok(())
    }
}

fn ended() -> Error {
    Error::new(Kind::Internal, "the session has already ended")
}

#[async_trait]
impl Session for MemorySession {
    async fn put(&self, desc: &Descriptor, blob: &dyn Blob, _mount_from: &[Home]) -> Result<Outcome> {
        if self.store.read(|c| c.blobs.contains_key(&desc.digest)) {
            return Ok(Outcome::Present);
        }
        let bytes = collect(verified(desc, blob.open(0).await?), desc.size).await?;
        self.store.write(|c| c.blobs.insert(desc.digest.clone(), bytes));
        Ok(Outcome::Moved)
    }

    async fn stream(&self, _size: Option<u64>) -> Result<Box<dyn Sink>> {
        Ok(Box::new(MemorySink { store: self.store.clone(), bytes: BytesMut::new() }))
    }

    async fn manifest(&self, desc: &Descriptor, bytes: &Bytes) -> Result<Outcome> {
        if self.store.read(|c| c.manifests.contains_key(&desc.digest)) {
            return Ok(Outcome::Present);
        }
        let bytes = collect(verified(desc, bytes.open(0).await?), desc.size).await?;
        Parsed::read(&desc.media_type, &bytes)?;
        self.note(|staged| staged.manifests.push((desc.bare(), bytes)))?;
        Ok(Outcome::Moved)
    }

    fn name(&self, change: NameChange) -> Result<()> {
        self.note(|staged| staged.names.push(change))
    }

    async fn commit(&self) -> Result<Committed> {
        let staged = std::mem::replace(&mut *self.staged(), Staged::over());
        if staged.over {
            return Err(ended());
        }
        self.store.write(|c| c.apply(self, staged))
    }

    async fn abandon(&self) {
        *self.staged() = Staged::over();
    }
}

impl Staged {
    fn over() -> Self {
        Self { over: true, ..Self::default() }
    }
}

impl Content {
    /// Applies all changes or none.
    fn apply(&mut self, writing: &MemorySession, Staged { manifests, names, .. }: Staged) -> Result<Committed> {
        let MemorySession { store, items, removals, .. } = writing;
        let new: HashMap<&Digest, &Bytes> = manifests.iter().map(|(desc, bytes)| (&desc.digest, bytes)).collect();
        let known = |digest: &Digest| self.manifests.contains_key(digest) || new.contains_key(digest);
        for Item { desc, role } in items {
            let bytes = new.get(&desc.digest).copied().or_else(|| self.blobs.get(&desc.digest));
            let here = bytes.is_some_and(|bytes| bytes.len() as u64 == desc.size);
            if !here || (*role == Role::Manifest && !known(&desc.digest)) {
                return Err(Error::not_found(format!("{} was expected in {store}, but never written", desc.digest)));
            }
        }
        for NameChange { name, to, expect, .. } in &names {
            let found = self.tags.get(name).map(|desc| &desc.digest);
            expect.check(name, found)?;
            match to {
                Some(desc) if !known(&desc.digest) => return Err(store.missing(&desc.digest)),
                None if found.is_none() => return Err(store.missing(format_args!("tag `{name}`"))),
                _ => {}
            }
        }
        if let Some(gone) = removals.iter().find(|item| !self.blobs.contains_key(&item.desc.digest)) {
            return Err(store.missing(&gone.desc.digest));
        }
        for (desc, bytes) in manifests {
            self.blobs.insert(desc.digest.clone(), bytes);
            self.manifests.insert(desc.digest.clone(), desc);
        }
        let mut committed = Committed::default();
        for NameChange { name, to, .. } in &names {
            let own = to.as_ref().and_then(|desc| self.manifests.get(&desc.digest).cloned());
            let before = match &own {
                Some(own) => self.tags.insert(name.clone(), own.clone()),
                None => self.tags.remove(name),
            };
            let outcome = NameOutcome::of(before.as_ref().map(|d| &d.digest), own.as_ref().map(|d| &d.digest));
            committed.names.push((name.clone(), outcome));
        }
        for Item { desc, .. } in removals {
            self.manifests.remove(&desc.digest);
            self.tags.retain(|_, tagged| tagged.digest != desc.digest);
            self.blobs.remove(&desc.digest);
        }
        Ok(committed)
    }
}

struct MemorySink {
    store: Memory,
    bytes: BytesMut,
}

#[async_trait]
impl Sink for MemorySink {
    fn offset(&self) -> u64 {
        self.bytes.len() as u64
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.bytes.extend_from_slice(&chunk);
        Ok(())
    }

    async fn finish(self: Box<Self>, expected: Option<&Digest>) -> Result<Descriptor> {
        let algorithm = expected.map_or_else(Algorithm::default, Digest::algorithm);
        let found = Digest::with(algorithm, &self.bytes);
        if let Some(expected) = expected {
            compare(expected, found.clone())?;
        }
        let bytes = self.bytes.freeze();
        let desc = Descriptor::new(media_type::OCTET_STREAM, found, bytes.len() as u64);
        self.store.write(|c| c.blobs.insert(desc.digest.clone(), bytes));
        Ok(desc)
    }
}
