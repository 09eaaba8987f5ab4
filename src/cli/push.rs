//! `artifact push`: plan, pack, copy, tag.

use std::{num::NonZeroUsize, path::PathBuf, process::ExitCode};

use artifact::{
    Context, Result,
    location::Location,
    oci::RefName,
    push::{self, Prepared},
};

use super::{
    copy::{Outcome, report_done, report_planned},
    plan::{PackArgs, described, told},
    report::Report,
    session::{RegistryArgs, concurrency},
};

/// Pack a source and push it: to a registry, a layout or an archive.
///
/// The type is detected from the source. The same source has the same digest on every machine. Content that the
/// destination already has is not transferred.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file or directory to pack
    #[arg(index = 1)]
    source: PathBuf,
    /// Destination; without a tag, the type's own tag or `latest`
    #[arg(index = 2)]
    location: Location,
    /// Additional tag
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<RefName>,
    /// Attach it to this artifact in the same repository; it is then untagged unless a tag is given
    #[arg(long, value_name = "LOCATION")]
    subject: Option<Location>,
    /// Pack, compare with the destination, report, and push nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// At the end, resolve every tag and compare it with the pushed digest
    #[arg(long)]
    read_back: bool,
    /// In a layout or archive, remove the tag's previous manifest from the index; by default it stays, untagged
    #[arg(long)]
    replace: bool,
    /// Check for every blob, even if the registry's tag already names the same manifest
    #[arg(long)]
    recheck: bool,
    /// Parallel blob transfers [default: 6, up to 32 for small blobs when latency is high]
    #[arg(long, value_name = "N", value_parser = concurrency)]
    concurrency: Option<NonZeroUsize>,
    #[command(flatten)]
    pack: PackArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let _shown = report.shows();
    let context = args.pack.types.context(args.registry.context(report)?);
    let mut options = args.pack.options()?;
    options.subject = args.subject;
    options.names = args.tags;
    (options.recheck, options.replace, options.read_back) = (args.recheck, args.replace, args.read_back);
    options.concurrency = args.concurrency.map(NonZeroUsize::get);
    let prepared = push::prepare(args.source, &args.location, &context, &options).await?;
    carried(prepared, args.dry_run, &context, report).await?.print(report)
}

/// Pushes a prepared artifact, or reports the dry run.
pub(super) async fn carried(prepared: Prepared, dry_run: bool, context: &Context, report: &Report) -> Result<Outcome> {
    told(&prepared.plan.type_name, &prepared.planner, report);
    prepared.plan.warnings.iter().for_each(|warning| report.warn(warning));
    if dry_run {
        let (type_name, planner) = (prepared.plan.type_name.clone(), prepared.planner.clone());
        let target = prepared.target.clone();
        let (packed, would) = prepared.foresee(context).await?;
        return report_planned(report, &would, &target, described(&type_name, &planner, &packed, Some(&target))?);
    }
    let pushed = prepared.run(context).await?;
    report_done(report, &pushed.report, &pushed.location)
}
