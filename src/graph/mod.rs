//! The content of artifacts: manifests with their bytes, children first, and blobs, each once.

mod lacking;
mod walk;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;

use crate::{
    error::{Kind, Result},
    oci::{Descriptor, Digest, Platforms, RefName, Tag, annotation},
    store::{self, ReadStore},
};

/// Most manifests and blobs that one graph may hold.
pub const MAX_ENTRIES: usize = 100_000;
/// Deepest chain of manifests: an index in an index, a referrer of a referrer.
pub const MAX_DEPTH: usize = 16;
/// Most bytes of manifests in one graph, which holds them in memory.
pub const MAX_MANIFEST_BYTES: u64 = 256 << 20;

/// The stores of the graph that may have some content, by position, the nearest first.
pub type Origins = Arc<[u16]>;

/// A manifest as read from a store.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Type, digest and size, and the artifact type if there is one, as in a list of manifests.
    pub desc: Descriptor,
    /// The verified bytes, copied unchanged.
    pub bytes: Bytes,
    /// Digest of its subject.
    pub subject: Option<Digest>,
    /// Stores that may have the content that it points to.
    pub origins: Origins,
    /// The manifests that it points to.
    children: Vec<Digest>,
}

impl Entry {
    /// The manifests that this one points to, those that are left out included.
    #[must_use]
    pub fn children(&self) -> &[Digest] {
        &self.children
    }

    /// True if this manifest points to that one, or has it as subject.
    #[must_use]
    pub fn needs(&self, digest: &Digest) -> bool {
        self.children.contains(digest) || self.subject.as_ref() == Some(digest)
    }
}

/// A blob, with only the fields that a copy needs: an artifact may have very many.
#[derive(Debug, Clone)]
pub struct BlobEntry {
    /// The media type of its first descriptor.
    pub media_type: Arc<str>,
    /// The file name, if a descriptor gives one.
    pub title: Option<Arc<str>>,
    /// Digest.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
    /// Stores that may have it.
    pub origins: Origins,
    /// See [`Descriptor::is_elsewhere`].
    pub elsewhere: bool,
}

impl BlobEntry {
    /// Type, digest and size.
    #[must_use]
    pub fn desc(&self) -> Descriptor {
        Descriptor::new(&*self.media_type, self.digest.clone(), self.size)
    }

    /// Type, digest and size, and the title for display.
    #[must_use]
    pub fn titled(&self) -> Descriptor {
        let title = self.title.as_ref().map(|title| (annotation::TITLE.to_owned(), title.to_string()));
        Descriptor { annotations: title.into_iter().collect(), ..self.desc() }
    }
}

/// A manifest where a graph starts, and the names that will stand for it.
#[derive(Debug, Clone)]
pub struct Root {
    /// The manifest.
    pub desc: Descriptor,
    /// Names at the destination; empty for a root that is reached by digest only.
    pub names: Vec<RefName>,
    /// The stores that have it, by position, the nearest first; empty means all of them in order.
    pub origins: Vec<u16>,
    /// For an index, the platforms whose members are in the graph: others are left out on purpose. All if `None`.
    pub platforms: Option<Platforms>,
}

impl Root {
    /// A root that any of the stores may have.
    #[must_use]
    pub fn new(desc: Descriptor, names: Vec<RefName>) -> Self {
        Self { desc, names, origins: Vec::new(), platforms: None }
    }
}

/// The indexes of which members are left out, with the platforms that are kept: all that one of the roots asks for.
pub(crate) fn parts(roots: &[Root]) -> BTreeMap<Digest, Platforms> {
    let whole: BTreeSet<&Digest> = roots.iter().filter(|root| root.platforms.is_none()).map(digest_of).collect();
    let mut parts: BTreeMap<Digest, Platforms> = BTreeMap::new();
    for root in roots.iter().filter(|root| !whole.contains(digest_of(root))) {
        let Some(kept) = &root.platforms else { continue };
        let all = parts.remove(digest_of(root)).map_or_else(|| kept.clone(), |known| known.and(kept));
        parts.insert(root.desc.digest.clone(), all);
    }
    parts
}

