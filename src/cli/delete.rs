//! `artifact delete`: a tag, or a manifest with all its tags.

use std::process::ExitCode;

use artifact::{
    Error, Result, graph,
    location::Location,
    store::{self, Item},
};

use super::{report::Report, session::RegistryArgs};

/// Delete a tag, or with a digest the manifest itself.
///
/// `repo:tag` removes the tag and leaves the manifest to other tags; `repo@sha256:…` removes the manifest, and with it
/// every tag that points at it. What cosign keeps about it under tags of its own is named and stays.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to delete; a tag or a digest must be given
    #[arg(value_parser = named)]
    location: Location,
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
    let store = args.registry.write_existing(&args.location.place, report).await?;
    let mut left = Vec::new();
    match (&args.location.digest, &args.location.tag) {
        (Some(digest), _) => {
            let desc = store.resolve(&digest.to_string()).await?;
            store::delete(store.as_ref(), Item::manifest(desc)).await?;
            match graph::companions(store.as_ref(), digest).await {
                Ok(companions) => left.extend(companions.into_iter().map(|(tag, _)| tag.to_string())),
                Err(e) => report.warn(format!("whether something is left that belongs to it was not answered: {e}")),
            }
        }
        (None, tag) => store::remove_name(store.as_ref(), tag.as_deref().unwrap_or_default()).await?,
    }
    report.say(format!("deleted {}", args.location));
    for tag in &left {
        report
            .warn(format!("`{tag}` belongs to it and is still there: `artifact delete {}:{tag}`", args.location.place));
    }
    let json = serde_json::json!({ "deleted": args.location.to_string(), "left": left });
    report.result(None, &json, &[])?;
    Ok(ExitCode::SUCCESS)
}
