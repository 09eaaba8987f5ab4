//! `artifact delete`: tags, or manifests with all their tags.

mod confirm;
mod pick;
mod related;
mod removal;

use std::{num::NonZeroUsize, process::ExitCode};

use artifact::{
    Error, Result,
    location::{Location, Place},
    store::NamePattern,
};
use serde_json::{Value, json};

use self::{
    pick::{Keep, pick},
    removal::{Removal, Targets},
};
use super::{
    report::{Report, object},
    session::RegistryArgs,
    several::{Failure, add_failures, tell_failures},
    text::count,
};

/// Delete tags, or, with a digest, the manifests themselves.
///
/// `repo:tag` removes the tag and keeps the manifest; `repo@sha256:…` removes the manifest and every tag that points to
/// it, with what cosign keeps about it under the tags `sha256-….sig`, `.att` and `.sbom`. Its referrers are listed and kept,
/// unless --referrers is given.
///
/// --filter and --keep delete tags of whole repositories, layouts or archives. They ask first; without a terminal they
/// need --yes or --dry-run. Tags that hold referrers (`sha256-…`) are never among them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Locations with a tag or digest; with --filter or --keep, without
    #[arg(required = true, value_name = "LOCATION")]
    locations: Vec<Location>,
    /// Delete the tags that match: `*` is any text, `?` one character, `{a,b}` and `[0-9]` select
    #[arg(long, value_name = "GLOB")]
    filter: Option<NamePattern>,
    /// Of the tags that match, or of all, keep the N newest: by version if all are versions, by name if none is. A mixture
    /// is refused. In a layout of whole references, N of each repository
    #[arg(long, value_name = "N")]
    keep: Option<NonZeroUsize>,
    /// Also delete the manifest's referrers: signatures, SBOMs, and their referrers
    #[arg(long, conflicts_with_all = ["filter", "keep"])]
    referrers: bool,
    /// Report what would be deleted, and delete nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Delete what --filter and --keep select without asking
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    registry: RegistryArgs,
}

impl Args {
    /// Whether tags are selected in whole stores.
    fn selects(&self) -> bool {
        self.filter.is_some() || self.keep.is_some()
    }

    fn check(&self, report: &Report) -> Result<()> {
        self.locations.iter().try_for_each(|location| self.check_location(location))?;
        if self.selects() && !self.dry_run && !self.yes && !confirm::can_ask(report) {
            let message =
                "`--filter` and `--keep` delete without asking only with `--yes`; `--dry-run` shows what would go";
            return Err(Error::misuse(message));
        }
        Ok(())
    }

    fn check_location(&self, location: &Location) -> Result<()> {
        let names_one = location.tag.is_some() || location.digest.is_some();
        match (self.selects(), names_one) {
            (true, true) => Err(Error::misuse(format!(
                "`{location}` names one artifact; `--filter` and `--keep` take a location without a tag or digest"
            ))),
            (false, false) => Err(Error::misuse(format!(
                "`{location}` has no tag or digest; `--filter GLOB` and `--keep N` delete tags of a whole repository"
            ))),
            (false, true) if self.referrers && location.digest.is_none() => Err(Error::misuse(
                "`--referrers` needs a manifest, `LOCATION@DIGEST`; deleting a tag keeps the manifest",
            )),
            _ => Ok(()),
        }
    }
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    args.check(report)?;
    let mut targets = Targets::default();
    let mut failed = Vec::new();
    let locations = if args.selects() { select(&args, &mut targets, report).await? } else { args.locations.clone() };
    let planned = targets.plan(&args, &locations, &mut failed, report).await?;
    if args.selects() && !args.dry_run && !args.yes && !planned.is_empty() {
        confirm::ask(&planned.iter().map(|removal| removal.location.to_string()).collect::<Vec<_>>())?;
    }
    let done = if args.dry_run { planned } else { targets.remove(planned, &mut failed).await };
    let one = !args.selects() && args.locations.len() == 1;
    if one
        && done.is_empty()
        && let Some(Failure { error, .. }) = failed.pop()
    {
        return Err(error);
    }
    tell(&args, &done, failed, report)
}

/// The tags of whole stores that are to go. Says how many stay.
async fn select(args: &Args, targets: &mut Targets, report: &Report) -> Result<Vec<Location>> {
    let mut all = Vec::new();
    for location in &args.locations {
        let store = targets.open(&location.place, &args.registry, report).await?;
        let picked = pick(&*store, location, args.filter.as_ref(), args.keep.map(Keep), report).await?;
        if picked.go.is_empty() {
            report.say(format!("{location}: nothing to delete: {}", picked.why_none()));
        } else if args.keep.is_some() {
            report.say(format!("{location}: {} kept, the newest by {}", count(picked.stay, "tag"), picked.order));
        }
        all.extend(picked.go.into_iter().map(|tag| Location { tag: Some(tag), ..location.clone() }));
    }
    Ok(all)
}

/// Reports what was deleted or would be.
fn tell(args: &Args, done: &[Removal], failed: Vec<Failure>, report: &Report) -> Result<ExitCode> {
    for removal in done {
        removal.lines(args.dry_run).into_iter().for_each(|line| report.say(line));
        removal.kept().into_iter().for_each(|line| report.warn(line));
    }
    let documents = done.iter().map(Removal::json).collect::<Result<Vec<_>>>()?;
    let mut json = match <[_; 1]>::try_from(documents) {
        Ok([only]) if !args.selects() && args.locations.len() == 1 => only,
        Ok([only]) => object(&json!({ "artifacts": [only] }))?,
        Err(many) => object(&json!({ "artifacts": many }))?,
    };
    if args.dry_run {
        json.insert("dryRun".into(), Value::from(true));
    }
    add_failures(&mut json, &failed);
    report.result(None, &json, &[])?;
    Ok(tell_failures(report, "delete", failed, done.len(), args.dry_run))
}

/// Whether several changes of a store are made at once or not at all.
fn is_local(place: &Place) -> bool {
    matches!(place, Place::Layout(_) | Place::Archive(_))
}
