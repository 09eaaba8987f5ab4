//! A part of an index: the manifests for some platforms, with or without attestations.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::select::{best, no_such_platform, select};
use crate::{
    error::{Code, Error, Kind, Result},
    graph::{self, Root},
    oci::{Descriptor, Digest, Parsed, Platform, Platforms, RefName, media_type},
    store::{self, Added, ReadStore},
};

/// Which members of an index to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Selection {
    /// The platforms; all if empty. If it is one, its manifest is copied instead of the index.
    pub platforms: Vec<Platform>,
    /// Also the attestations of these members: see [`Descriptor::is_attestation`]. True by default.
    pub attestations: bool,
    /// If members are left out, makes a new index of the others, with a digest of its own, which every registry takes.
    /// Otherwise the index stays as it is, which layouts and archives take, and few registries.
    pub new_index: bool,
}

impl Default for Selection {
    fn default() -> Self {
        Self { platforms: Vec::new(), attestations: true, new_index: false }
    }
}

/// What a selection leaves of an artifact.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Selected {
    /// The manifest to copy.
    pub root: Descriptor,
    /// The index that was made for it, if it is none of the store's.
    pub made: Option<NewIndex>,
    /// What is left out of it, if it is an index that stays as it is.
    pub partial: Option<PartialIndex>,
}

/// An index with a part of the members of another one, and otherwise the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct NewIndex {
    /// The index that it is a part of.
    pub from: Digest,
    /// Its own digest.
    pub to: Digest,
    /// How many members it has.
    pub members: usize,
    /// The other members, without annotations.
    pub left_out: Vec<Descriptor>,
    /// How many manifests refer to the former index, cosign's signatures included: they do not apply to this one.
    /// `None` if the store does not tell.
    pub referrers_left: Option<usize>,
    #[serde(skip)]
    bytes: Bytes,
}

/// An index that is copied as it is, with a part of its members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PartialIndex {
    /// The index.
    pub digest: Digest,
    /// How many of its members are copied.
    pub members: usize,
    /// The other members, without annotations.
    pub left_out: Vec<Descriptor>,
    #[serde(skip)]
    platforms: Platforms,
}

impl Selected {
    fn whole(root: Descriptor) -> Self {
        Self { root, made: None, partial: None }
    }

    /// A store that has the manifest and all that it points to.
    #[must_use]
    pub fn store(&self, from: &Arc<dyn ReadStore>) -> Arc<dyn ReadStore> {
        match self.added() {
            Some(made) => Arc::new(Added::new(Arc::clone(from), [made])),
            None => Arc::clone(from),
        }
    }

    /// The index that was made, for [`Added`].
    #[must_use]
    pub fn added(&self) -> Option<(Descriptor, Bytes)> {
        self.made.as_ref().map(|made| (self.root.clone(), made.bytes.clone()))
    }

    /// The manifest as the root of a graph, without the members that are left out.
    #[must_use]
    pub fn to_root(&self, names: Vec<RefName>) -> Root {
        let platforms = self.partial.as_ref().map(|partial| partial.platforms.clone());
        Root { platforms, ..Root::new(self.root.clone(), names) }
    }
}

