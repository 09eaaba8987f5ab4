//! A real store that is watched, and that fails in one named way.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use artifact::{
    Error, Kind, Result,
    blob::{Blob, ByteStream, FileSlice},
    graph::Graph,
    oci::{Algorithm, Descriptor, Digest},
    store::{Claim, Home, Inventory, ReadStore, Store, Upload},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, future::BoxFuture, stream};

/// One call that reads or changes content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Fetch(Digest),
    Push(Digest),
    Publish(Digest, Vec<String>),
    Tag(String),
    Finish,
}

/// What is wrong with the store.
pub(crate) enum Fault {
    None,
    /// The call of this number, counted from 0, and all after it fail.
    From(usize),
    /// A push sets this tag and fails.
    Tags(String, Descriptor),
    /// The first so many fetches of this content deliver one flipped bit.
    Flipped(Digest, Mutex<usize>),
    /// It lists this among the referrers of everything.
    Referrer(Descriptor),
    /// It cannot say what it holds, as registries cannot.
    NoInventory,
    /// It resolves every name to this.
    Resolves(Descriptor),
}

/// A store, and what was asked of it.
pub(crate) struct Watched {
    inner: Arc<dyn Store>,
    fault: Fault,
    calls: Mutex<Vec<Call>>,
}

impl Watched {
    pub(crate) fn new(inner: Arc<dyn Store>, fault: Fault) -> Arc<Self> {
        Arc::new(Self { inner, fault, calls: Mutex::default() })
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
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
    async fn resolve(&self, name: &str) -> Result<Descriptor> {
        match &self.fault {
            Fault::Resolves(desc) => Ok(desc.clone()),
            _ => self.inner.resolve(name).await,
        }
    }

    async fn fetch(&self, desc: &Descriptor, from: u64) -> Result<ByteStream> {
        self.note(Call::Fetch(desc.digest.clone()))?;
        let stream = self.inner.fetch(desc, from).await?;
        if !self.flips(&desc.digest) {
            return Ok(stream);
        }
        let mut bytes = artifact::store::collect(stream, desc.size).await?.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        Ok(stream::iter([Ok(Bytes::from(bytes))]).boxed())
    }

    async fn size(&self, digest: &Digest) -> Result<u64> {
        self.inner.size(digest).await
    }

    async fn tags(&self) -> Result<Vec<String>> {
        self.inner.tags().await
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        let mut found = self.inner.referrers(subject).await?;
        if let Fault::Referrer(desc) = &self.fault {
            found.push(desc.clone());
        }
        Ok(found)
    }

    fn local(&self, desc: &Descriptor) -> Option<FileSlice> {
        self.inner.local(desc)
    }

    fn at_hand(&self, desc: &Descriptor) -> bool {
        self.inner.at_hand(desc)
    }

    fn home(&self, desc: &Descriptor) -> Option<Home> {
        self.inner.home(desc)
    }

    async fn inventory(&self) -> Result<Option<Inventory>> {
        match self.fault {
            Fault::NoInventory => Ok(None),
            _ => self.inner.inventory().await,
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for Watched {
    async fn expect(&self, graph: &Graph) -> Result<()> {
        self.inner.expect(graph).await
    }

    async fn contains(&self, desc: &Descriptor) -> Result<bool> {
        self.inner.contains(desc).await
    }

    fn closed(&self) -> bool {
        self.inner.closed()
    }

    async fn push(&self, desc: &Descriptor, blob: &dyn Blob) -> Result<()> {
        self.note(Call::Push(desc.digest.clone()))?;
        if let Fault::Tags(tag, target) = &self.fault {
            self.inner.tag(tag, target).await?;
            return Err(Error::new(Kind::Unreachable, "the line is dead"));
        }
        self.inner.push(desc, blob).await
    }

    async fn push_unnamed(
        &self,
        size: u64,
        content: ByteStream,
        digest: BoxFuture<'static, Result<Digest>>,
    ) -> Result<()> {
        self.inner.push_unnamed(size, content, digest).await
    }

    async fn mount(&self, desc: &Descriptor, from: &dyn ReadStore) -> Result<bool> {
        self.inner.mount(desc, from).await
    }

    async fn claim(&self, desc: &Descriptor, from: &dyn ReadStore) -> Result<Claim> {
        self.inner.claim(desc, from).await
    }

    async fn tag(&self, name: &str, desc: &Descriptor) -> Result<()> {
        self.note(Call::Tag(name.to_owned()))?;
        self.inner.tag(name, desc).await
    }

    async fn publish(&self, desc: &Descriptor, manifest: &Bytes, tags: &[String]) -> Result<()> {
        self.note(Call::Publish(desc.digest.clone(), tags.to_vec()))?;
        self.inner.publish(desc, manifest, tags).await
    }

    async fn finish(&self) -> Result<()> {
        self.note(Call::Finish)?;
        self.inner.finish().await
    }

    async fn abandon(&self, graph: &Graph) {
        self.inner.abandon(graph).await;
    }

    async fn untag(&self, name: &str) -> Result<()> {
        self.inner.untag(name).await
    }

    async fn delete(&self, desc: &Descriptor) -> Result<()> {
        self.inner.delete(desc).await
    }

    async fn upload(&self, algorithm: Algorithm) -> Result<Box<dyn Upload>> {
        self.inner.upload(algorithm).await
    }
}
