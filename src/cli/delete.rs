//! `artifact delete`: a tag, or a manifest with all its tags.

use std::{collections::HashSet, process::ExitCode};

use artifact::{
    Error, Result,
    error::Context as _,
    graph::{self, MAX_ENTRIES},
    location::Location,
    oci::{Descriptor, Digest},
    store::{self, Intent, Item, ReadStore},
};

use super::{report::Report, session::RegistryArgs};

/// Delete a tag, or with a digest the manifest itself.
///
/// `repo:tag` removes the tag and leaves the manifest to other tags; `repo@sha256:…` removes the manifest, and with it
/// every tag that points at it. What refers to it, and what cosign keeps about it under tags of its own, is named and
/// stays, unless --referrers is given.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to delete; a tag or a digest must be given
    #[arg(value_parser = named)]
    location: Location,
    /// Delete what refers to the manifest as well: signatures, SBOMs and what cosign keeps under tags of its own
    #[arg(long)]
    referrers: bool,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Reads a location with a tag or a digest.
fn named(text: &str) -> std::result::Result<Location, String> {
    let location: Location = text.parse().map_err(|e: Error| e.to_string())?;
    if location.tag.is_none() && location.digest.is_none() {
        return Err("it names neither a tag nor a digest".into());
    }
    Ok(location)
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let Args { location, referrers, registry } = &args;
    let store = registry.write_existing(&location.place, report).await?;
    let (deleted, left) = match &location.digest {
        Some(digest) => {
            let desc = store.resolve(&digest.to_string()).await?;
            let about = match about(store.as_ref(), &desc).await {
                Err(e) if !referrers => {
                    report.warn(format!("whether something is left that refers to it was not answered: {e}"));
                    Vec::new()
                }
                about => about?,
            };
            let (mut deleted, left) = if *referrers { (about, Vec::new()) } else { (Vec::new(), about) };
            deleted.push(desc);
            let removals = deleted.iter().map(|desc| Item::manifest(desc.clone())).collect();
            store::begin(store.as_ref(), Intent { removals, ..Intent::default() }).await?.commit().await?;
            (deleted, left)
        }
        None if *referrers => {
            return Err(Error::misuse("`--referrers` goes with a manifest, `LOCATION@DIGEST`: a tag leaves it there"));
        }
        None => {
            store::remove_name(store.as_ref(), location.tag.as_deref().unwrap_or_default()).await?;
            (Vec::new(), Vec::new())
        }
    };
    report.say(format!("deleted {location}"));
    for Descriptor { digest, .. } in deleted.iter().rev().skip(1) {
        report.say(format!("deleted {}@{digest}, which referred to it", location.place));
    }
    for Descriptor { digest, .. } in &left {
        let place = &location.place;
        report.warn(format!("{digest} refers to it and is still there: `artifact delete {place}@{digest}`"));
    }
    let digests = |all: &[Descriptor]| all.iter().map(|desc| desc.digest.to_string()).collect::<Vec<_>>();
    let json = serde_json::json!({
        "deleted": location.to_string(), "digests": digests(&deleted), "left": digests(&left),
    });
    report.result(None, &json, &[])?;
    Ok(ExitCode::SUCCESS)
}

/// What refers to a manifest, what refers to that, and so on, with cosign's: the last comes first, so that whoever stops
/// half way leaves nothing that refers to what is gone.
async fn about(store: &dyn ReadStore, subject: &Descriptor) -> Result<Vec<Descriptor>> {
    let mut known: HashSet<Digest> = [subject.digest.clone()].into();
    let (mut found, mut next) = (Vec::new(), vec![subject.clone()]);
    while let Some(subject) = next.pop() {
        let asked = || format!("ask what refers to {}", subject.digest);
        let listed = store.referrers(&subject).await.context(asked)?;
        let companions = graph::companions(store, &subject.digest).await.context(asked)?;
        for desc in listed.into_iter().chain(companions.into_iter().map(|(_, desc)| desc)) {
            if known.insert(desc.digest.clone()) {
                next.push(desc.clone());
                found.push(desc);
            }
        }
        if known.len() > MAX_ENTRIES {
            return Err(Error::limit(format!("more than {MAX_ENTRIES} manifests refer to {}", subject.digest)));
        }
    }
    found.reverse();
    Ok(found)
}
