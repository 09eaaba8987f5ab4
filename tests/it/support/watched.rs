//! A real store that is watched, and that fails in one named way.

use std::{
    collections::VecDeque,
    fmt,
    ops::Range,
    sync::{Arc, Mutex},
};

use artifact::{
    Error, Kind, Result,
    blob::{Blob, ByteStream, FileSlice},
    oci::{Descriptor, Digest, Platforms, RefName},
    progress::Outcome,
    store::{
        Abilities, Committed, Home, Intent, Inventory, Item, Name, NameChange, NamePage, Presence, ReadStore, Session,
        Sink, Store,
    },
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, future::BoxFuture, stream, stream::BoxStream};

/// One call that reads or changes content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Fetch(Digest),
    Put(Digest),
    Manifest(Digest),
    Name(RefName),
    Commit,
}

/// What is wrong with the store.
pub(crate) enum Fault {
    None,
    /// The call of this number, counted from 0, and all after it fail.
    From(usize),
    /// The first so many fetches of this content deliver one flipped bit.
    Flipped(Digest, Mutex<usize>),
    /// It lists this among the referrers of everything.
    Referrer(Descriptor),
    /// It cannot say what it holds, as registries cannot.
    NoInventory,
    /// After each look at what it holds, the next of these happens: others change the store.
    Meanwhile(Mutex<VecDeque<BoxFuture<'static, ()>>>),
    /// It resolves every name to this.
    Resolves(Descriptor),
}

/// A store, and what was asked of it.
pub(crate) struct Watched {
    inner: Arc<dyn Store>,
    watch: Arc<Watch>,
}

/// What its sessions share with it.
struct Watch {
    fault: Fault,
    calls: Mutex<Vec<Call>>,
    questions: Mutex<Vec<String>>,
}

impl Watched {
    pub(crate) fn new(inner: Arc<dyn Store>, fault: Fault) -> Arc<Self> {
        Arc::new(Self { inner, watch: Arc::new(Watch { fault, calls: Mutex::default(), questions: Mutex::default() }) })
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.watch.calls.lock().unwrap().clone()
    }

    /// What it was asked about names since the last time.
    pub(crate) fn questions(&self) -> Vec<String> {
        std::mem::take(&mut *self.watch.questions.lock().unwrap())
    }
}

impl Watch {
    fn ask(&self, question: &str) {
        self.questions.lock().unwrap().push(question.to_owned());
    }

    fn note(&self, call: Call) -> Result<()> {
        let mut calls = self.calls.lock().unwrap();
        calls.push(call);
        match self.fault {
            Fault::From(n) if calls.len() > n => Err(Error::new(Kind::Unreachable, "the line is dead")),
            _ => Ok(()),
        }
    }

