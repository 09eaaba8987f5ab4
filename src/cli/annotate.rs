//! `artifact annotate`: other annotations for what is there.

use std::{collections::BTreeMap, process::ExitCode};

use artifact::{
    Error, Result, graph,
    location::{Location, name_in},
    oci::{Descriptor, RefName},
    raw,
    store::{self, ReadStore},
};

use super::{manifest::print, report::Report, session::RegistryArgs};

/// Set or remove annotations of an artifact.
///
/// The manifest gets a new digest, and the tag moves to it. The old one stays where it is; signatures and other referrers
/// are about that one, and are named.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The artifact
    location: Location,
    /// `KEY=VALUE` sets an annotation, `KEY-` removes it
    #[arg(required = true, value_name = "KEY=VALUE|KEY-", value_parser = change, allow_hyphen_values = false)]
    changes: Vec<(String, Option<String>)>,
    /// Additional tag
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<RefName>,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Reads `key=value` or `key-`.
fn change(text: &str) -> std::result::Result<(String, Option<String>), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), Some(value.into()))),
        None if text.len() > 1 && text.ends_with('-') => Ok((text[..text.len() - 1].into(), None)),
        _ => Err("expected `KEY=VALUE`, or `KEY-` to remove it".into()),
    }
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let mut changes = BTreeMap::new();
    for (key, value) in args.changes {
        if changes.insert(key.clone(), value).is_some() {
            return Err(Error::misuse(format!("the annotation `{key}` is given twice")));
        }
    }
    args.tags.iter().try_for_each(|tag| args.location.with_tag(tag).map(drop))?;
    let store = args.registry.write_existing(&args.location.place, report).await?;
    let name = name_in(store.as_ref(), &args.location).await?;
    let old = store.resolve(&name).await?;
    let bytes = store::read_manifest(store.as_ref(), &old).await?;
    let new = raw::annotated(&bytes, &changes)?;
    // Without a tag, the only one of a layout; with a digest, only what is named beside it.
    let only = name.as_ref_name().filter(|_| args.location.digest.is_none());
    let names: Vec<RefName> = args.location.tag.as_ref().or(only).cloned().into_iter().chain(args.tags).collect();
    let written = raw::put_manifest(&store, Some(&old.media_type), new, &names).await?;
    let mut left = Vec::new();
    if written.descriptor.digest == old.digest {
        report.say("the annotations are so already");
    } else {
        left = left_behind(store.as_ref(), &old, report).await;
        for about in &left {
            report.warn(format!("{about} is about {} and stays with it", old.digest));
        }
    }
    let mut more = serde_json::Map::new();
    more.insert("from".into(), old.digest.to_string().into());
    more.insert("kept".into(), left.into());
    print(&args.location, &written.descriptor, &written.names, more, report)
}

/// What is about a manifest, in words.
async fn left_behind(store: &dyn ReadStore, old: &Descriptor, report: &Report) -> Vec<String> {
    let (referrers, companions) = tokio::join!(store.referrers(old), graph::companions(store, &old.digest));
    let mut all = Vec::new();
    match referrers {
        Ok(found) => all.extend(found.into_iter().map(|desc| desc.digest.to_string())),
        Err(e) => report.warn(format!("cannot list what is about {}: {e}", old.digest)),
    }
    match companions {
        Ok(found) => all.extend(found.into_iter().map(|(tag, _)| tag.to_string())),
        Err(e) => report.warn(format!("cannot list what cosign keeps about {}: {e}", old.digest)),
    }
    all
}
