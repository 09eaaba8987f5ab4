//! The interface of stores: reading, writing sessions, and the single verifying reader.

mod added;
mod item;
mod name;
mod pattern;
mod session;
mod union;
mod verify;
mod write;

use std::{
    collections::BTreeMap,
    fmt::Display,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};

pub(crate) use self::verify::{compare, verified_from};
pub use self::{
    added::Added,
    item::{Item, Presence},
    name::{Name, NamePage},
    pattern::NamePattern,
    session::{Committed, Expect, Intent, NameChange, NameOutcome, Session, Sink},
    union::Union,
    verify::verified,
    write::{Puts, Write, begin, delete, remove_name, set_name},
};
use crate::{
    blob::{Blob, ByteStream, CHUNK, FileSlice},
    error::{Context as _, Error, Kind, Result},
    oci::{Descriptor, Digest, DigestPrefix, MAX_MANIFEST, Platforms, RefName, RegistryName, RepositoryName, Role},
};

/// A source of content. `Display` names it for people.
///
/// A store need *not* verify the content that it returns: [`open`] and [`read`] do so for all stores.
#[async_trait]
pub trait ReadStore: Display + Send + Sync {
    /// The manifest that a name stands for. Errors: kind `NotFound` if there is none.
    async fn resolve(&self, name: &Name) -> Result<Descriptor>;

    /// The manifest that a name stands for, verified, where one request gives both; `None` in a store that cannot do so
    /// for less than [`ReadStore::resolve`] and [`read_manifest`]: see [`read_named`].
    async fn manifest_at_once(&self, _name: &Name) -> Result<Option<(Descriptor, Bytes)>> {
        Ok(None)
    }

    /// At most the bytes of this range, unverified. Errors: kind `NotFound` if the content does not exist.
    async fn fetch(&self, item: &Item, range: Range<u64>) -> Result<ByteStream>;

    /// Presence and size of each item, whatever size its descriptor has. Only reads: never opens an upload, and never
    /// fails because one query was refused.
    async fn has(&self, items: &[Item]) -> Result<Vec<Presence>>;

    /// All names, page by page, each page as large as the store returns at once. Invalid names are reported with the
    /// page.
    fn names(&self) -> BoxStream<'_, Result<NamePage>>;

    /// All names in one page, sorted by bytes, without duplicates.
    async fn list_names(&self) -> Result<NamePage> {
        NamePage::all(self.names()).await
    }

    /// All names behind this one, sorted by bytes, without duplicates: those that come after it by their bytes, or in the
    /// order of a registry, which is asked for no others.
    async fn list_names_after(&self, last: &str) -> Result<NamePage> {
        Ok(self.list_names().await?.after(last))
    }

    /// The listed manifests without a name, with their platform and artifact type, in the order of the list: only a
    /// digest leads to them. Manifests with a subject are not among them. None by default, as in a registry, which lists
    /// names only.
    async fn unnamed(&self) -> Result<Vec<Descriptor>> {
        Ok(Vec::new())
    }

    /// At most `most` names behind `last`, or from the first on, sorted by bytes, without duplicates; with one reason why
    /// names may be missing, if there is one. Who shows a page of a long list holds no more than that. `None` for a
    /// store that cannot give a part for less than the cost of all of them.
    async fn names_after(&self, _last: Option<&str>, _most: usize) -> Result<Option<NamePage>> {
        Ok(None)
    }

