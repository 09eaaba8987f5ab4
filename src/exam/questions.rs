//! Short forms of what the behaviours ask.

use bytes::Bytes;

use super::{Candidate, samples::Sample};
use crate::{
    blob::ByteStream,
    error::{Kind, Result},
    oci::{Descriptor, Digest, Role, media_type},
    store::{self, Item, ReadStore},
};

pub(super) fn sample() -> Sample {
    Sample::of(&[b"hello", b"world"])
}

pub(super) fn kind<T>(result: Result<T>) -> Kind {
    result.err().expect("an error").kind()
}

/// Content of a sample in its role: what is described as a manifest is one.
pub(super) fn item(desc: &Descriptor) -> Item {
    let role = if media_type::points(&desc.media_type) { Role::Manifest } else { Role::Blob };
    Item { desc: desc.clone(), role }
}

/// Content from an offset to its end, unverified.
pub(super) async fn fetch(store: &dyn ReadStore, desc: &Descriptor, from: u64) -> Result<ByteStream> {
    store.fetch(&item(desc), from..desc.size).await
}

/// Content, verified.
pub(super) async fn read(store: &dyn ReadStore, desc: &Descriptor, limit: u64) -> Result<Bytes> {
    store::read(store, &item(desc), limit).await
}

/// What a fresh handle reads, verified.
pub(super) async fn content(c: &Candidate, desc: &Descriptor) -> Result<Bytes> {
    read(c.again().as_ref(), desc, 64 << 20).await
}

/// What the writing handle reads, verified.
pub(super) async fn content_now(c: &Candidate, desc: &Descriptor) -> Result<Bytes> {
    read(c.store.as_ref(), desc, 64 << 20).await
}

/// Whether content is there.
pub(super) async fn has(store: &dyn ReadStore, desc: &Descriptor) -> Result<bool> {
    store::contains(store, &item(desc)).await
}

/// How many bytes a blob has.
pub(super) async fn size(store: &dyn ReadStore, digest: &Digest) -> Result<u64> {
    store::size(store, digest, Role::Blob).await
}
