//! `artifact delete`: a tag, or a manifest with all its tags.

use std::process::ExitCode;

use artifact::{Error, Result, location::Location};

use super::{report::Report, session::RegistryArgs};

/// Delete a tag, or with a digest the manifest itself.
///
/// `repo:tag` removes the tag and leaves the manifest to other tags; `repo@sha256:…` removes the manifest, and with it
/// every tag that points at it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to delete; a tag or a digest must be given
    location: Location,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let store = args.registry.write_existing(&args.location.place).await?;
    match (&args.location.digest, &args.location.tag) {
        (Some(digest), _) => {
            let desc = store.resolve(&digest.to_string()).await?;
            store.delete(&desc).await?;
        }
        (None, Some(tag)) => store.untag(tag).await?,
        (None, None) => return Err(Error::invalid(format!("`{}` names neither a tag nor a digest", args.location))),
    }
    store.finish().await?;
    report.say(format!("deleted {}", args.location));
    Ok(ExitCode::SUCCESS)
}
