//! A store with manifests that only this process has.

use std::{collections::BTreeMap, fmt, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::{Home, Inventory, Item, Name, NamePage, Presence, ReadStore};
use crate::{
    blob::{ByteStream, FileSlice, part},
    error::Result,
    oci::{Descriptor, Digest, Platforms},
};

/// A store, read together with further manifests. Those have no name, and nothing refers to them.
#[derive(Clone)]
pub struct Added {
    store: Arc<dyn ReadStore>,
    manifests: BTreeMap<Digest, (Descriptor, Bytes)>,
}

impl Added {
    /// This store and these manifests. The bytes must be what the descriptors say.
    pub fn new(store: Arc<dyn ReadStore>, manifests: impl IntoIterator<Item = (Descriptor, Bytes)>) -> Self {
        let manifests = manifests.into_iter().map(|(desc, bytes)| (desc.digest.clone(), (desc, bytes))).collect();
        Self { store, manifests }
    }

    fn added(&self, digest: &Digest) -> Option<&(Descriptor, Bytes)> {
        self.manifests.get(digest)
    }
}

impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

impl fmt::Debug for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Added({self})")
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ReadStore for Added {
    async fn resolve(&self, name: &Name) -> Result<Descriptor> {
        let added = if let Name::Digest(digest) = name { self.added(digest) } else { None };
        match added {
            Some((desc, _)) => Ok(desc.clone()),
            None => self.store.resolve(name).await,
        }
    }

    /// `None`: what was added is read by its digest.
    async fn manifest_at_once(&self, _name: &Name) -> Result<Option<(Descriptor, Bytes)>> {
        Ok(None)
    }

    async fn fetch(&self, item: &Item, range: Range<u64>) -> Result<ByteStream> {
        match self.added(&item.desc.digest) {
            Some((_, bytes)) => Ok(part(bytes, &range)),
            None => self.store.fetch(item, range).await,
        }
    }

    async fn has(&self, items: &[Item]) -> Result<Vec<Presence>> {
        let mut found = self.store.has(items).await?;
        for (item, presence) in items.iter().zip(&mut found) {
            if let Some((desc, _)) = self.added(&item.desc.digest) {
                *presence = Presence::here(desc.size);
            }
        }
        Ok(found)
    }

    fn names(&self) -> BoxStream<'_, Result<NamePage>> {
        self.store.names()
    }

    async fn list_names(&self) -> Result<NamePage> {
        self.store.list_names().await
    }

    async fn list_names_after(&self, last: &str) -> Result<NamePage> {
        self.store.list_names_after(last).await
    }

    async fn unnamed(&self) -> Result<Vec<Descriptor>> {
        self.store.unnamed().await
    }

    async fn names_after(&self, last: Option<&str>, most: usize) -> Result<Option<NamePage>> {
        self.store.names_after(last, most).await
    }

    async fn names_version(&self) -> Result<Option<u64>> {
        self.store.names_version().await
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        match self.added(&subject.digest) {
            Some(_) => Ok(Vec::new()),
            None => self.store.referrers(subject).await,
        }
    }

    async fn referrers_in_brief(&self, subject: &Descriptor) -> Result<Option<Vec<Descriptor>>> {
        match self.added(&subject.digest) {
            Some(_) => Ok(Some(Vec::new())),
            None => self.store.referrers_in_brief(subject).await,
        }
    }

    async fn kept_platforms(&self, index: &Descriptor) -> Result<Option<Platforms>> {
        match self.added(&index.digest) {
            Some(_) => Ok(None),
            None => self.store.kept_platforms(index).await,
        }
    }

    fn local(&self, item: &Item) -> Option<FileSlice> {
        self.store.local(item).filter(|_| self.added(&item.desc.digest).is_none())
    }

    fn is_local_and_hashed(&self, item: &Item) -> bool {
        self.added(&item.desc.digest).is_none() && self.store.is_local_and_hashed(item)
    }

    fn home(&self, item: &Item) -> Option<Home> {
        self.store.home(item).filter(|_| self.added(&item.desc.digest).is_none())
    }

    async fn inventory(&self) -> Result<Option<Inventory>> {
        self.store.inventory().await
    }
}
