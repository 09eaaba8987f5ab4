//! An artifact taken apart: its manifests with their bytes, children first, and its blobs, each once.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::{
    error::{Context as _, Error, Result},
    oci::{Descriptor, Digest, Parsed, media_type},
    store::{self, ReadStore},
};

/// Most manifests and blobs that one graph may hold.
pub const MAX_NODES: usize = 100_000;
/// Deepest chain of manifests: an index in an index, a referrer of a referrer.
pub const MAX_DEPTH: usize = 16;
/// How many manifests are fetched at a time.
const PARALLEL: usize = 8;

/// A manifest as it was read.
#[derive(Debug, Clone)]
pub struct Node {
    /// How it was described where it was found.
    pub desc: Descriptor,
    /// Its bytes, verified; carried on unchanged.
    pub bytes: Bytes,
    /// What they say.
    pub parsed: Parsed,
}

/// A manifest that a graph starts from, and the tags that are to point at it.
#[derive(Debug, Clone)]
pub struct Root {
    /// The manifest.
    pub desc: Descriptor,
    /// Tags at the destination; none for a root that is reached by digest only.
    pub tags: Vec<String>,
}

/// All content of one or more artifacts. Built by reading manifests only.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// Where it starts.
    pub roots: Vec<Root>,
    /// Manifests, children before parents, referrers after their subjects, each digest once.
    pub manifests: Vec<Node>,
    /// Blobs in the order met, each digest once.
    pub blobs: Vec<Descriptor>,
}

impl Graph {
    /// Walks from `roots` through all manifests. The stores are asked in order: what a nearer one has is not fetched
    /// from a farther one; referrers come from the last, the origin.
    ///
    /// Errors: a missing or malformed manifest, one digest described with two sizes, a limit exceeded.
    pub async fn of(stores: &[Arc<dyn ReadStore>], roots: Vec<Root>, referrers: bool) -> Result<Self> {
        let mut walk = Walk { nodes: HashMap::new(), sizes: HashMap::new(), blobs: Vec::new() };
        let mut level: Vec<Descriptor> = Vec::new();
        for root in &roots {
            walk.meet(&root.desc, &mut level)?;
        }
        let mut order: Vec<Digest> = Vec::new();
        for depth in 0.. {
            if level.is_empty() {
                break;
            }
            if depth > MAX_DEPTH {
                return Err(Error::limit(format!("manifests nested more than {MAX_DEPTH} deep")));
            }
            let read: Vec<Node> =
                stream::iter(level.drain(..).map(|desc| read(stores, desc))).buffered(PARALLEL).try_collect().await?;
            let mut next = Vec::new();
            for node in &read {
                for child in node.parsed.children() {
                    walk.meet(child, &mut next)?;
                }
            }
            if referrers && let Some(origin) = stores.last() {
                for node in &read {
                    let found = origin.referrers(&node.desc).await;
                    for referrer in found.context(|| format!("list the referrers of {}", node.desc.digest))? {
                        walk.meet(&referrer, &mut next)?;
                    }
                }
            }
            for node in read {
                order.push(node.desc.digest.clone());
                walk.nodes.insert(node.desc.digest.clone(), node);
            }
            level = next;
        }
        let Walk { mut nodes, blobs, .. } = walk;
        let manifests = sorted(&order, &nodes).iter().filter_map(|digest| nodes.remove(digest)).collect();
        Ok(Self { roots, manifests, blobs })
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
        self.descriptors().fold(0, |sum, desc| sum.saturating_add(desc.size))
    }

    /// Every manifest and every blob.
    pub fn descriptors(&self) -> impl Iterator<Item = &Descriptor> {
        self.manifests.iter().map(|node| &node.desc).chain(&self.blobs)
    }

    /// The manifest of this digest.
    #[must_use]
    pub fn manifest(&self, digest: &Digest) -> Option<&Node> {
        self.manifests.iter().find(|node| node.desc.digest == *digest)
    }
}

struct Walk {
    nodes: HashMap<Digest, Node>,
    sizes: HashMap<Digest, u64>,
    blobs: Vec<Descriptor>,
}

impl Walk {
    /// Notes content that something points at, once: a manifest to be read next, or a blob.
    fn meet(&mut self, desc: &Descriptor, next: &mut Vec<Descriptor>) -> Result<()> {
        match self.sizes.insert(desc.digest.clone(), desc.size) {
            Some(size) if size != desc.size => {
                let message = format!("{} is described with {size} bytes and with {}", desc.digest, desc.size);
                return Err(Error::mismatch(message));
            }
            Some(_) => return Ok(()),
            None => {}
        }
        if self.sizes.len() > MAX_NODES {
            return Err(Error::limit(format!("more than {MAX_NODES} manifests and blobs in one artifact")));
        }
        if media_type::points(&desc.media_type) {
            next.push(desc.clone());
        } else {
            self.blobs.push(desc.clone());
        }
        Ok(())
    }
}

/// Reads and parses a manifest from the first store that has it.
async fn read(stores: &[Arc<dyn ReadStore>], desc: Descriptor) -> Result<Node> {
    let (origin, nearer) = stores.split_last().ok_or_else(|| Error::not_found("no store to read from"))?;
    for store in nearer {
        if let Ok(bytes) = store::read_manifest(store.as_ref(), &desc).await {
            return node(desc, bytes);
        }
    }
    let bytes = store::read_manifest(origin.as_ref(), &desc).await?;
    node(desc, bytes)
}

fn node(desc: Descriptor, bytes: Bytes) -> Result<Node> {
    let parsed = Parsed::read(&desc.media_type, &bytes).context(|| format!("manifest {}", desc.digest))?;
    Ok(Node { desc, bytes, parsed })
}

/// Children before parents and subjects before their referrers: depth first, in the order met.
fn sorted(order: &[Digest], nodes: &HashMap<Digest, Node>) -> Vec<Digest> {
    fn visit(digest: &Digest, nodes: &HashMap<Digest, Node>, seen: &mut HashMap<Digest, ()>, out: &mut Vec<Digest>) {
        let Some(node) = nodes.get(digest) else { return };
        if seen.insert(digest.clone(), ()).is_some() {
            return;
        }
        for child in node.parsed.children().into_iter().chain(node.parsed.subject()) {
            visit(&child.digest, nodes, seen, out);
        }
        out.push(digest.clone());
    }
    let (mut seen, mut out) = (HashMap::new(), Vec::new());
    for digest in order {
        visit(digest, nodes, &mut seen, &mut out);
    }
    out
}
