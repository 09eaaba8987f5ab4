//! The joint between everything that moves and everything that holds: two traits, and the one verifying reader.

mod verify;

use std::{collections::BTreeMap, fmt::Display, sync::Arc};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{TryStreamExt as _, future::BoxFuture};

pub use self::verify::verified;
pub(crate) use self::verify::{compare, verified_from};
use crate::{
    blob::{Blob, ByteStream, CHUNK, FileSlice},
    error::{Context as _, Error, Result},
    graph::Graph,
    oci::{Algorithm, Descriptor, Digest, MAX_MANIFEST, RegistryName, RepositoryName},
};

/// A place that content is read from. `Display` names it for people.
///
/// A store is *not* asked to verify what it hands out: [`open`] and [`read`] do, for all of them.
#[async_trait]
pub trait ReadStore: Display + Send + Sync {
    /// The descriptor that a tag or a digest stands for. Error kind `NotFound` when there is none.
    async fn resolve(&self, name: &str) -> Result<Descriptor>;

    /// The bytes of this content from an offset on, unverified. Error kind `NotFound` when it is not there.
    async fn fetch(&self, desc: &Descriptor, from: u64) -> Result<ByteStream>;

    /// How many bytes the content of this digest has, be it a blob or a manifest. Error kind `NotFound` when it is not
    /// here. Stores that know blobs by digest alone answer for themselves.
    async fn size(&self, digest: &Digest) -> Result<u64> {
        Ok(self.resolve(&digest.to_string()).await?.size)
    }

    /// All tags, sorted by bytes.
    async fn tags(&self) -> Result<Vec<String>>;

    /// The manifests whose `subject` this is, with their artifact type and annotations, sorted by digest.
    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>>;

    /// Where this content lies in a local file, if it does: the way to zero-copy paths.
    fn local(&self, _desc: &Descriptor) -> Option<FileSlice> {
        None
    }

    /// Whether this content lies on this machine: see [`Blob::at_hand`].
    fn at_hand(&self, desc: &Descriptor) -> bool {
        self.local(desc).is_some()
    }

    /// The registry and repository that hold this content, if any: what makes a mount possible.
    fn home(&self, _desc: &Descriptor) -> Option<Home> {
        None
    }

    /// All that is held here, unread and unverified, for those who check or clean up; `None` for a store that cannot
    /// say.
    async fn inventory(&self) -> Result<Option<Inventory>> {
        Ok(None)
    }
}

/// What a store holds.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// The manifests that are listed, each as it is described in the list: tagged ones with their
    /// [`crate::oci::annotation::REF_NAME`].
    pub entries: Vec<Descriptor>,
    /// All content, with its size in bytes.
    pub blobs: BTreeMap<Digest, u64>,
    /// Paths of what is neither content nor part of the format.
    pub strays: Vec<String>,
    /// Paths of unfinished files that a crash left behind.
    pub leftovers: Vec<String>,
}

/// A registry (`host[:port]`) and a repository in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// `host[:port]`
    pub registry: RegistryName,
    /// The repository's name.
    pub repository: RepositoryName,
}

/// A place that content is written to.
///
/// The order of calls is that of [`crate::copy()`]: `expect`, then blobs, then manifests children first with `push` and
/// `publish`, then `finish`, or after an error `abandon`. A store may refuse content that it was not told to expect.
#[async_trait]
pub trait Store: ReadStore {
    /// All that is about to be pushed. An archive lays itself out here.
    async fn expect(&self, _graph: &Graph) -> Result<()> {
        Ok(())
    }

    /// Whether this content is here already.
    async fn contains(&self, desc: &Descriptor) -> Result<bool>;

    /// Whether a manifest that is here proves that all its content is: true of registries, which refuse a manifest
    /// whose content they lack.
    fn closed(&self) -> bool {
        false
    }

    /// Stores this content, verified. Pushing what is there already is no error.
    async fn push(&self, desc: &Descriptor, blob: &dyn Blob) -> Result<()>;

    /// Stores content of this size whose digest becomes known while it moves. It is asked for once: after an error
    /// nothing is stored, and [`Store::push`] may fare better. An error in the place of the digest, and dropping the
    /// future, give it up.
    async fn push_unnamed(
        &self,
        _size: u64,
        _content: ByteStream,
        _digest: BoxFuture<'static, Result<Digest>>,
    ) -> Result<()> {
        Err(Error::unsupported(format!("{self} wants the digest of content first")))
    }

    /// Takes this content from a neighbour without moving it; `false` when that is not possible.
    async fn mount(&self, _desc: &Descriptor, _from: &dyn ReadStore) -> Result<bool> {
        Ok(false)
    }

    /// What is to be done about a blob that is in another store: pushed only if it is neither here nor with a
    /// neighbour. A store that asks by opening an upload keeps that for the push.
    async fn claim(&self, desc: &Descriptor, from: &dyn ReadStore) -> Result<Claim> {
        if self.contains(desc).await? {
            return Ok(Claim::Present);
        }
        Ok(if self.mount(desc, from).await? { Claim::Mounted } else { Claim::Absent })
    }

    /// Points a tag at a manifest that is here, replacing what it pointed at.
    async fn tag(&self, name: &str, desc: &Descriptor) -> Result<()>;

    /// Stores a manifest and points tags at it.
    async fn publish(&self, desc: &Descriptor, manifest: &Bytes, tags: &[String]) -> Result<()> {
        self.push(desc, manifest).await?;
        for tag in tags {
            self.tag(tag, desc).await?;
        }
        Ok(())
    }

    /// Makes all that was pushed durable and visible. Nothing else is needed after the last call.
    async fn finish(&self) -> Result<()> {
        Ok(())
    }