    /// A number that changes whenever the names may have changed since an earlier call; no store of this process ever
    /// gives it for other names: see [`new_version`]. `None` if the store cannot tell for less than the cost of listing
    /// the names.
    async fn names_version(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// The manifests with this `subject`, with their artifact type and annotations, sorted by digest.
    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>>;

    /// Like [`ReadStore::referrers`], but without annotations, which may take megabytes in each of thousands of
    /// manifests; `None` if the store cannot list referrers for less memory.
    async fn referrers_in_brief(&self, _subject: &Descriptor) -> Result<Option<Vec<Descriptor>>> {
        Ok(None)
    }

    /// The platforms of an index that a copy brought here, if it left out others on purpose: see [`Intent::parts`]. `None`
    /// if nothing is known to be left out, as in a registry.
    async fn kept_platforms(&self, _index: &Descriptor) -> Result<Option<Platforms>> {
        Ok(None)
    }

    /// The local file with this content, if there is one, for zero-copy transfers. Must not block.
    fn local(&self, _item: &Item) -> Option<FileSlice> {
        None
    }

    /// True if the content is local and was hashed when it was described: see [`Blob::is_local_and_hashed`].
    fn is_local_and_hashed(&self, item: &Item) -> bool {
        self.local(item).is_some()
    }

    /// The registry and repository with this content, if any, as the source of a mount.
    fn home(&self, _item: &Item) -> Option<Home> {
        None
    }

    /// All content of the store, neither read nor verified, for checks and cleanup; `None` for a store that cannot list
    /// it.
    async fn inventory(&self) -> Result<Option<Inventory>> {
        Ok(None)
    }
}

/// The content of a store.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// The listed manifests, each with its descriptor in the list: tagged ones have
    /// [`crate::oci::annotation::REF_NAME`].
    pub entries: Vec<Descriptor>,
    /// All content, with its size in bytes.
    pub blobs: BTreeMap<Digest, u64>,
    /// Size of the list of manifests itself, in bytes; 0 for a store without one, and for one whose list is part of a
    /// larger file.
    pub list: u64,
    /// Paths of files that are neither content nor part of the format.
    pub strays: Vec<String>,
    /// Paths of unfinished files, left by a crash.
    pub leftovers: Vec<String>,
    /// Flaws of the list, or of the file that holds the store.
    pub flaws: Vec<Flaw>,
}

/// A flaw of a store itself, independent of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Its severity.
    pub kind: FlawKind,
    /// The file.
    pub place: String,
    /// Details, on one line.
    pub message: String,
}

/// The severity of a flaw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlawKind {
    /// A part of the list is unreadable.
    Unreadable,
    /// The list of a registry has a tag that no registry can have: it cannot be asked for.
    NotATag,
    /// A part of the list is one letter away from what every writer writes.
    OneLetter,
    /// A part of the list is readable, but not what a writer would have meant.
    Doubtful,
    /// The file that marks a layout is missing.
    Unmarked,
    /// Padding bytes differ from those that every writer produces.
    Filling,
}

/// A registry (`host[:port]`) and a repository in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// `host[:port]`
    pub registry: RegistryName,
    /// The repository's name.
    pub repository: RepositoryName,
}

/// A target for content, written in sessions: see [`begin`].
#[async_trait]
pub trait Store: ReadStore {
    /// The capabilities of this store.
    fn abilities(&self) -> Abilities;

    /// Announces a write: a registry then requests a token for writing at once, instead of one for reading first.
    fn intend(&self) {}

    /// Begins a session. Called by [`begin`], which wraps the session in a [`Write`].
    ///
    /// Errors: kind `Busy` if the store takes one writer at a time and has one.
    async fn begin(&self, intent: Intent) -> Result<Arc<dyn Session>>;
}

/// The capabilities of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Abilities {
    /// Accepts content of unknown digest: [`Session::stream`].
    pub streams: bool,
    /// Requires the [`Intent`] to list all content.
    pub needs_all: bool,
    /// Accepts manifests of any media type.
    pub any_media_type: bool,
    /// Can remove content.
    pub deletes: bool,
    /// A manifest in this store proves that all its content is there: registries refuse incomplete manifests.
    pub refuses_incomplete: bool,
    /// The largest accepted blob in bytes, if known.
    pub largest_blob: Option<u64>,
    /// The largest accepted manifest in bytes, if that is less than can be read.
    pub largest_manifest: Option<u64>,
}

impl Abilities {
    /// All capabilities and no requirements: memory, a layout.
    pub const ALL: Self = Self {
        streams: true,
        needs_all: false,
        any_media_type: true,
        deletes: true,
        refuses_incomplete: false,
        largest_blob: None,
        largest_manifest: None,
    };
}

