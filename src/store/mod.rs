//! Everything that moves and everything that holds content meets here: what a store answers, what a writing is, and the
//! one verifying reader.

mod item;
mod name;
mod session;
mod union;
mod verify;
mod write;

use std::{collections::BTreeMap, fmt::Display, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};

pub(crate) use self::verify::{compare, verified_from};
pub use self::{
    item::{Item, Presence},
    name::{Name, NamePage},
    session::{Committed, Expect, Intent, NameChange, NameOutcome, Session, Sink},
    union::Union,
    verify::verified,
    write::{Puts, Write, begin, delete, remove_name, set_name},
};
use crate::{
    blob::{Blob, ByteStream, CHUNK, FileSlice},
    error::{Context as _, Error, Kind, Result},
    oci::{Descriptor, Digest, DigestPrefix, MAX_MANIFEST, RefName, RegistryName, RepositoryName, Role},
};

/// A place that content is read from. `Display` names it for people.
///
/// A store is *not* asked to verify what it hands out: [`open`] and [`read`] do, for all of them.
#[async_trait]
pub trait ReadStore: Display + Send + Sync {
    /// The manifest that a name stands for. Error kind `NotFound` when there is none.
    async fn resolve(&self, name: &Name) -> Result<Descriptor>;

    /// At most the bytes of this range, unverified. Error kind `NotFound` when the content is not there.
    async fn fetch(&self, item: &Item, range: Range<u64>) -> Result<ByteStream>;

    /// Whether each of these is here, and how large: the size that an item is described with does not matter. Reads
    /// only: never opens an upload, never fails because one question was refused.
    async fn has(&self, items: &[Item]) -> Result<Vec<Presence>>;

    /// All names, page by page: as many in one as the store gives at once. What is no name is reported there.
    fn names(&self) -> BoxStream<'_, Result<NamePage>>;

    /// All names as one page, sorted by bytes, each once.
    async fn list_names(&self) -> Result<NamePage> {
        let mut all = NamePage::default();
        let mut pages = self.names();
        while let Some(NamePage { names, unreadable, .. }) = pages.try_next().await? {
            all.names.extend(names);
            all.unreadable.extend(unreadable);
        }
        all.names.sort_unstable();
        all.names.dedup();
        Ok(all)
    }

    /// A number that is another one when the names may have changed since an earlier answer of this handle, in whatever
    /// way; `None` for a store that cannot say so for less than the names would cost.
    async fn names_version(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// The manifests whose `subject` this is, with their artifact type and annotations, sorted by digest.
    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>>;

    /// Where this content lies in a local file, if it does: the way to zero-copy paths. Must not block.
    fn local(&self, _item: &Item) -> Option<FileSlice> {
        None
    }

    /// Whether this content lies on this machine and was hashed when it was described: see [`Blob::at_hand`].
    fn at_hand(&self, item: &Item) -> bool {
        self.local(item).is_some()
    }

    /// The registry and repository that hold this content, if any: what makes a mount possible.
    fn home(&self, _item: &Item) -> Option<Home> {
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
    /// What is not as it should be about the list, or about the file that holds all.
    pub flaws: Vec<Flaw>,
}

/// What is not as it should be about a store itself, whatever it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// How it matters.
    pub kind: FlawKind,
    /// The file.
    pub place: String,
    /// The particulars, on one line.
    pub message: String,
}

/// How a flaw of a store matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlawKind {
    /// Something in its list cannot be read.
    Unreadable,
    /// Something in its list can be read, and is not what a writer would have meant.
    Doubtful,
    /// Bytes that say nothing are not what every writer makes them.
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

/// A place that content is written to, in one session for each writing: see [`begin`].
#[async_trait]
pub trait Store: ReadStore {
    /// What this store can do.
    fn abilities(&self) -> Abilities;

    /// Somebody is going to write: a registry then asks for the right to it at once, and not for that to read before.
    fn intend(&self) {}

    /// Begins a writing. Called by [`begin`], which wraps the session in a [`Write`].
    ///
    /// Errors: kind `Busy` where another writer is at work and the store takes one at a time.
    async fn begin(&self, intent: Intent) -> Result<Arc<dyn Session>>;
}

/// What a store can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Abilities {
    /// It takes content of unknown digest: [`Session::stream`].
    pub streams: bool,
    /// All content must be in the [`Intent`].
    pub needs_all: bool,
    /// It takes manifests of any media type.
    pub any_media_type: bool,
    /// Content can be removed.
    pub deletes: bool,
    /// A manifest that is here proves that all its content is: true of registries, which refuse one whose content they
    /// lack.
    pub refuses_incomplete: bool,
    /// The largest blob that it takes, in bytes, where that is known.
    pub largest_blob: Option<u64>,
}

