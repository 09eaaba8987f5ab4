//! How manifests arrive: in an order in which no tag shows before all that belongs to it is there.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;

use crate::{
    error::Result,
    graph::{Graph, Node},
    oci::{Descriptor, Digest},
    progress::Outcome,
    store::Store,
};

/// What is still to be done once all blobs are there.
pub(super) struct Steps<'a> {
    /// Manifests in their order, with the tags that each gets at once.
    pub(super) manifests: Vec<(&'a Node, Vec<String>)>,
    /// Tags to be set at the end.
    pub(super) tags: Vec<(&'a Descriptor, Vec<String>)>,
}

/// Puts manifests that get tags last: a tag must not show before all that belongs to it is there. A root that others
/// in the graph are about comes before them, and gets its tags at the very end.
pub(super) fn tags_last(graph: &Graph) -> Steps<'_> {
    let mut tags: HashMap<&Digest, Vec<String>> = HashMap::new();
    for root in &graph.roots {
        tags.entry(&root.desc.digest).or_default().extend(root.tags.iter().cloned());
    }
    let subjects: HashSet<&Digest> =
        graph.manifests.iter().filter_map(|node| node.parsed.subject()).map(|subject| &subject.digest).collect();
    let below: HashSet<&Digest> =
        graph.manifests.iter().flat_map(|node| node.parsed.children()).map(|child| &child.digest).collect();
    let (mut manifests, mut last, mut later) = (Vec::new(), Vec::new(), Vec::new());
    for node in &graph.manifests {
        let digest = &node.desc.digest;
        let tags = tags.remove(digest).unwrap_or_default();
        if subjects.contains(digest) {
            manifests.push((node, Vec::new()));
            later.push((&node.desc, tags));
        } else if tags.is_empty() || below.contains(digest) {
            manifests.push((node, tags));
        } else {
            last.push((node, tags));
        }
    }
    manifests.append(&mut last);
    Steps { manifests, tags: later }
}

/// Points tags at a manifest that is there, where they do not yet.
pub(super) async fn set_tags(desc: &Descriptor, tags: &[String], to: &Arc<dyn Store>) -> Result<()> {
    for tag in tags {
        if !to.resolve(tag).await.is_ok_and(|found| found.digest == desc.digest) {
            to.tag(tag, desc).await?;
        }
    }
    Ok(())
}

/// Publishes one manifest with its tags, unless the destination has it; `absent`: it is known not to.
pub(super) async fn copy_manifest(
    desc: &Descriptor,
    bytes: &Bytes,
    tags: &[String],
    to: &Arc<dyn Store>,
    absent: bool,
) -> Result<Outcome> {
    if !absent && to.contains(desc).await? {
        set_tags(desc, tags, to).await?;
        return Ok(Outcome::Present);
    }
    to.publish(desc, bytes, tags).await?;
    Ok(Outcome::Moved)
}
