//! Helper functions for behaviours.

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

/// Content of a sample with its role, by media type.
pub(super) fn item(desc: &Descriptor) -> Item {
    let role = if media_type::points(&desc.media_type) { Role::Manifest } else { Role::Blob };
    Item { desc: desc.clone(), role }
}

/// Reads content from an offset to its end, unverified.
pub(super) async fn fetch(store: &dyn ReadStore, desc: &Descriptor, from: u64) -> Result<ByteStream> {
    store.fetch(&item(desc), from..desc.size).await
}

/// Reads verified content.
pub(super) async fn read(store: &dyn ReadStore, desc: &Descriptor, limit: u64) -> Result<Bytes> {
    store::read(store, &item(desc), limit).await
}

/// Reads verified content through a new handle.
pub(super) async fn content(c: &Candidate, desc: &Descriptor) -> Result<Bytes> {
    read(c.again().as_ref(), desc, 64 << 20).await
}

/// Reads verified content through the writing handle.
pub(super) async fn content_now(c: &Candidate, desc: &Descriptor) -> Result<Bytes> {
    read(c.store.as_ref(), desc, 64 << 20).await
}

/// Whether content exists.
pub(super) async fn has(store: &dyn ReadStore, desc: &Descriptor) -> Result<bool> {
    store::contains(store, &item(desc)).await
}

/// The size of a blob in bytes.
pub(super) async fn size(store: &dyn ReadStore, digest: &Digest) -> Result<u64> {
    store::size(store, digest, Role::Blob).await
}