fn digest_of(root: &Root) -> &Digest {
    &root.desc.digest
}

/// All content of one or more artifacts, found by reading manifests only.
#[derive(Clone, Default)]
pub struct Graph {
    /// The stores with the content.
    pub stores: Vec<Arc<dyn ReadStore>>,
    /// The manifests where it starts.
    pub roots: Vec<Root>,
    /// Manifests under cosign tags for manifests of this graph, with these tags.
    pub companions: Vec<Root>,
    /// Notes about content that may be missing: a companion that was left out, or queries that failed and count as
    /// "none".
    pub notes: Vec<String>,
    /// Manifests, children before parents, referrers after subjects, each digest once.
    pub manifests: Vec<Entry>,
    /// Blobs in the order of discovery, each digest once. A digest may also be a manifest; it then is content in both
    /// roles.
    pub blobs: Vec<BlobEntry>,
}

impl Graph {
    /// Walks from `roots` through all manifests. Stores are asked in order, so that nothing is fetched from farther
    /// away than necessary; referrers come from the farthest store, which is the origin.
    ///
    /// Of an index whose root names platforms, the other members are left out. Errors: a missing or malformed manifest (kind
    /// `NotFound` if it is that of a root, or of a platform that was asked for), one digest described with two sizes, a listed referrer with another
    /// subject, an exceeded limit.
    pub async fn of(stores: &[Arc<dyn ReadStore>], roots: Vec<Root>, referrers: bool) -> Result<Self> {
        walk::walk(stores, roots, referrers).await
    }

    /// The stores that may have this content, the nearest first.
    pub fn origins<'a>(&'a self, origins: &'a Origins) -> impl Iterator<Item = &'a Arc<dyn ReadStore>> {
        origins.iter().filter_map(|at| self.stores.get(usize::from(*at)))
    }

    /// Number of manifests and blobs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.manifests.len() + self.blobs.len()
    }

    /// True if there is no content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Total size of all manifests and blobs in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        let manifests = self.manifests.iter().map(|entry| entry.desc.size);
        manifests.chain(self.blobs.iter().map(|blob| blob.size)).fold(0, u64::saturating_add)
    }

    /// Every manifest and every blob with its role, manifests first.
    pub fn items(&self) -> impl Iterator<Item = store::Item> {
        let manifests = self.manifests.iter().map(|entry| store::Item::manifest(entry.desc.bare()));
        manifests.chain(self.blobs.iter().map(|blob| store::Item::blob(blob.desc())))
    }

    /// The manifest with this digest.
    #[must_use]
    pub fn manifest(&self, digest: &Digest) -> Option<&Entry> {
        self.manifests.iter().find(|entry| entry.desc.digest == *digest)
    }
}

/// The manifests under cosign tags for this manifest, which itself need not be in the store. If the store lists all
/// names at once, the list is used; otherwise each tag is resolved.
///
/// Errors: the store fails.
pub async fn companions(store: &dyn ReadStore, subject: &Digest) -> Result<Vec<(Tag, Descriptor)>> {
    let all = store::names_at_once(store).await;
    let mut found = Vec::new();
    for tag in Tag::companions_of(subject) {
        if all.as_ref().is_some_and(|all| all.iter().all(|name| **name != *tag)) {
            continue;
        }
        match store.resolve(&tag.clone().into()).await {
            Ok(desc) => found.push((tag, desc)),
            Err(e) if e.kind() == Kind::NotFound => {}
            Err(e) => return Err(e.context(format!("resolve tag `{tag}`"))),
        }
    }
    Ok(found)
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { roots, manifests, blobs, .. } = self;
        f.debug_struct("Graph").field("roots", roots).field("manifests", manifests).field("blobs", blobs).finish()
    }
}