/// A number for [`ReadStore::names_version`] that no other call in this process gives.
pub fn new_version() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

/// All names, if the store returns them in one page; `None` if there are more pages or the query fails: resolve names
/// one by one then.
pub async fn names_at_once(store: &dyn ReadStore) -> Option<Vec<RefName>> {
    let page = store.names().try_next().await.ok()?.unwrap_or_default();
    (!page.more).then_some(page.names)
}

/// The names of a store that returns all of them at once.
pub fn one_page<'a>(page: impl Future<Output = Result<NamePage>> + Send + 'a) -> BoxStream<'a, Result<NamePage>> {
    stream::once(page).boxed()
}

/// The manifest whose digest starts with `prefix`, for stores that can list their content.
///
/// Errors: kind `NotFound` if there is none, `Ambiguous` if there are several; a store that cannot list its content.
pub async fn resolve_prefix(store: &dyn ReadStore, prefix: &DigestPrefix) -> Result<Descriptor> {
    let Some(inventory) = store.inventory().await? else { return Err(needs_whole(store)) };
    let mut found = Vec::new();
    for digest in inventory.blobs.keys().filter(|digest| prefix.fits(digest)) {
        match store.resolve(&digest.clone().into()).await {
            Ok(desc) => found.push(desc),
            Err(e) if e.kind() == Kind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Error::not_found(format!("no manifest in {store} has a digest starting with {prefix}"))),
        many => Err(several(store, prefix, &many.iter().map(|desc| &desc.digest).collect::<Vec<_>>())),
    }
}

/// The digest of the content that starts with `prefix`, manifest or blob, for stores that can list their content.
///
/// Errors: as for [`resolve_prefix`].
pub async fn blob_with_prefix(store: &dyn ReadStore, prefix: &DigestPrefix) -> Result<Digest> {
    let Some(inventory) = store.inventory().await? else { return Err(needs_whole(store)) };
    let found: Vec<&Digest> = inventory.blobs.keys().filter(|digest| prefix.fits(digest)).collect();
    match found.as_slice() {
        [only] => Ok((*only).clone()),
        [] => Err(Error::not_found(format!("nothing in {store} has a digest starting with {prefix}"))),
        many => Err(several(store, prefix, many)),
    }
}

fn needs_whole(store: &dyn ReadStore) -> Error {
    Error::misuse(format!("{store} requires a whole digest, not its first digits"))
}

fn several(store: &dyn ReadStore, prefix: &DigestPrefix, found: &[&Digest]) -> Error {
    let all: Vec<String> = found.iter().take(5).map(ToString::to_string).collect();
    let message = format!("{} digests in {store} start with {prefix}: {}", found.len(), all.join(", "));
    Error::new(Kind::Ambiguous, message)
}

/// True if the content is present with the described size.
///
/// Errors: the query was refused.
pub async fn contains(store: &dyn ReadStore, item: &Item) -> Result<bool> {
    match presence(store, item).await? {
        Presence::Unknown => Err(unanswered(store, item)),
        found => Ok(found.fits(&item.desc)),
    }
}

/// Size of the content with this digest in bytes. Errors: kind `NotFound` if it does not exist in this role.
pub async fn size(store: &dyn ReadStore, digest: &Digest, role: Role) -> Result<u64> {
    let item = Item { desc: Descriptor::new(crate::oci::media_type::OCTET_STREAM, digest.clone(), 0), role };
    match presence(store, &item).await? {
        Presence::Here { size } => Ok(size),
        Presence::Absent => Err(Error::not_found(format!("{digest} is not in {store}"))),
        Presence::Unknown => Err(unanswered(store, &item)),
    }
}

async fn presence(store: &dyn ReadStore, item: &Item) -> Result<Presence> {
    let found = store.has(std::slice::from_ref(item)).await?;
    Ok(found.first().copied().unwrap_or(Presence::Unknown))
}

