//! What there is about an artifact, as a tree: its referrers, theirs, and what cosign keeps under tags; of an index, also
//! its members.

mod found;
mod reading;

use serde::Serialize;

use self::found::Relation;
pub use self::reading::{MAX_BYTES, MAX_NODES, MAX_SIBLINGS};
use crate::{
    error::{Error, Kind, Result},
    oci::{Annotations, Descriptor, Digest, Parsed, Platform, RefName, Role, annotation},
    store::{Name, ReadStore},
};

/// The annotations by which a layer tells the type of its predicate: cosign's, and that of in-toto.
const LAYER_PREDICATES: [&str; 2] = ["predicateType", "in-toto.io/predicate-type"];

/// An artifact with all that is about it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Tree {
    /// The artifact.
    pub root: Node,
    /// Why the tree has not all there is, each reason once; empty if it has.
    pub lacks: Vec<String>,
    /// The kind of the first reason.
    kind: Option<Kind>,
}

/// A manifest in a tree.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Node {
    /// Digest of the manifest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// The artifact type, else the media type of the config, as far as it is known: members of an index are not read.
    pub artifact_type: Option<String>,
    /// Annotations: of the root its own, of a member those of its descriptor, of a referrer those in the list of referrers.
    pub annotations: Annotations,
    /// The platform of a member of an index.
    pub platform: Option<Box<Platform>>,
    /// The type of the predicate in its sigstore bundle, as its annotation tells. Nobody has verified it.
    pub predicate_type: Option<String>,
    /// The tags by which it was found: of the root the one that was asked for, of what cosign keeps its own.
    pub tags: Vec<RefName>,
    /// Of what cosign keeps, the layers, one for each signature, attestation or SBOM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<Layer>>,
    /// The members of an index.
    pub children: Vec<Self>,
    /// The manifests that have this one as their subject.
    pub referrers: Vec<Self>,
    /// What cosign keeps about it under tags.
    pub companions: Vec<Self>,
    /// True if what is below it is elsewhere in the tree: the manifest is there more than once.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
    /// The members of an index that a copy left out on purpose.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<Digest>,
    /// What is not here, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A layer of what cosign keeps under a tag.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Layer {
    /// Type, digest and size. Its annotations, a signature and certificates, are left out.
    #[serde(flatten)]
    pub descriptor: Descriptor,
    /// The type of the predicate of an attestation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicate_type: Option<String>,
}

/// Which referrers are wanted. Without any condition, all are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// One of these is the artifact type.
    pub artifact_types: Vec<String>,
    /// All of these are among the annotations.
    pub annotations: Annotations,
}

impl Filter {
    /// True if everything is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.artifact_types.is_empty() && self.annotations.is_empty()
    }

    fn fits(&self, node: &Node) -> bool {
        let typed = || node.artifact_type.as_ref().is_some_and(|own| self.artifact_types.contains(own));
        (self.artifact_types.is_empty() || typed())
            && self.annotations.iter().all(|(key, value)| node.annotations.get(key) == Some(value))
    }
}

/// Reads what there is about the artifact of this name: one request for its manifest and one for the tags at once, then one
/// round of requests for each level of referrers. Members of an index are asked about together with it.
///
/// Manifests beyond the limits of depth ([`MAX_DEPTH`](crate::graph::MAX_DEPTH)), number ([`MAX_SIBLINGS`], [`MAX_NODES`])
/// and size ([`MAX_BYTES`]) are left out, and the tree says so: [`Tree::whole`].
///
/// Errors: kind `NotFound` if there is no such artifact; referrers that cannot be listed, a tag of which the store does not
/// tell what it stands for: neither means that there is nothing.
pub async fn tree(store: &dyn ReadStore, name: &Name) -> Result<Tree> {
    reading::read(store, name).await
}

impl Tree {
    /// Leaves the referrers that are wanted, wherever they are, and what leads to them.
    pub fn keep(&mut self, filter: &Filter) {
        if !filter.is_empty() {
            self.root.keep(filter);
        }
    }

    /// Errors: the tree has not all there is (kind `Limit` if that is because of a limit).
    pub fn whole(&self) -> Result<()> {
        let (Some(kind), [first, more @ ..]) = (self.kind, self.lacks.as_slice()) else { return Ok(()) };
        let more = match more.len() {
            0 => String::new(),
            more => format!(" (and {more} more reasons)"),
        };
        Err(Error::new(kind, format!("the tree has not all there is: {first}{more}")))
    }
}

impl Node {
    fn of(desc: Descriptor) -> Self {
        let Descriptor { media_type, digest, size, annotations, platform, artifact_type, .. } = desc;
        Self {
            predicate_type: annotations.get(annotation::PREDICATE_TYPE).cloned(),
            digest,
            media_type,
            size,
            artifact_type,
            annotations,
            platform,
            tags: Vec::new(),
            layers: None,
            children: Vec::new(),
            referrers: Vec::new(),
            companions: Vec::new(),
            repeated: false,
            left_out: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// True if nothing in the tree is about it or about what is below it.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.referrers.is_empty() && self.companions.is_empty() && self.children.iter().all(Self::is_bare)
    }

    /// True for an attestation of BuildKit's among the members of an index.
    #[must_use]
    pub fn is_attestation(&self) -> bool {
        let annotations = self.annotations.clone();
        Descriptor { annotations, ..Descriptor::new("", self.digest.clone(), 0) }.is_attestation()
    }

    fn annotate(&mut self, annotations: Annotations) {
        self.predicate_type = annotations.get(annotation::PREDICATE_TYPE).cloned();
        self.annotations = annotations;
    }

    fn below(&mut self, relation: Relation) -> &mut Vec<Self> {
        match relation {
            Relation::Child => &mut self.children,
            Relation::Referrer => &mut self.referrers,
            Relation::Companion => &mut self.companions,
        }
    }

    /// Leaves what is wanted and what leads to it. `false` if nothing is left.
    fn keep(&mut self, filter: &Filter) -> bool {
        self.children.retain_mut(|child| child.keep(filter));
        for about in [&mut self.referrers, &mut self.companions] {
            about.retain_mut(|node| node.keep(filter) || filter.fits(node));
        }
        !(self.children.is_empty() && self.referrers.is_empty() && self.companions.is_empty())
    }
}

impl Layer {
    fn all(parsed: &Parsed) -> Vec<Self> {
        // The first of a manifest is its config.
        let skipped = usize::from(matches!(parsed, Parsed::Manifest(_)));
        let blobs = parsed.children().into_iter().filter(|(role, _)| *role == Role::Blob).skip(skipped);
        blobs.map(|(_, desc)| Self::of(desc)).collect()
    }

    fn of(desc: &Descriptor) -> Self {
        let predicate = LAYER_PREDICATES.iter().find_map(|key| desc.annotations.get(*key));
        Self { descriptor: desc.bare(), predicate_type: predicate.cloned() }
    }
}
