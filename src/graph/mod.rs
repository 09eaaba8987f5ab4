//! An artifact taken apart: its manifests with their bytes, children first, and its blobs, each once.

mod walk;

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    error::{Kind, Result},
    oci::{Descriptor, Digest, RefName, Tag, annotation},
    store::{self, ReadStore},
};

/// Most manifests and blobs that one graph may hold.
pub const MAX_ENTRIES: usize = 100_000;
/// Deepest chain of manifests: an index in an index, a referrer of a referrer.
pub const MAX_DEPTH: usize = 16;
/// Most bytes of manifests that one graph may hold, since it holds them in memory.
pub const MAX_MANIFEST_BYTES: u64 = 256 << 20;

/// Where content may be had: which of the graph's stores, by position, the nearest first.
pub type Origins = Arc<[u16]>;

/// A manifest as it was read.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Type, digest and size, and the artifact type if it has one: how a list describes it.
    pub desc: Descriptor,
    /// Its bytes, verified; carried on unchanged.
    pub bytes: Bytes,
    /// What it is about.
    pub subject: Option<Digest>,
    /// Where what it points at may be had.
    pub origins: Origins,
    /// The manifests that it points at.
    children: Vec<Digest>,
}

impl Entry {
    /// The manifests that this one points at.
    #[must_use]
    pub fn children(&self) -> &[Digest] {
        &self.children
    }

    /// Whether this manifest points at that one, or is about it.
    #[must_use]
    pub fn needs(&self, digest: &Digest) -> bool {
        self.children.contains(digest) || self.subject.as_ref() == Some(digest)
    }
}

/// A blob, as far as a copy needs to know it: an artifact may have very many.
#[derive(Debug, Clone)]
pub struct BlobEntry {
    /// Media type by which it was described first.
    pub media_type: Arc<str>,
    /// The name of the file that it holds, where that was said.
    pub title: Option<Arc<str>>,
    /// Digest.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
    /// Where it may be had.
    pub origins: Origins,
}

impl BlobEntry {
    /// Type, digest and size.
    #[must_use]
    pub fn desc(&self) -> Descriptor {
        Descriptor::new(&*self.media_type, self.digest.clone(), self.size)
    }

    /// Type, digest and size, and the title for those who watch.
    #[must_use]
    pub fn titled(&self) -> Descriptor {
        let title = self.title.as_ref().map(|title| (annotation::TITLE.to_owned(), title.to_string()));
        Descriptor { annotations: title.into_iter().collect(), ..self.desc() }
    }
}

/// A manifest that a graph starts from, and the names that are to stand for it.
#[derive(Debug, Clone)]
pub struct Root {
    /// The manifest.
    pub desc: Descriptor,
    /// Names at the destination; none for a root that is reached by digest only.
    pub names: Vec<RefName>,
    /// The stores that have it, by position, the nearest first; empty: all of them in their order.
    pub origins: Vec<u16>,
}

impl Root {
    /// A root that any of the stores may have.
    #[must_use]
    pub fn new(desc: Descriptor, names: Vec<RefName>) -> Self {
        Self { desc, names, origins: Vec::new() }
    }
}

/// All content of one or more artifacts. Built by reading manifests only.
#[derive(Clone, Default)]
pub struct Graph {
    /// Where the content may be had.
    pub stores: Vec<Arc<dyn ReadStore>>,
    /// Where it starts.
    pub roots: Vec<Root>,
    /// What cosign keeps under tags of its own about manifests of this graph: each with its tag.
    pub companions: Vec<Root>,
    /// What may be missing: a companion that was left out, and that questions were not answered, which counts as "none".
    pub notes: Vec<String>,
    /// Manifests, children before parents, referrers after their subjects, each digest once.
    pub manifests: Vec<Entry>,
    /// Blobs in the order met, each digest once. One of them may be a manifest, too: then it is content in both places.
    pub blobs: Vec<BlobEntry>,
}

impl Graph {
    /// Walks from `roots` through all manifests. Of each, its stores are asked in order: what a nearer one has is not
    /// fetched from a farther one; referrers come from the farthest, which is the origin.
    ///
    /// Errors: a missing or malformed manifest, one digest described with two sizes, a listed referrer with another
    /// subject, a limit exceeded.
    pub async fn of(stores: &[Arc<dyn ReadStore>], roots: Vec<Root>, referrers: bool) -> Result<Self> {
        walk::walk(stores, roots, referrers).await
    }

    /// The stores that may have this, the nearest first.
    pub fn origins<'a>(&'a self, origins: &'a Origins) -> impl Iterator<Item = &'a Arc<dyn ReadStore>> {
        origins.iter().filter_map(|at| self.stores.get(usize::from(*at)))
    }

    /// Number of manifests and blobs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.manifests.len() + self.blobs.len()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all manifests and blobs.
    #[must_use]
    pub fn size(&self) -> u64 {
        let manifests = self.manifests.iter().map(|entry| entry.desc.size);
        manifests.chain(self.blobs.iter().map(|blob| blob.size)).fold(0, u64::saturating_add)
    }

    /// Every manifest and every blob, with its role: manifests first.
    pub fn items(&self) -> impl Iterator<Item = store::Item> {
        let manifests = self.manifests.iter().map(|entry| store::Item::manifest(entry.desc.bare()));
        manifests.chain(self.blobs.iter().map(|blob| store::Item::blob(blob.desc())))
    }

    /// The manifest of this digest.
    #[must_use]
    pub fn manifest(&self, digest: &Digest) -> Option<&Entry> {
        self.manifests.iter().find(|entry| entry.desc.digest == *digest)
    }
}

/// What cosign keeps under tags of its own about this manifest, whether it is here or not. Where a store gives all its names
/// at once, these say which of the tags there are; else each is asked for.
///
/// Errors: the store cannot be asked.
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
            Err(e) => return Err(e.context(format!("ask for tag `{tag}`"))),
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
