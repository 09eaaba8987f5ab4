//! Whole writings and single questions, as tests need them.

use artifact::{
    Result,
    blob::{Blob, ByteStream},
    oci::{Descriptor, Digest, Role, media_type},
    progress::Outcome,
    store::{self, Intent, Item, NameChange, ReadStore, Store, Write},
};
use bytes::Bytes;

use super::samples::ref_name;

/// Content of a sample in its role: what is described as a manifest is one.
pub(crate) fn item(desc: &Descriptor) -> Item {
    let role = if media_type::points(&desc.media_type) { Role::Manifest } else { Role::Blob };
    Item { desc: desc.clone(), role }
}

/// Begins to write nothing but this content.
pub(crate) async fn begin(store: &dyn Store, items: Vec<Item>) -> Result<Write> {
    store::begin(store, Intent { items, ..Intent::default() }).await
}

/// Commits what went well, and abandons what did not.
pub(crate) async fn end<T>(write: Write, outcome: Result<T>) -> Result<T> {
    match outcome {
        Ok(done) => write.commit().await.map(|_| done),
        Err(e) => {
            write.abandon().await;
            Err(e)
        }
    }
}

/// Stores a blob, in a session of its own.
pub(crate) async fn put(store: &dyn Store, desc: &Descriptor, blob: &dyn Blob) -> Result<Outcome> {
    let write = begin(store, vec![Item::blob(desc.clone())]).await?;
    let outcome = write.puts().put(desc, blob, &[]).await;
    end(write, outcome).await
}

/// The same for a blob that another store has, which may be near enough for a mount.
pub(crate) async fn put_from(
    store: &dyn Store,
    desc: &Descriptor,
    blob: &dyn Blob,
    from: &dyn ReadStore,
) -> Result<Outcome> {
    let item = Item::blob(desc.clone());
    let homes = Vec::from_iter(from.home(&item));
    let write = begin(store, vec![item]).await?;
    let outcome = write.puts().put(desc, blob, &homes).await;
    end(write, outcome).await
}

/// Stores a manifest under its tags, in a session of its own.
pub(crate) async fn publish(store: &dyn Store, desc: &Descriptor, bytes: &Bytes, tags: &[&str]) -> Result<()> {
    let names: Vec<_> = tags.iter().map(|tag| NameChange::set(ref_name(tag), desc.bare())).collect();
    let items = vec![Item::manifest(desc.clone())];
    let write = store::begin(store, Intent { items, names: names.clone(), ..Intent::default() }).await?;
    let outcome = async {
        write.puts().manifest(desc, bytes).await?;
        names.into_iter().try_for_each(|change| write.name(change))
    }
    .await;
    end(write, outcome).await
}

/// Content from an offset to its end, unverified.
pub(crate) async fn fetch(store: &dyn ReadStore, desc: &Descriptor, from: u64) -> Result<ByteStream> {
    store.fetch(&item(desc), from..desc.size).await
}

/// Content, verified.
pub(crate) async fn read(store: &dyn ReadStore, desc: &Descriptor, limit: u64) -> Result<Bytes> {
    store::read(store, &item(desc), limit).await
}

/// Whether content is there.
pub(crate) async fn has(store: &dyn ReadStore, desc: &Descriptor) -> Result<bool> {
    store::contains(store, &item(desc)).await
}

/// How many bytes a blob has.
pub(crate) async fn size(store: &dyn ReadStore, digest: &Digest) -> Result<u64> {
    store::size(store, digest, Role::Blob).await
}
