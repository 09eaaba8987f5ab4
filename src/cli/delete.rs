//! `artifact delete`: a tag, or a manifest with all its tags.

use std::{collections::HashSet, fmt, process::ExitCode};

use artifact::{
    Error, Result,
    error::Context as _,
    graph::{self, MAX_ENTRIES},
    location::Location,
    oci::{Descriptor, Digest, Tag},
    store::{self, Intent, Item, NameChange, ReadStore, Store},
};

use super::{report::Report, session::RegistryArgs};

/// Delete a tag, or, with a digest, the manifest itself.
///
/// `repo:tag` removes the tag and keeps the manifest; `repo@sha256:…` removes the manifest and every tag that points to
/// it. Its referrers, including those that cosign keeps under tags, are listed and kept, unless --referrers is given.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Location with a tag or digest
    #[arg(value_parser = named)]
    location: Location,
    /// Also delete the manifest's referrers: signatures, SBOMs, and those that cosign keeps under tags
    #[arg(long)]
    referrers: bool,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Parses a location with a tag or digest.
fn named(text: &str) -> std::result::Result<Location, String> {
    let location: Location = text.parse().map_err(|e: Error| e.to_string())?;
    if location.tag.is_none() && location.digest.is_none() {
        return Err("expected a tag or digest, as in `repository:tag`".into());
    }
    Ok(location)
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let Args { location, referrers, registry } = &args;
    let store = registry.write_existing(&location.place, report).await?;
    let (deleted, left) = match (&location.digest, &location.tag) {
        (Some(digest), _) => {
            let desc = store.resolve(&digest.clone().into()).await?;
            let about = match about(store.as_ref(), &desc).await {
                Err(e) if !referrers => {
                    report.warn(format!("cannot list the remaining referrers: {e}"));
                    Vec::new()
                }
                about => about?,
            };
            let (mut deleted, left) = if *referrers { (about, Vec::new()) } else { (Vec::new(), about) };
            deleted.push(Related { desc, tag: None });
            remove(store.as_ref(), &deleted).await?;
            (deleted, left)
        }
        (None, _) if *referrers => {
            return Err(Error::misuse(
                "`--referrers` needs a manifest, `LOCATION@DIGEST`; deleting a tag keeps the manifest",
            ));
        }
        (None, tag) => {
            if let Some(tag) = tag.clone() {
                store::remove_name(store.as_ref(), tag).await?;
            }
            (Vec::new(), Vec::new())
        }
    };
    report.say(format!("deleted {location}"));
    for related in deleted.iter().rev().skip(1) {
        report.say(format!("deleted {}{related}, a referrer of it", location.place));
    }
    for related in &left {
        let place = &location.place;
        report.warn(format!(
            "{} refers to it and was kept: `artifact delete {place}{related}` deletes it",
            related.desc.digest
        ));
    }
    let names = |all: &[Related]| all.iter().map(|related| format!("{}{related}", location.place)).collect::<Vec<_>>();
    let json = serde_json::json!({ "location": location.to_string(), "related": names(deleted.split_last().map_or(&[], |(_, related)| related)), "left": names(&left) });
    report.result(None, &json, &[])?;
    Ok(ExitCode::SUCCESS)
}

/// A referrer, or a manifest that cosign keeps under a tag.
struct Related {
    desc: Descriptor,
    /// The tag of a manifest kept by cosign.
    tag: Option<Tag>,
}

impl fmt::Display for Related {
    /// Writes the end of a location: `:tag` or `@digest`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tag {
            Some(tag) => write!(f, ":{tag}"),
            None => write!(f, "@{}", self.desc.digest),
        }
    }
}

/// Removes all of these at once. A manifest with other names besides cosign's tag loses only that tag.
async fn remove(store: &dyn Store, all: &[Related]) -> Result<()> {
    let (mut removals, mut names) = (Vec::new(), Vec::new());
    for Related { desc, tag } in all {
        match tag {
            Some(tag) if is_named_otherwise(store, desc, tag).await? => {
                names.push(NameChange::remove(tag.clone().into()));
            }
            _ => removals.push(Item::manifest(desc.clone())),
        }
    }
    let write = store::begin(store, Intent { removals, names: names.clone(), ..Intent::default() }).await?;
    names.into_iter().try_for_each(|change| write.name(change))?;
    write.commit().await.map(drop)
}

async fn is_named_otherwise(store: &dyn ReadStore, desc: &Descriptor, tag: &Tag) -> Result<bool> {
    for name in store.list_names().await?.names {
        if *name != **tag && store.resolve(&name.into()).await.is_ok_and(|found| found.digest == desc.digest) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// All direct and indirect referrers of a manifest, with cosign's. Referrers precede their subjects, so that an
/// interrupted deletion leaves none without its subject.
async fn about(store: &dyn ReadStore, subject: &Descriptor) -> Result<Vec<Related>> {
    let mut known: HashSet<Digest> = [subject.digest.clone()].into();
    let (mut found, mut next) = (Vec::new(), vec![subject.clone()]);
    while let Some(subject) = next.pop() {
        let asked = || format!("list the referrers of {}", subject.digest);
        let listed = store.referrers(&subject).await.context(asked)?.into_iter().map(|desc| (None, desc));
        let kept = graph::companions(store, &subject.digest).await.context(asked)?.into_iter();
        for (tag, desc) in listed.chain(kept.map(|(tag, desc)| (Some(tag), desc))) {
            if known.insert(desc.digest.clone()) {
                next.push(desc.clone());
                found.push(Related { desc, tag });
            }
        }
        if known.len() > MAX_ENTRIES {
            return Err(Error::limit(format!("more than {MAX_ENTRIES} manifests refer to {}", subject.digest)));
        }
    }
    found.reverse();
    Ok(found)
}