    /// Whether this fetch is one that goes wrong.
    fn flips(&self, digest: &Digest) -> bool {
        let Fault::Flipped(wrong, left) = &self.fault else { return false };
        let mut left = left.lock().unwrap();
        let now = wrong == digest && *left > 0;
        *left -= usize::from(now);
        now
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ReadStore for Watched {
    async fn resolve(&self, name: &Name) -> Result<Descriptor> {
        self.watch.ask(&format!("resolve {name}"));
        match &self.watch.fault {
            Fault::Resolves(desc) => Ok(desc.clone()),
            _ => self.inner.resolve(name).await,
        }
    }

    /// `None`, so that what is resolved and what is fetched are watched.
    async fn manifest_at_once(&self, _name: &Name) -> Result<Option<(Descriptor, Bytes)>> {
        Ok(None)
    }

    async fn fetch(&self, item: &Item, range: Range<u64>) -> Result<ByteStream> {
        let digest = &item.desc.digest;
        self.watch.note(Call::Fetch(digest.clone()))?;
        let stream = self.inner.fetch(item, range).await?;
        if !self.watch.flips(digest) {
            return Ok(stream);
        }
        let mut bytes = artifact::store::collect(stream, item.desc.size).await?.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        Ok(stream::iter([Ok(Bytes::from(bytes))]).boxed())
    }

    async fn has(&self, items: &[Item]) -> Result<Vec<Presence>> {
        self.inner.has(items).await
    }

    fn names(&self) -> BoxStream<'_, Result<NamePage>> {
        self.watch.ask("names");
        self.inner.names()
    }

    async fn list_names(&self) -> Result<NamePage> {
        self.watch.ask("names");
        self.inner.list_names().await
    }

    async fn list_names_after(&self, last: &str) -> Result<NamePage> {
        self.watch.ask("names");
        self.inner.list_names_after(last).await
    }

    async fn unnamed(&self) -> Result<Vec<Descriptor>> {
        self.inner.unnamed().await
    }

    async fn names_after(&self, last: Option<&str>, most: usize) -> Result<Option<NamePage>> {
        self.watch.ask("names_after");
        self.inner.names_after(last, most).await
    }

    async fn names_version(&self) -> Result<Option<u64>> {
        self.watch.ask("names_version");
        self.inner.names_version().await
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        let mut found = self.inner.referrers(subject).await?;
        if let Fault::Referrer(desc) = &self.watch.fault {
            found.push(desc.clone());
        }
        Ok(found)
    }

    /// `None`, so that it is asked for all of them.
    async fn referrers_in_brief(&self, _subject: &Descriptor) -> Result<Option<Vec<Descriptor>>> {
        Ok(None)
    }

    async fn kept_platforms(&self, index: &Descriptor) -> Result<Option<Platforms>> {
        self.inner.kept_platforms(index).await
    }

    fn local(&self, item: &Item) -> Option<FileSlice> {
        self.inner.local(item)
    }

    fn is_local_and_hashed(&self, item: &Item) -> bool {
        self.inner.is_local_and_hashed(item)
    }

    fn home(&self, item: &Item) -> Option<Home> {
        self.inner.home(item)
    }

    async fn inventory(&self) -> Result<Option<Inventory>> {
        match self.watch.fault {
            Fault::NoInventory => Ok(None),
            Fault::Meanwhile(ref changes) => {
                let inventory = self.inner.inventory().await;
                let change = changes.lock().unwrap().pop_front();
                if let Some(change) = change {
                    change.await;
                }
                inventory
            }
            _ => self.inner.inventory().await,
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for Watched {
    fn abilities(&self) -> Abilities {
        self.inner.abilities()
    }

    fn intend(&self) {
        self.inner.intend();
    }

    async fn begin(&self, intent: Intent) -> Result<Arc<dyn Session>> {
        let inner = self.inner.begin(intent).await?;
        Ok(Arc::new(Writing { inner, watch: Arc::clone(&self.watch) }))
    }
}

/// A session of the store, watched in the same way.
struct Writing {
    inner: Arc<dyn Session>,
    watch: Arc<Watch>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Session for Writing {
    async fn put(&self, desc: &Descriptor, blob: &dyn Blob, mount_from: &[Home]) -> Result<Outcome> {
        self.watch.note(Call::Put(desc.digest.clone()))?;
        self.inner.put(desc, blob, mount_from).await
    }

    async fn stream(&self, size: Option<u64>) -> Result<Box<dyn Sink>> {
        self.inner.stream(size).await
    }

    async fn manifest(&self, desc: &Descriptor, bytes: &Bytes) -> Result<Outcome> {
        self.watch.note(Call::Manifest(desc.digest.clone()))?;
        self.inner.manifest(desc, bytes).await
    }

    async fn offer(&self, desc: &Descriptor, bytes: &Bytes) -> Result<()> {
        self.inner.offer(desc, bytes).await
    }

    fn name(&self, change: NameChange) -> Result<()> {
        self.watch.note(Call::Name(change.name.clone()))?;
        self.inner.name(change)
    }

    async fn prepare(&self) -> Result<()> {
        self.inner.prepare().await
    }

    async fn commit(&self) -> Result<Committed> {
        self.watch.note(Call::Commit)?;
        self.inner.commit().await
    }

    async fn abandon(&self) {
        self.inner.abandon().await;
    }
}
