//! An index of which no store has all members.

use std::sync::Arc;

use super::Entry;
use crate::{
    error::{Code, Error, Kind},
    oci::{Descriptor, Parsed, Platform, Platforms},
    store::{Item, Presence, ReadStore},
};

/// Most members that a store is asked about for an error.
const ASKED: usize = 100;

/// The error for an index that lacks members: it names the platforms that are there. With `asked`, only members that these
/// keep are wanted. `None` if it would say no more than which manifest is missing.
pub(super) async fn lacking(stores: &[Arc<dyn ReadStore>], index: &Entry, asked: Option<&Platforms>) -> Option<Error> {
    let digest = &index.desc.digest;
    let Ok(Parsed::Index(document)) = Parsed::read(&index.desc.media_type, &index.bytes) else { return None };
    let members = document.manifests;
    if members.len() > ASKED {
        return None;
    }
    let mut here = vec![false; members.len()];
    let mut farthest = None;
    for store in index.origins.iter().filter_map(|at| stores.get(usize::from(*at))) {
        let items: Vec<Item> = members.iter().map(|member| Item::manifest(member.bare())).collect();
        let found = store.has(&items).await.ok()?;
        here.iter_mut().zip(found).for_each(|(here, found)| *here |= matches!(found, Presence::Here { .. }));
        farthest = Some(store);
    }
    let wanted = match asked {
        Some(platforms) => platforms.keeps(&members.iter().collect::<Vec<_>>()),
        None => vec![true; members.len()],
    };
    let there = members.iter().zip(&here).filter(|(_, here)| **here).map(|(member, _)| member);
    let missing: Vec<&Descriptor> = members
        .iter()
        .zip(here.iter().zip(&wanted))
        .filter(|(_, (here, wanted))| !**here && **wanted)
        .map(|(m, _)| m)
        .collect();
    let lacks_images = missing.iter().any(|member| !member.is_attestation());
    let (there, missing) = (platforms(there), names(missing.into_iter()));
    if there.is_empty() || missing.is_empty() {
        return None;
    }
    let (there, missing) = (there.join(","), missing.join(", "));
    let message = format!("{} lacks members of {digest}: {missing}; there are: {there}", farthest?);
    let error = match asked.is_some() && lacks_images {
        true => Error::not_found(message).with_code(Code::NoSuchPlatform),
        false => Error::new(Kind::Invalid, message).with_code(Code::MembersMissing).with_name(there),
    };
    Some(error.with_digest(digest))
}

/// The platforms of images that can be asked for, each once.
fn platforms<'a>(members: impl Iterator<Item = &'a Descriptor>) -> Vec<String> {
    let images = members.filter(|member| !member.is_attestation()).filter_map(|member| member.platform.as_ref());
    let mut all: Vec<String> =
        images.map(ToString::to_string).filter(|platform| platform.parse::<Platform>().is_ok()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// What to call members in a message.
fn names<'a>(members: impl Iterator<Item = &'a Descriptor>) -> Vec<String> {
    let name = |member: &Descriptor| match (&member.platform, member.is_attestation()) {
        (_, true) => format!("attestation {}", member.digest),
        (Some(platform), false) => format!("{platform} ({})", member.digest),
        (None, false) => member.digest.to_string(),
    };
    members.map(name).collect()
}
