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
    session::RegistryArgs,
};

/// Pack a source and push it: to a registry, a layout or an archive.
///
/// The type is found by looking at the source. Same source, same digest, on every machine; what is there already does
/// not move.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file or directory to pack
    #[arg(index = 1)]
    source: PathBuf,
    /// Where it goes; without a tag, the type may supply one, else it is `latest`
    #[arg(index = 2)]
    location: Location,
    /// Set this tag too
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<RefName>,
    /// Attach it to this artifact, in the same repository; without a tag it is then reached through its subject only
    #[arg(long, value_name = "LOCATION")]
    subject: Option<Location>,
    /// Pack, ask the destination, say what would move, and push nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Ask for every tag again at the end: it must stand for what was stored
    #[arg(long)]
    read_back: bool,
    /// In a layout or archive, drop what the tag stood for from the list; by default it stays listed without a tag
    #[arg(long)]
    replace: bool,
    /// Look for all content, also where a tag of the registry says that it is there
    #[arg(long)]
    recheck: bool,
    /// How many blobs move at a time [default: 6, up to 32 small ones where answers take long]
    #[arg(long, value_name = "N")]
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

/// Pushes what was prepared, or says what that would do.
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
