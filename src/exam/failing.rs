//! Stores that fail on purpose.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::sync::Notify;

use super::samples::Stalling;
use crate::{
    blob::{Blob, ByteStream, FileSlice},
    error::{Error, Kind, Result},
    oci::{Descriptor, Digest, Platforms},
    progress::Outcome,
    store::{
        Abilities, Committed, Home, Intent, Inventory, Item, Name, NameChange, NamePage, Presence, ReadStore, Session,
        Sink, Store, collect,
    },
};

/// A store in which a number of calls that read or change content succeed, and all later ones fail.
pub(super) struct Failing {
    inner: Arc<dyn Store>,
    left: Arc<Left>,
}

/// The number of calls that still succeed.
struct Left(AtomicUsize);

impl Left {
    fn call(&self) -> Result<()> {
        let gone = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        gone.map(drop).map_err(|_| Error::new(Kind::Unreachable, "the connection is lost"))
    }
}

impl Failing {
    /// A store that fails from this call on, counted from 0.
    pub(super) fn from(inner: Arc<dyn Store>, call: usize) -> Self {
        Self { inner, left: Arc::new(Left(AtomicUsize::new(call))) }
    }
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ReadStore for Failing {
    async fn resolve(&self, name: &Name) -> Result<Descriptor> {
        self.inner.resolve(name).await
    }

    /// `None`: what is read counts as a call.
    async fn manifest_at_once(&self, _name: &Name) -> Result<Option<(Descriptor, Bytes)>> {
        Ok(None)
    }

    async fn fetch(&self, item: &Item, range: Range<u64>) -> Result<ByteStream> {
        self.left.call()?;
        self.inner.fetch(item, range).await
    }

    async fn has(&self, items: &[Item]) -> Result<Vec<Presence>> {
        self.inner.has(items).await
    }

    fn names(&self) -> BoxStream<'_, Result<NamePage>> {
        self.inner.names()
    }

    async fn list_names(&self) -> Result<NamePage> {
        self.inner.list_names().await
    }

    async fn list_names_after(&self, last: &str) -> Result<NamePage> {
        self.inner.list_names_after(last).await
    }

    async fn unnamed(&self) -> Result<Vec<Descriptor>> {
        self.inner.unnamed().await
    }

    async fn names_after(&self, last: Option<&str>, most: usize) -> Result<Option<NamePage>> {
        self.inner.names_after(last, most).await
    }

    async fn names_version(&self) -> Result<Option<u64>> {
        self.inner.names_version().await
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        self.inner.referrers(subject).await
    }

    async fn referrers_in_brief(&self, subject: &Descriptor) -> Result<Option<Vec<Descriptor>>> {
        self.inner.referrers_in_brief(subject).await
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
        self.inner.inventory().await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for Failing {
    fn abilities(&self) -> Abilities {
        self.inner.abilities()
    }

    fn intend(&self) {
        self.inner.intend();
    }

    async fn begin(&self, intent: Intent) -> Result<Arc<dyn Session>> {
        let inner = self.inner.begin(intent).await?;
        Ok(Arc::new(FailingSession { inner, left: Arc::clone(&self.left) }))
    }
}

/// A session of a failing store, which fails too.
struct FailingSession {
    inner: Arc<dyn Session>,
    left: Arc<Left>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Session for FailingSession {
    async fn put(&self, desc: &Descriptor, blob: &dyn Blob, mount_from: &[Home]) -> Result<Outcome> {
        self.left.call()?;
        self.inner.put(desc, blob, mount_from).await
    }

    async fn stream(&self, size: Option<u64>) -> Result<Box<dyn Sink>> {
        self.inner.stream(size).await
    }

    async fn manifest(&self, desc: &Descriptor, bytes: &Bytes) -> Result<Outcome> {
        self.left.call()?;
        self.inner.manifest(desc, bytes).await
    }

    async fn offer(&self, desc: &Descriptor, bytes: &Bytes) -> Result<()> {
        self.inner.offer(desc, bytes).await
    }

    fn name(&self, change: NameChange) -> Result<()> {
        self.left.call()?;
        self.inner.name(change)
    }

    async fn prepare(&self) -> Result<()> {
        self.inner.prepare().await
    }

    async fn commit(&self) -> Result<Committed> {
        self.left.call()?;
        self.inner.commit().await
    }

    async fn abandon(&self) {
        self.inner.abandon().await;
    }
}

/// A store that returns half of one blob, then stalls and reports it.
pub(super) struct Stalled {
    pub(super) inner: Arc<dyn ReadStore>,
    pub(super) digest: Digest,
    pub(super) stalled: Arc<Notify>,
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ReadStore for Stalled {
    async fn resolve(&self, name: &Name) -> Result<Descriptor> {
        self.inner.resolve(name).await
    }

    async fn fetch(&self, item: &Item, range: Range<u64>) -> Result<ByteStream> {
        let stream = self.inner.fetch(item, range).await?;
        if item.desc.digest != self.digest {
            return Ok(stream);
        }
        let bytes = collect(stream, item.desc.size).await?;
        Stalling(bytes, Arc::clone(&self.stalled)).open(0).await
    }

    async fn has(&self, items: &[Item]) -> Result<Vec<Presence>> {
        self.inner.has(items).await
    }

    fn names(&self) -> BoxStream<'_, Result<NamePage>> {
        self.inner.names()
    }

    async fn unnamed(&self) -> Result<Vec<Descriptor>> {
        self.inner.unnamed().await
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        self.inner.referrers(subject).await
    }

    async fn referrers_in_brief(&self, subject: &Descriptor) -> Result<Option<Vec<Descriptor>>> {
        self.inner.referrers_in_brief(subject).await
    }
}