/// The manifest for one platform, as [`select`] finds it; else the index, without the members that are not selected. An
/// artifact that is no index must fit all platforms.
///
/// Members without a platform are always selected, and so are all that have the same platform.
///
/// Errors: kind `NotFound` for a platform that is not there, or if nothing remains.
pub async fn narrow(from: &Arc<dyn ReadStore>, root: Descriptor, selection: &Selection) -> Result<Selected> {
    let Selection { platforms, attestations, .. } = selection;
    if !media_type::is_index(&root.media_type) {
        let mut image = root;
        for platform in platforms {
            image = select(from, image, Some(platform)).await?;
        }
        return Ok(Selected::whole(image));
    }
    match platforms.split_first() {
        None if *attestations => return Ok(Selected::whole(root)),
        Some((only, more)) if more.iter().all(|other| other == only) => {
            return select(from, root, Some(only)).await.map(Selected::whole);
        }
        _ => {}
    }
    let bytes = store::read_manifest(from.as_ref(), &root).await?;
    let Parsed::Index(index) = Parsed::read(&root.media_type, &bytes)? else { return Ok(Selected::whole(root)) };
    let platforms = selected(&root.digest, &index.manifests, selection)?;
    let kept = platforms.keeps(&index.manifests.iter().collect::<Vec<_>>());
    match kept.contains(&false) {
        false => Ok(Selected::whole(root)),
        true if !kept.contains(&true) => {
            let message = format!("{} has attestations only", root.digest);
            Err(Error::not_found(message).with_code(Code::NoSuchPlatform).with_digest(&root.digest))
        }
        true if selection.new_index => new_index(from.as_ref(), &root, (&bytes, &index.manifests), &kept).await,
        true => {
            let (members, left_out) = part(&index.manifests, &kept);
            let partial = PartialIndex { digest: root.digest.clone(), members, left_out, platforms };
            Ok(Selected { root, made: None, partial: Some(partial) })
        }
    }
}

/// A new index of the members that are kept.
async fn new_index(
    from: &dyn ReadStore,
    root: &Descriptor,
    (bytes, all): (&[u8], &[Descriptor]),
    kept: &[bool],
) -> Result<Selected> {
    let bytes = with_members(bytes, kept)?;
    let new = Descriptor { artifact_type: root.artifact_type.clone(), ..Descriptor::of(&*root.media_type, &bytes) };
    let (members, left_out) = part(all, kept);
    let made = NewIndex {
        from: root.digest.clone(),
        to: new.digest.clone(),
        members,
        left_out,
        referrers_left: referrers(from, root).await.ok(),
        bytes,
    };
    Ok(Selected { root: new, made: Some(made), partial: None })
}

/// How many members are kept, and the others.
fn part(all: &[Descriptor], kept: &[bool]) -> (usize, Vec<Descriptor>) {
    let left_out = all.iter().zip(kept).filter(|(_, kept)| !**kept).map(|(member, _)| member);
    let left_out = left_out.map(|member| Descriptor { platform: member.platform.clone(), ..member.bare() });
    (kept.iter().filter(|kept| **kept).count(), left_out.collect())
}

/// The platforms of the members that are selected. Errors: one is not there.
fn selected(index: &Digest, all: &[Descriptor], selection: &Selection) -> Result<Platforms> {
    let mut chosen = Vec::new();
    let mut missing = Vec::new();
    for platform in &selection.platforms {
        match best(all.iter(), platform) {
            Some(found) => chosen.push(found),
            None => missing.push(platform),
        }
    }
    if !missing.is_empty() {
        return Err(no_such_platform(&missing, index, all.iter()));
    }
    if selection.platforms.is_empty() {
        chosen = all.iter().filter(|member| !member.is_attestation()).collect();
    }
    let attestations = selection.attestations && all.iter().any(Descriptor::is_attestation);
    Ok(Platforms::of(chosen, attestations))
}

/// An index with these of its members: each as it is written, and so is all else.
fn with_members(bytes: &[u8], kept: &[bool]) -> Result<Bytes> {
    let malformed = |e| Error::caused(Kind::Invalid, "malformed manifest", e);
    let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(bytes).map_err(malformed)?;
    let all = fields.get("manifests").map_or("[]", |all| all.get());
    let all: Vec<&RawValue> = serde_json::from_str(all).map_err(malformed)?;
    let members: Vec<&RawValue> =
        all.into_iter().zip(kept).filter(|(_, kept)| **kept).map(|(member, _)| member).collect();
    let members = serde_json::value::to_raw_value(&members).map_err(malformed)?;
    fields.insert("manifests".into(), members);
    serde_json::to_vec(&fields).map(Bytes::from).map_err(malformed)
}

/// How many manifests refer to this one, by subject or by cosign's tags.
async fn referrers(store: &dyn ReadStore, root: &Descriptor) -> Result<usize> {
    let (by_subject, by_tag) = tokio::join!(store.referrers(root), graph::companions(store, &root.digest));
    Ok(by_subject?.len().saturating_add(by_tag?.len()))
}
