//! An artifact taken apart: its manifests with their bytes, children first, and its blobs, each once.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::{
    error::{Context as _, Error, Kind, Result},
    oci::{Descriptor, Digest, Parsed, media_type},
    store::{self, ReadStore},
};

/// Most manifests and blobs that one graph may hold.
pub const MAX_NODES: usize = 100_000;
/// Deepest chain of manifests: an index in an index, a referrer of a referrer.
pub const MAX_DEPTH: usize = 16;
/// Most bytes of manifests that one graph may hold, since it holds them in memory.
pub const MAX_MANIFEST_BYTES: u64 = 256 << 20;
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
    /// Errors: a missing or malformed manifest, one digest described with two sizes, a listed referrer with another
    /// subject, a limit exceeded.
    pub async fn of(stores: &[Arc<dyn ReadStore>], roots: Vec<Root>, referrers: bool) -> Result<Self> {
        let mut walk = Walk::default();
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
                walk.check_subject(node)?;
                for child in node.parsed.children() {
                    walk.meet(child, &mut next)?;
                }
            }
            if referrers && let Some(origin) = stores.last() {
                for node in &read {
                    let found = origin.referrers(&node.desc).await;
                    for referrer in found.context(|| format!("list the referrers of {}", node.desc.digest))? {
                        walk.about.insert(referrer.digest.clone(), node.desc.digest.clone());
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

#[derive(Default)]
struct Walk {
    nodes: HashMap<Digest, Node>,
    sizes: HashMap<Digest, u64>,
    blobs: Vec<Descriptor>,
    /// What was listed as a referrer, and of which manifest.
    about: HashMap<Digest, Digest>,
    manifest_bytes: u64,
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
            self.manifest_bytes = self.manifest_bytes.saturating_add(desc.size);
            if self.manifest_bytes > MAX_MANIFEST_BYTES {
                return Err(Error::limit(format!("more than {MAX_MANIFEST_BYTES} bytes of manifests in one artifact")));
            }
            next.push(desc.clone());
        } else {
            self.blobs.push(desc.clone());
        }
        Ok(())
    }

    /// What a store lists as a referrer must be one: it would be carried along, and shown, as if it were.
    fn check_subject(&self, node: &Node) -> Result<()> {
        let Some(listed) = self.about.get(&node.desc.digest) else { return Ok(()) };
        match node.parsed.subject() {
            Some(subject) if subject.digest == *listed => Ok(()),
            _ => Err(Error::mismatch(format!("{} is listed as a referrer of {listed} and is not", node.desc.digest))),
        }
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
    match store::read_manifest(origin.as_ref(), &desc).await {
        // A flipped bit on the way; wrong bytes at the origin will be wrong again.
        Err(e) if e.kind() == Kind::Mismatch => {
            let bytes = store::read_manifest(origin.as_ref(), &desc).await?;
            node(desc, bytes)
        }
        bytes => node(desc, bytes?),
    }
}

fn node(desc: Descriptor, bytes: Bytes) -> Result<Node> {
    let parsed = Parsed::read(&desc.media_type, &bytes).context(|| format!("manifest {}", desc.digest))?;
    Ok(Node { desc, bytes, parsed })
}

/// Children before parents and subjects before their referrers: depth first, in the order met. Without recursion: the
/// longest chain is bounded by the number of manifests only, since each may point at its neighbour.
fn sorted(order: &[Digest], nodes: &HashMap<Digest, Node>) -> Vec<Digest> {
    let (mut seen, mut out) = (HashSet::new(), Vec::new());
    for start in order {
        let mut stack = vec![Step::Enter(start)];
        while let Some(step) = stack.pop() {
            match step {
                Step::Leave(digest) => out.push(digest.clone()),
                Step::Enter(digest) => {
                    let Some(node) = nodes.get(digest).filter(|_| seen.insert(digest)) else { continue };
                    stack.push(Step::Leave(digest));
                    let below = node.parsed.children().into_iter().chain(node.parsed.subject());
                    let below: Vec<_> = below.map(|child| Step::Enter(&child.digest)).collect();
                    stack.extend(below.into_iter().rev());
                }
            }
        }
    }
    out
}

/// Depth first without recursion: into a manifest, and out of it after all that it points at.
enum Step<'a> {
    Enter(&'a Digest),
    Leave(&'a Digest),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Index, Manifest};

    fn node(parsed: Parsed, name: &str) -> Node {
        Node { desc: desc(name), bytes: Bytes::new(), parsed }
    }

    fn desc(name: &str) -> Descriptor {
        Descriptor::of(media_type::INDEX, name.as_bytes())
    }

    fn graph(edges: &[(&str, &[&str])]) -> (Vec<Digest>, HashMap<Digest, Node>) {
        let nodes = edges.iter().map(|(name, below)| {
            let index = Index::of(below.iter().map(|child| desc(child)).collect());
            (desc(name).digest, node(Parsed::Index(Box::new(index)), name))
        });
        (edges.iter().map(|(name, _)| desc(name).digest).collect(), nodes.collect())
    }

    fn sequence(edges: &[(&str, &[&str])]) -> Vec<String> {
        let (order, nodes) = graph(edges);
        let name = |digest: &Digest| edges.iter().find(|(name, _)| desc(name).digest == *digest).unwrap().0.to_owned();
        sorted(&order, &nodes).iter().map(name).collect()
    }

    #[test]
    fn children_come_before_parents_and_each_once() {
        let edges: [(&str, &[&str]); 4] = [("root", &["a", "b"]), ("a", &["c"]), ("b", &["c", "a"]), ("c", &[])];
        assert_eq!(sequence(&edges), ["c", "a", "b", "root"]);
    }

    #[test]
    fn a_cycle_ends() {
        assert_eq!(sequence(&[("a", &["b"]), ("b", &["a"]), ("self", &["self"])]), ["b", "a", "self"]);
    }

    #[test]
    fn a_subject_comes_before_what_is_about_it() {
        let about = Manifest {
            schema_version: 2,
            media_type: None,
            artifact_type: None,
            config: Descriptor::empty(),
            layers: Vec::new(),
            subject: Some(desc("root")),
            annotations: crate::oci::Annotations::new(),
        };
        let (mut order, mut nodes) = graph(&[("root", &[])]);
        order.insert(0, desc("about").digest);
        nodes.insert(desc("about").digest, node(Parsed::Manifest(Box::new(about)), "about"));
        assert_eq!(sorted(&order, &nodes), [desc("root").digest, desc("about").digest]);
    }

    #[test]
    fn a_chain_of_twenty_thousand_neighbours_needs_no_stack() {
        let names: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
        let mut nodes = HashMap::new();
        for (n, name) in names.iter().enumerate() {
            let index = Index::of(names.get(n + 1).map(|next| desc(next)).into_iter().collect());
            nodes.insert(desc(name).digest, node(Parsed::Index(Box::new(index)), name));
        }
        let order: Vec<Digest> = names.iter().map(|name| desc(name).digest).collect();
        let sorted = sorted(&order, &nodes);
        assert_eq!((sorted.len(), &sorted[0]), (20_000, &order[19_999]));
    }
}
