//! The manifest for a platform.

use std::sync::Arc;

use crate::{
    error::{Code, Error, Kind, Result},
    oci::{Descriptor, Digest, Parsed, Platform, exact_keys, media_type},
    store::{self, Item, Presence, ReadStore},
};

/// Largest config of an image that is read, in bytes.
const MAX_CONFIG: u64 = 4 << 20;

/// For an index, the manifest that fits this platform best; an image that is for this platform; any other manifest
/// unchanged, since it has no platform.
///
/// Errors: kind `NotFound` if there is none for it, or if it was left out when the index was copied here.
pub async fn select(from: &Arc<dyn ReadStore>, root: Descriptor, platform: Option<&Platform>) -> Result<Descriptor> {
    let Some(platform) = platform else { return Ok(root) };
    if !media_type::is_index(&root.media_type) {
        return checked(from.as_ref(), root, platform).await;
    }
    let bytes = store::read_manifest(from.as_ref(), &root).await?;
    let index = Parsed::read(&root.media_type, &bytes)?;
    let members: Vec<&Descriptor> = index.children().into_iter().map(|(_, child)| child).collect();
    let found = best(members.iter().copied(), platform);
    let here = here(from.as_ref(), &root, members).await?;
    let found = found.filter(|found| here.iter().any(|member| member.digest == found.digest));
    found.cloned().ok_or_else(|| no_such_platform(&[platform], &root.digest, here.into_iter()))
}

/// Of the members of an index, those that a store has. It is only asked if members were left out when the index was copied
/// there.
///
/// Errors: the store fails.
pub(crate) async fn here<'a>(
    from: &dyn ReadStore,
    index: &Descriptor,
    members: Vec<&'a Descriptor>,
) -> Result<Vec<&'a Descriptor>> {
    if from.kept_platforms(index).await?.is_none() {
        return Ok(members);
    }
    let items: Vec<Item> = members.iter().map(|member| Item::manifest(member.bare())).collect();
    let found = from.has(&items).await?;
    let here = members.into_iter().zip(found).filter(|(_, presence)| matches!(presence, Presence::Here { .. }));
    Ok(here.map(|(member, _)| member).collect())
}

/// The member that fits a platform best, of those that are no attestations; of equals the first, as in the index's order of preference.
pub(super) fn best<'a>(members: impl Iterator<Item = &'a Descriptor>, platform: &Platform) -> Option<&'a Descriptor> {
    let images = members.filter(|member| !member.is_attestation());
    let fits = images.filter_map(|member| Some((member.platform.as_deref()?.fit(platform)?, member)));
    fits.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, member)| member)
}

/// The error for platforms that an index lacks; it names those that there are.
pub(super) fn no_such_platform<'a>(
    wanted: &[&Platform],
    index: &Digest,
    members: impl Iterator<Item = &'a Descriptor>,
) -> Error {
    let named = |platforms: Vec<String>| platforms.join(", ");
    let wanted = named(wanted.iter().map(ToString::to_string).collect());
    let platforms = members.filter(|member| !member.is_attestation()).filter_map(|member| member.platform.as_ref());
    let there = named(platforms.map(ToString::to_string).collect());
    let there = if there.is_empty() { "none" } else { &there };
    let message = format!("no manifest for platform {wanted} in {index}; available: {there}");
    Error::not_found(message).with_code(Code::NoSuchPlatform).with_name(wanted).with_digest(index)
}

/// Errors: kind `NotFound` for an image for another platform, by its config.
async fn checked(from: &dyn ReadStore, root: Descriptor, wanted: &Platform) -> Result<Descriptor> {
    let bytes = store::read_manifest(from, &root).await?;
    let Parsed::Manifest(manifest) = Parsed::read(&root.media_type, &bytes)? else { return Ok(root) };
    if ![media_type::IMAGE_CONFIG, media_type::DOCKER_CONFIG].contains(&manifest.config.media_type.as_str()) {
        return Ok(root);
    }
    let bytes = store::read(from, &Item::blob(manifest.config.clone()), MAX_CONFIG).await?;
    let malformed = |e| Error::caused(Kind::Invalid, "malformed image config", e).with_digest(&manifest.config.digest);
    let own: Platform = exact_keys::from_slice(&bytes).map_err(malformed)?;
    // Tools that pack other things write an empty config of this type.
    let says_nothing = own.os.is_empty() && own.architecture.is_empty();
    if says_nothing || own.fit(wanted).is_some() {
        return Ok(root);
    }
    let message = format!("{} is an image for {own}, not for {wanted}", root.digest);
    Err(Error::not_found(message).with_code(Code::NoSuchPlatform).with_name(wanted).with_digest(&root.digest))
}
