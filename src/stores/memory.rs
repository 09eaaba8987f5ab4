//! A store in memory: for tests, for the tour, and as the shortest example of what a store is.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use crate::{
    blob::{Blob, ByteStream},
    error::{Error, Result},
    oci::{Algorithm, Descriptor, Digest, Hasher, Parsed, RefName, annotation, media_type},
    store::{Inventory, ReadStore, Store, Upload, collect, compare, verified},
};

/// Content and tags in memory. Cloning gives another handle on the same store.
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
    async fn resolve(&self, name: &str) -> Result<Descriptor> {
        let found = match name.parse::<Digest>() {
            Ok(digest) => self.read(|c| c.manifests.get(&digest).cloned()),
            Err(_) => self.read(|c| c.tags.get(name).cloned()),
        };
        found.ok_or_else(|| self.missing(format_args!("`{}`", name)))
    }

    async fn fetch(&self, desc: &Descriptor, from: u64) -> Result<ByteStream> {
        let bytes = self.read(|c| c.blobs.get(&desc.digest).cloned());
        bytes.ok_or_else(|| self.missing(&desc.digest))?.open(from).await
    }

    async fn size(&self, digest: &Digest) -> Result<u64> {
        let found = self.read(|c| c.blobs.get(digest).map(Bytes::len));
        found.map(|len| len as u64).ok_or_else(|| self.missing(digest))
    }

    async fn tags(&self) -> Result<Vec<String>> {
        Ok(self.read(|c| c.tags.keys().map(ToString::to_string).collect()))
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
    async fn contains(&self, desc: &Descriptor) -> Result<bool> {
        Ok(self.read(|c| {
            c.blobs.contains_key(&desc.digest)
                && (!media_type::points(&desc.media_type) || c.manifests.contains_key(&desc.digest))
        }))
    }

    async fn push(&self, desc: &Descriptor, blob: &dyn Blob) -> Result<()> {
        let bytes = collect(verified(desc, blob.open(0).await?), desc.size).await?;
        self.write(|c| {
            c.blobs.insert(desc.digest.clone(), bytes);
            if media_type::points(&desc.media_type) {
                c.manifests.insert(desc.digest.clone(), desc.bare());
            }
        });
        Ok(())
    }

    async fn tag(&self, name: &str, desc: &Descriptor) -> Result<()> {
        let name: RefName = name.parse()?;
        self.write(|c| match c.manifests.get(&desc.digest).cloned() {
            Some(own) => {
                c.tags.insert(name, own);
                Ok(())
            }
            None => Err(self.missing(&desc.digest)),
        })
    }

    async fn untag(&self, name: &str) -> Result<()> {
        let gone = self.write(|c| c.tags.remove(name));
        gone.map(drop).ok_or_else(|| self.missing(format_args!("tag `{}`", name)))
    }

    async fn delete(&self, desc: &Descriptor) -> Result<()> {
        let gone = self.write(|c| {
            c.manifests.remove(&desc.digest);
            c.tags.retain(|_, tagged| tagged.digest != desc.digest);
            c.blobs.remove(&desc.digest)
        });
        gone.map(drop).ok_or_else(|| self.missing(&desc.digest))
    }

    async fn upload(&self, algorithm: Algorithm) -> Result<Box<dyn Upload>> {
        Ok(Box::new(Growing { store: self.clone(), bytes: BytesMut::new(), hasher: Hasher::new(algorithm) }))
    }
}

struct Growing {
    store: Memory,
    bytes: BytesMut,
    hasher: Hasher,
}

#[async_trait]
impl Upload for Growing {
    fn offset(&self) -> u64 {
        self.bytes.len() as u64
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.hasher.update(&chunk);
        self.bytes.extend_from_slice(&chunk);
        Ok(())
    }

    async fn commit(self: Box<Self>, expected: Option<&Digest>) -> Result<Digest> {
        let found = match expected {
            Some(expected) => {
                let found = Digest::with(expected.algorithm(), &self.bytes);
                compare(expected, found.clone())?;
                found
            }
            None => self.hasher.finish(),
        };
        let bytes = self.bytes.freeze();
        self.store.write(|c| c.blobs.insert(found.clone(), bytes));
        Ok(found)
    }
}