    /// Gives up what was begun with `expect` and this graph: called once after any error since, one of `finish` included.
    /// Its tags that are not visible yet never will be; content stays for the next attempt, as far as the store keeps it.
    async fn abandon(&self, _graph: &Graph) {}

    /// Removes a tag, not what it points at. Error kind `NotFound` when there is none.
    async fn untag(&self, name: &str) -> Result<()>;

    /// Removes this content, and the tags that point at it.
    async fn delete(&self, desc: &Descriptor) -> Result<()>;

    /// A way to store content whose digest is not known yet.
    async fn upload(&self, _algorithm: Algorithm) -> Result<Box<dyn Upload>> {
        Err(Error::unsupported(format!("{self} takes no content of unknown digest")))
    }
}

/// Whether a store needs to be given a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It has it.
    Present,
    /// It took it from a neighbour.
    Mounted,
    /// It lacks it.
    Absent,
}

/// Content on its way into a store. Dropping it discards it.
#[async_trait]
pub trait Upload: Send + Sync {
    /// How many bytes have been taken.
    fn offset(&self) -> u64;

    /// Takes more bytes.
    async fn write(&mut self, chunk: Bytes) -> Result<()>;

    /// Stores what was taken under its digest. With `expected`, any other digest is an error of kind `Mismatch`
    /// and nothing is stored.
    async fn commit(self: Box<Self>, expected: Option<&Digest>) -> Result<Digest>;
}

/// The content of this descriptor, verified while it is read.
pub async fn open(store: &dyn ReadStore, desc: &Descriptor) -> Result<ByteStream> {
    Ok(verified(desc, store.fetch(desc, 0).await?))
}

/// The whole content of this descriptor, verified, in memory. Errors: more than `limit` bytes.
pub async fn read(store: &dyn ReadStore, desc: &Descriptor, limit: u64) -> Result<Bytes> {
    if desc.size > limit {
        return Err(Error::limit(format!("{} has {} bytes; {limit} are allowed here", desc.digest, desc.size)));
    }
    collect(open(store, desc).await?, desc.size).await.context(|| format!("read {} from {store}", desc.digest))
}

/// A manifest, verified: at most 8 MiB, twice what may be written.
pub async fn read_manifest(store: &dyn ReadStore, desc: &Descriptor) -> Result<Bytes> {
    read(store, desc, 2 * MAX_MANIFEST).await
}

/// Asks a store for what was stored: every tag must stand for this manifest, and it must be there, byte for byte.
///
/// Errors: kind `Mismatch` when a tag stands for another one, as with a registry that says it stored a manifest and
/// stores another.
pub async fn read_back(store: &dyn ReadStore, desc: &Descriptor, tags: &[String]) -> Result<()> {
    let what = || format!("read {} back from {store}", desc.digest);
    for tag in tags {
        let found = store.resolve(tag).await.context(what)?;
        if found.digest != desc.digest {
            return Err(Error::mismatch(format!("tag `{tag}` stands for {}", found.digest)).context(what()));
        }
    }
    read_manifest(store, desc).await.context(what).map(drop)
}

/// All chunks as one. Errors: more than `limit` bytes.
pub async fn collect(mut stream: ByteStream, limit: u64) -> Result<Bytes> {
    let mut all = BytesMut::new();
    while let Some(chunk) = stream.try_next().await? {
        // Content that comes in one piece stays where it is; a small piece could hold on to a large buffer.
        if all.is_empty() && chunk.len() >= CHUNK && chunk.len() as u64 == limit {
            while let Some(more) = stream.try_next().await? {
                if !more.is_empty() {
                    return Err(Error::limit(format!("more than {limit} bytes")));
                }
            }
            return Ok(chunk);
        }
        if (all.len() as u64).saturating_add(chunk.len() as u64) > limit {
            return Err(Error::limit(format!("more than {limit} bytes")));
        }
        if all.is_empty() {
            // Content of a piece or less gets its room at once.
            all.reserve(usize::try_from(limit).unwrap_or(CHUNK).min(CHUNK));
        }
        all.extend_from_slice(&chunk);
    }
    Ok(all.freeze())
}

/// Content of a store, as a blob: opened by fetching, sent onwards without a copy in between.
#[derive(Clone)]
pub struct Stored {
    store: Arc<dyn ReadStore>,
    desc: Descriptor,
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {}", self.desc.digest, self.store)
    }
}

impl Stored {
    /// This content of this store.
    #[must_use]
    pub fn new(store: Arc<dyn ReadStore>, desc: Descriptor) -> Self {
        Self { store, desc }
    }
}

#[async_trait]
impl Blob for Stored {
    fn size(&self) -> u64 {
        self.desc.size
    }

    async fn open(&self, from: u64) -> Result<ByteStream> {
        self.store.fetch(&self.desc, from).await
    }

    fn local(&self) -> Option<FileSlice> {
        self.store.local(&self.desc)
    }

    fn at_hand(&self) -> bool {
        self.store.at_hand(&self.desc)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;
    use crate::{blob, error::Kind};

    #[tokio::test]
    async fn content_in_one_large_piece_is_not_copied() {
        let large = Bytes::from(vec![7; CHUNK]);
        let same = collect(blob::once(large.clone()), CHUNK as u64).await.unwrap();
        assert_eq!(same.as_ptr(), large.as_ptr());
        let more = blob::once(large).chain(blob::once(Bytes::from_static(b"x"))).boxed();
        assert_eq!(collect(more, CHUNK as u64).await.unwrap_err().kind(), Kind::Limit);
    }
}
