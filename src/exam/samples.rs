//! Small artifacts, functions that store them, and incomplete content.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::sync::Notify;

use crate::{
    blob::{Blob, ByteStream},
    error::{Error, Kind, Result},
    oci::{Descriptor, Index, Manifest, Parsed, RefName, media_type},
    store::{Intent, Item, Name, NameChange, ReadStore, Store, Write, begin},
    stores::Memory,
};

/// The artifact type of a sample.
pub const TYPE: &str = "application/vnd.test.v1";
/// The media type of the layers of a sample.
pub const LAYER: &str = "text/plain";

/// This text as a name to resolve.
#[must_use]
pub fn named(text: impl AsRef<str>) -> Name {
    text.as_ref().parse().unwrap()
}

/// This text as a name to set.
#[must_use]
pub fn ref_name(text: impl AsRef<str>) -> RefName {
    text.as_ref().parse().unwrap()
}

/// These texts as names to set.
#[must_use]
pub fn names(texts: &[&str]) -> Vec<RefName> {
    texts.iter().map(ref_name).collect()
}

/// An artifact in memory.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// The config and the layers.
    pub blobs: Vec<(Descriptor, Bytes)>,
    /// The manifests, children first, the root last.
    pub manifests: Vec<(Descriptor, Bytes)>,
}

impl Sample {
    /// An artifact with an empty config and these layers.
    #[must_use]
    pub fn of(layers: &[&[u8]]) -> Self {
        Self::new(layers, None)
    }

    /// An artifact with a subject.
    #[must_use]
    pub fn about(subject: &Descriptor, layer: &[u8]) -> Self {
        Self::new(&[layer], Some(subject.bare()))
    }

    fn new(layers: &[&[u8]], subject: Option<Descriptor>) -> Self {
        let layers = layers.iter().map(|bytes| (Descriptor::of(LAYER, bytes), Bytes::copy_from_slice(bytes)));
        Self::with_layers(layers.collect(), subject)
    }

    /// An artifact with these layers, with digests of any algorithm.
    #[must_use]
    pub fn with_layers(layers: Vec<(Descriptor, Bytes)>, subject: Option<Descriptor>) -> Self {
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.into()),
            artifact_type: Some(TYPE.into()),
            config: Descriptor::empty(),
            layers: layers.iter().map(|(desc, _)| desc.clone()).collect(),
            subject,
            annotations: [("org.example.note".to_owned(), "sample".to_owned())].into(),
        };
        let bytes = Bytes::from(serde_json::to_vec(&manifest).unwrap());
        let mut blobs = vec![(Descriptor::empty(), Bytes::from_static(b"{}"))];
        blobs.extend(layers);
        Self { blobs, manifests: vec![(Descriptor::of(media_type::MANIFEST, &bytes), bytes)] }
    }

    /// An index of other artifacts.
    #[must_use]
    pub fn index(children: &[Self]) -> Self {
        let index = Index::of(children.iter().map(|child| child.root().clone()).collect());
        let bytes = Bytes::from(serde_json::to_vec(&index).unwrap());
        let mut all = Self::default();
        for child in children {
            all.blobs.extend(child.blobs.iter().cloned());
            all.manifests.extend(child.manifests.iter().cloned());
        }
        all.manifests.push((Descriptor::of(media_type::INDEX, &bytes), bytes));
        all
    }

    /// The root manifest.
    #[must_use]
    pub fn root(&self) -> &Descriptor {
        &self.manifests.last().unwrap().0
    }

    /// The last layer.
    #[must_use]
    pub fn layer(&self) -> &(Descriptor, Bytes) {
        self.blobs.last().unwrap()
    }

    /// All blobs and manifests.
    pub fn all(&self) -> impl Iterator<Item = &(Descriptor, Bytes)> {
        self.blobs.iter().chain(&self.manifests)
    }

    /// A store in memory with only this sample, its root tagged.
    pub async fn in_memory(&self, tags: &[&str]) -> Arc<dyn ReadStore> {
        let memory: Arc<dyn Store> = Arc::new(Memory::new());
        deliver(&memory, self, tags).await.unwrap();
        memory
    }

    /// The intent to store this artifact with these tags.
    #[must_use]
    pub fn intent(&self, tags: &[&str]) -> Intent {
        let mut items: Vec<Item> = Vec::new();
        let blobs = self.blobs.iter().map(|(desc, _)| Item::blob(desc.bare()));
        for item in blobs.chain(self.manifests.iter().map(|(desc, _)| Item::manifest(desc.bare()))) {
            if !items.contains(&item) {
                items.push(item);
            }
        }
        let about = self.manifests.iter().map(|(desc, bytes)| (desc, Parsed::read(&desc.media_type, bytes).unwrap()));
        let about = about.filter(|(_, parsed)| parsed.subject().is_some());
        let mut listed: Vec<Descriptor> = about.map(|(desc, parsed)| parsed.listed(desc)).collect();
        if tags.is_empty() && listed.iter().all(|desc| desc.digest != self.root().digest) {
            listed.push(self.root().bare());
        }
        Intent { items, listed, names: self.names(tags), ..Intent::default() }
    }

    /// Changes that set these tags on the root.
    #[must_use]
    pub fn names(&self, tags: &[&str]) -> Vec<NameChange> {
        tags.iter().map(|tag| NameChange::set(ref_name(tag), self.root().bare())).collect()
    }

    /// Stores all of it, blobs first.
    pub async fn put_into(&self, write: &Write) -> Result<()> {
        let puts = write.puts();
        for (desc, bytes) in &self.blobs {
            puts.put(desc, bytes, &[]).await?;
        }
        for (desc, bytes) in &self.manifests {
            puts.manifest(desc, bytes).await?;
        }
        Ok(())
    }
}

/// Stores a sample as a copy does: declares all content, stores blobs, manifests and names, then commits.
pub async fn deliver(store: &Arc<dyn Store>, sample: &Sample, tags: &[&str]) -> Result<()> {
    let write = begin(store.as_ref(), sample.intent(tags)).await?;
    let put = sample.put_into(&write).await;
    match put.and_then(|()| sample.names(tags).into_iter().try_for_each(|change| write.name(change))) {
        Ok(()) => write.commit().await.map(drop),
        Err(e) => {
            write.abandon().await;
            Err(e)
        }
    }
}

/// Pseudo-random bytes, equal for equal seeds.
#[must_use]
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Content with an error after two thirds.
#[derive(Debug)]
pub struct Broken(pub Bytes);

#[async_trait]
impl Blob for Broken {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    async fn open(&self, from: u64) -> Result<ByteStream> {
        let upto = self.0.len() / 3 * 2;
        let error = Error::new(Kind::Unreachable, "the line is dead");
        Ok(stream::iter([Ok(self.0.slice(from as usize..upto)), Err(error)]).boxed())
    }
}

/// Content that stalls after half of its bytes, and then notifies.
#[derive(Debug)]
pub struct Stalling(pub Bytes, pub Arc<Notify>);

#[async_trait]
impl Blob for Stalling {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    async fn open(&self, _: u64) -> Result<ByteStream> {
        let (half, stalled) = (self.0.slice(..self.0.len() / 2), Arc::clone(&self.1));
        let rest = stream::once(async move {
            stalled.notify_one();
            std::future::pending().await
        });
        Ok(stream::iter([Ok(half)]).chain(rest).boxed())
    }
}
