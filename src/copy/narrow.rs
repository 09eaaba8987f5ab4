//! A part of an index: the manifests for some platforms, with or without attestations.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::select::{best, no_such_platform, select};
use crate::{
    error::{Code, Error, Kind, Result},
    graph,
    oci::{Descriptor, Digest, Parsed, Platform, annotation, media_type},
    store::{self, Added, ReadStore},
};

/// Which members of an index to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The platforms; all if empty. If it is one, its manifest is copied instead of the index.
    pub platforms: Vec<Platform>,
    /// Also the attestations of these members: see [`Descriptor::is_attestation`]. True by default.
    pub attestations: bool,
}

impl Default for Selection {
    fn default() -> Self {
        Self { platforms: Vec::new(), attestations: true }
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

impl Selected {
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
}

/// The manifest for one platform, as [`select`] finds it; else an index with the selected members and all else that the
/// artifact's index has, which is that index itself if nothing is left out. An artifact that is no index must fit all
/// platforms.
///
/// Errors: kind `NotFound` for a platform that is not there, or if nothing remains.
pub async fn narrow(from: &Arc<dyn ReadStore>, root: Descriptor, selection: &Selection) -> Result<Selected> {
    let Selection { platforms, attestations } = selection;
    let whole = |root| Ok(Selected { root, made: None });
    if !media_type::is_index(&root.media_type) {
        let mut image = root;
        for platform in platforms {
            image = select(from, image, Some(platform)).await?;
        }
        return whole(image);
    }
    match platforms.split_first() {
        None if *attestations => return whole(root),
        Some((only, more)) if more.iter().all(|other| other == only) => {
            return whole(select(from, root, Some(only)).await?);
        }
        _ => {}
    }
    let bytes = store::read_manifest(from.as_ref(), &root).await?;
    let Parsed::Index(index) = Parsed::read(&root.media_type, &bytes)? else { return whole(root) };
    let kept = members(&root.digest, &index.manifests, selection)?;
    if kept.iter().all(|kept| *kept) {
        return whole(root);
    }
    let bytes = with_members(&bytes, &kept)?;
    let new = Descriptor { artifact_type: root.artifact_type.clone(), ..Descriptor::of(&*root.media_type, &bytes) };
    let left_out = index.manifests.iter().zip(&kept).filter(|(_, kept)| !**kept);
    let made = NewIndex {
        from: root.digest.clone(),
        to: new.digest.clone(),
        members: kept.iter().filter(|kept| **kept).count(),
        left_out: left_out.map(|(desc, _)| Descriptor { platform: desc.platform.clone(), ..desc.bare() }).collect(),
        referrers_left: referrers(from.as_ref(), &root).await.ok(),
        bytes,
    };
    Ok(Selected { root: new, made: Some(made) })
}

/// Which members of an index are selected.
fn members(index: &Digest, all: &[Descriptor], Selection { platforms, attestations }: &Selection) -> Result<Vec<bool>> {
    let mut kept: HashSet<&Digest> = HashSet::new();
    let mut missing = Vec::new();
    for platform in platforms {
        match best(all.iter(), platform) {
            Some(found) => drop(kept.insert(&found.digest)),
            None => missing.push(platform),
        }
    }
    if !missing.is_empty() {
        return Err(no_such_platform(&missing, index, all.iter()));
    }
    let about = |desc: &Descriptor| desc.annotations.get(annotation::REFERENCE_DIGEST).cloned();
    let is_kept = |desc: &Descriptor| match (desc.is_attestation(), platforms.is_empty()) {
        (true, _) if !attestations => false,
        (true, false) => kept.iter().any(|kept| about(desc).is_some_and(|about| about == kept.to_string())),
        (false, false) => kept.contains(&desc.digest),
        (_, true) => true,
    };
    let kept: Vec<bool> = all.iter().map(is_kept).collect();
    if kept.contains(&true) || all.is_empty() {
        return Ok(kept);
    }
    let message = format!("{index} has attestations only");
    Err(Error::not_found(message).with_code(Code::NoSuchPlatform).with_digest(index))
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
