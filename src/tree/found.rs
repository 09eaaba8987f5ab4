//! A manifest that was found, where it belongs, and what of it the tree lacks.

use std::fmt;

use super::{
    Node,
    reading::{MAX_BYTES, MAX_NODES, MAX_SIBLINGS},
};
use crate::{
    error::Kind,
    graph::MAX_DEPTH,
    oci::{Descriptor, Parsed, media_type},
};

/// Artifact types of sigstore bundles begin with this; their annotations tell the type of the predicate.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";

/// How a manifest belongs to the one above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Child,
    Referrer,
    Companion,
}

/// A limit that a tree has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Depth,
    Siblings,
    Nodes,
    Bytes,
}

impl Limit {
    const ALL: [Self; 4] = [Self::Depth, Self::Siblings, Self::Nodes, Self::Bytes];
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Depth => write!(f, "a tree has at most {MAX_DEPTH} levels"),
            Self::Siblings => write!(f, "a tree has at most {MAX_SIBLINGS} referrers or members of one manifest"),
            Self::Nodes => write!(f, "a tree has at most {MAX_NODES} manifests"),
            Self::Bytes => write!(f, "a tree has at most {} MiB of annotations", MAX_BYTES >> 20),
        }
    }
}

/// A manifest on its way into a tree.
pub(super) struct Found {
    pub(super) node: Node,
    /// The place of the one above it, which is less than its own.
    pub(super) above: Option<(usize, Relation)>,
    pub(super) depth: usize,
    /// True for a member that a copy left out on purpose.
    pub(super) is_left_out: bool,
    /// How many manifests below it are not in the tree, and why.
    pub(super) left: usize,
    pub(super) limit: Option<Limit>,
    /// Why nobody asked what is about it.
    pub(super) unasked: Option<Limit>,
    /// Why its document was not read.
    pub(super) flaw: Option<String>,
}

impl Found {
    pub(super) fn new(node: Node, above: Option<(usize, Relation)>, depth: usize) -> Self {
        Self { node, above, depth, is_left_out: false, left: 0, limit: None, unasked: None, flaw: None }
    }

    /// The manifest without what describes its use.
    pub(super) fn bare(&self) -> Descriptor {
        Descriptor::new(&*self.node.media_type, self.node.digest.clone(), self.node.size)
    }

    /// Whether its document says what no list does: the members of an index; the type of a referrer that the list leaves out,
    /// as registries do that know no artifact types, or do not give annotations.
    pub(super) fn is_to_be_read(&self) -> bool {
        let Node { artifact_type, annotations, media_type, .. } = &self.node;
        let relation = self.above.map(|(_, relation)| relation);
        let is_bundle = || artifact_type.as_ref().is_none_or(|own| own.starts_with(BUNDLE) && annotations.is_empty());
        match relation {
            Some(_) if media_type::is_index(media_type) => !self.is_left_out,
            Some(Relation::Referrer) => is_bundle(),
            _ => false,
        }
    }

    /// Notes what its document says; a member keeps the annotations of its descriptor.
    pub(super) fn learn(&mut self, parsed: &Parsed) {
        let node = &mut self.node;
        node.artifact_type = parsed.artifact_type().map(Into::into);
        if self.above.is_none_or(|(_, relation)| relation != Relation::Child) {
            node.annotate(parsed.annotations().clone());
        }
    }

    /// The manifest as it is in the tree, and where. What is below it was put there last first.
    pub(super) fn finish(self) -> (Node, Option<(usize, Relation)>) {
        let left = self.limit.map(|limit| format!("{} more: {limit}", self.left));
        let unasked = self.unasked.map(|limit| format!("nobody asked what is about it: {limit}"));
        let mut node = self.node;
        node.notes = self.flaw.into_iter().chain(left).chain(unasked).collect();
        for below in [&mut node.children, &mut node.referrers, &mut node.companions] {
            below.reverse();
        }
        (node, self.above)
    }
}

/// What a tree of these manifests lacks, each reason once, and the kind of the first.
pub(super) fn lacking(found: &[Found]) -> (Vec<String>, Option<Kind>) {
    let mut lacks = Vec::new();
    for limit in Limit::ALL {
        let left = found.iter().filter(|found| found.limit == Some(limit)).map(|found| found.left);
        let left = left.fold(0, usize::saturating_add);
        let unasked = found.iter().filter(|found| found.unasked == Some(limit)).count();
        let manifests = |count| if count == 1 { "1 manifest".to_owned() } else { format!("{count} manifests") };
        match (left, unasked) {
            (0, 0) => {}
            (left, 0) => lacks.push(format!("{} more: {limit}", manifests(left))),
            (0, unasked) => lacks.push(format!("what is about {}: {limit}", manifests(unasked))),
            (left, unasked) => {
                lacks.push(format!("{} more, and what is about {}: {limit}", manifests(left), manifests(unasked)));
            }
        }
    }
    let limited = (!lacks.is_empty()).then_some(Kind::Limit);
    let flaws = found.iter().filter_map(|found| Some(format!("{}: {}", found.node.digest, found.flaw.as_ref()?)));
    lacks.extend(flaws);
    let kind = limited.or((!lacks.is_empty()).then_some(Kind::Invalid));
    (lacks, kind)
}