fn unanswered(store: &dyn ReadStore, item: &Item) -> Error {
    Error::new(Kind::Unavailable, format!("{store} does not tell whether it has {}", item.desc.digest))
}

/// Opens the content of this item, verified while it is read.
pub async fn open(store: &dyn ReadStore, item: &Item) -> Result<ByteStream> {
    Ok(verified(&item.desc, store.fetch(item, 0..item.desc.size).await?))
}

/// Reads the whole content of this item into memory, verified. Errors: more than `limit` bytes.
pub async fn read(store: &dyn ReadStore, item: &Item, limit: u64) -> Result<Bytes> {
    let desc = &item.desc;
    if desc.size > limit {
        return Err(Error::limit(format!("{} has {} bytes; the limit is {limit}", desc.digest, desc.size)));
    }
    collect(open(store, item).await?, desc.size).await.context(|| format!("read {} from {store}", desc.digest))
}

/// Reads and verifies a manifest: at most 8 MiB, twice the maximum for writing.
pub async fn read_manifest(store: &dyn ReadStore, desc: &Descriptor) -> Result<Bytes> {
    read(store, &Item::manifest(desc.clone()), 2 * MAX_MANIFEST).await
}

/// Resolves a name, and reads and verifies its manifest: at most 8 MiB. A registry is asked once.
///
/// Errors: kind `NotFound` if there is none; those of [`read_manifest`].
pub async fn read_named(store: &dyn ReadStore, name: &Name) -> Result<(Descriptor, Bytes)> {
    if let Some(found) = store.manifest_at_once(name).await? {
        return Ok(found);
    }
    let desc = store.resolve(name).await?;
    let bytes = read_manifest(store, &desc).await?;
    Ok((desc, bytes))
}

/// Verifies what was stored: every tag must stand for this manifest, and its bytes must be equal.
///
/// Errors: kind `Mismatch` if a tag stands for another manifest, as in a registry that confirms one manifest and stores
/// another.
pub async fn read_back(store: &dyn ReadStore, desc: &Descriptor, names: &[RefName]) -> Result<()> {
    let what = || format!("read {} back from {store}", desc.digest);
    for name in names {
        let found = store.resolve(&name.clone().into()).await.context(what)?;
        if found.digest != desc.digest {
            return Err(Error::mismatch(format!("tag `{name}` stands for {}", found.digest)).context(what()));
        }
    }
    read_manifest(store, desc).await.context(what).map(drop)
}

/// Collects all chunks. Errors: more than `limit` bytes.
pub async fn collect(mut stream: ByteStream, limit: u64) -> Result<Bytes> {
    let mut all = BytesMut::new();
    while let Some(chunk) = stream.try_next().await? {
        // Content in a single chunk is not copied; a small chunk, however, could keep a large buffer alive.
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
            // Content no larger than a manifest is allocated at once, at its exact size.
            all.reserve(usize::try_from(limit.min(2 * MAX_MANIFEST)).unwrap_or(CHUNK));
        }
        all.extend_from_slice(&chunk);
    }
    Ok(all.freeze())
}

/// Content of a store as a blob: opening it fetches it, without an intermediate copy.
#[derive(Clone)]
pub struct Stored {
    store: Arc<dyn ReadStore>,
    item: Item,
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {}", self.item.desc.digest, self.store)
    }
}

impl Stored {
    /// Content of this store.
    #[must_use]
    pub fn new(store: Arc<dyn ReadStore>, item: Item) -> Self {
        Self { store, item }
    }
}

#[async_trait]
impl Blob for Stored {
    fn size(&self) -> u64 {
        self.item.desc.size
    }

    async fn open(&self, from: u64) -> Result<ByteStream> {
        self.store.fetch(&self.item, from..self.item.desc.size).await
    }

    fn local(&self) -> Option<FileSlice> {
        self.store.local(&self.item)
    }

    fn is_local_and_hashed(&self) -> bool {
        self.store.is_local_and_hashed(&self.item)
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
