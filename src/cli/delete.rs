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
    let (deleted, left) = match (&location.digest, &location.tag) {
        (Some(digest), _) => {
            let desc = store.resolve(&digest.clone().into()).await?;
            let about = match about(store.as_ref(), &desc).await {
                Err(e) if !referrers => {
                    report.warn(format!("whether something is left that refers to it was not answered: {e}"));
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
            return Err(Error::misuse("`--referrers` goes with a manifest, `LOCATION@DIGEST`: a tag leaves it there"));
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
        report.say(format!("deleted {}{related}, which referred to it", location.place));
    }
    for related in &left {
        let place = &location.place;
        report.warn(format!(
            "{} refers to it and is still there: `artifact delete {place}{related}`",
            related.desc.digest
        ));
    }
    let names = |all: &[Related]| all.iter().map(|related| format!("{}{related}", location.place)).collect::<Vec<_>>();
    let json = serde_json::json!({ "deleted": location.to_string(), "related": names(deleted.split_last().map_or(&[], |(_, related)| related)), "left": names(&left) });
    report.result(None, &json, &[])?;
    Ok(ExitCode::SUCCESS)
}

/// A manifest that is about another one.
struct Related {
    desc: Descriptor,
    /// Of what cosign keeps: its tag.
    tag: Option<Tag>,
}

impl fmt::Display for Related {
    /// As the end of a location.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tag {
            Some(tag) => write!(f, ":{tag}"),
            None => write!(f, "@{}", self.desc.digest),
        }
    }
}

/// Removes all of these at once. A manifest that cosign's tag stands for and another name, too, loses that tag only.
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

/// What refers to a manifest, what refers to that, and so on, with cosign's: the last comes first, so that whoever stops
/// half way leaves nothing that refers to what is gone.
async fn about(store: &dyn ReadStore, subject: &Descriptor) -> Result<Vec<Related>> {
    let mut known: HashSet<Digest> = [subject.digest.clone()].into();
    let (mut found, mut next) = (Vec::new(), vec![subject.clone()]);
    while let Some(subject) = next.pop() {
        let asked = || format!("ask what refers to {}", subject.digest);
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