impl Abilities {
    /// A store that can do all there is and wants to know nothing first: memory, a layout.
    pub const ALL: Self = Self {
        streams: true,
        needs_all: false,
        any_media_type: true,
        deletes: true,
        refuses_incomplete: false,
        largest_blob: None,
    };
}

/// All names, where the store gives them in one answer; `None` where there are more, or no answer: each is then to be asked
/// for by itself.
pub async fn names_at_once(store: &dyn ReadStore) -> Option<Vec<RefName>> {
    let page = store.names().try_next().await.ok()?.unwrap_or_default();
    (!page.more).then_some(page.names)
}

/// The names of a store that gives all of them at once.
pub fn one_page<'a>(page: impl Future<Output = Result<NamePage>> + Send + 'a) -> BoxStream<'a, Result<NamePage>> {
    stream::once(page).boxed()
}

/// The manifest of a store whose digest begins so, for stores that can list what they hold.
///
/// Errors: kind `NotFound` when there is none, `Ambiguous` when there are several; the store cannot list what it holds.
pub async fn resolve_prefix(store: &dyn ReadStore, prefix: &DigestPrefix) -> Result<Descriptor> {
    let Some(inventory) = store.inventory().await? else {
        return Err(Error::misuse(format!("{store} must be given a whole digest, not its first digits")));
    };
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
        [] => Err(Error::not_found(format!("no manifest whose digest begins with {prefix} is in {store}"))),
        many => {
            let all: Vec<String> = many.iter().take(5).map(|desc| desc.digest.to_string()).collect();
            let message = format!("{} digests in {store} begin with {prefix}: {}", many.len(), all.join(", "));
            Err(Error::new(Kind::Ambiguous, message))
        }
    }
}

/// Whether this content is here with the size that it is described with.
///
/// Errors: the question was refused.
pub async fn contains(store: &dyn ReadStore, item: &Item) -> Result<bool> {
    match presence(store, item).await? {
        Presence::Unknown => Err(unanswered(store, item)),
        found => Ok(found.fits(&item.desc)),
    }
}

/// How many bytes the content of this digest has. Error kind `NotFound` when it is not here in this role.
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
    Error::new(Kind::Unavailable, format!("{store} does not say whether it has {}", item.desc.digest))
}

/// The content of this item, verified while it is read.
pub async fn open(store: &dyn ReadStore, item: &Item) -> Result<ByteStream> {
    Ok(verified(&item.desc, store.fetch(item, 0..item.desc.size).await?))
}

/// The whole content of this item, verified, in memory. Errors: more than `limit` bytes.
pub async fn read(store: &dyn ReadStore, item: &Item, limit: u64) -> Result<Bytes> {
    let desc = &item.desc;
    if desc.size > limit {
        return Err(Error::limit(format!("{} has {} bytes; {limit} are allowed here", desc.digest, desc.size)));
    }
    collect(open(store, item).await?, desc.size).await.context(|| format!("read {} from {store}", desc.digest))
}

/// A manifest, verified: at most 8 MiB, twice what may be written.
pub async fn read_manifest(store: &dyn ReadStore, desc: &Descriptor) -> Result<Bytes> {
    read(store, &Item::manifest(desc.clone()), 2 * MAX_MANIFEST).await
}

/// Asks a store for what was stored: every tag must stand for this manifest, and it must be there, byte for byte.
///
/// Errors: kind `Mismatch` when a tag stands for another one, as with a registry that says it stored a manifest and
/// stores another.
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
            // What is no larger than a manifest gets its room at once, and no more than it needs.
            all.reserve(usize::try_from(limit.min(2 * MAX_MANIFEST)).unwrap_or(CHUNK));
        }
        all.extend_from_slice(&chunk);
    }
    Ok(all.freeze())
}

/// Content of a store, as a blob: opened by fetching, sent onwards without a copy in between.
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
    /// This content of this store.
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

    fn at_hand(&self) -> bool {
        self.store.at_hand(&self.item)
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
