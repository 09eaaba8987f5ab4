//! `artifact copy`: any store to any store.

use std::{num::NonZeroUsize, process::ExitCode, sync::Arc};

use artifact::{
    Code, Error, Kind, Result,
    copy::{self, Options},
    error::Context as _,
    graph::{Graph, Root},
    location::Location,
    oci::Platform,
    store::ReadStore,
};

use super::{
    access::{FromArgs, ToArgs},
    progress::Account,
    report::{Report, count, size},
    session::{RegistryArgs, name_in},
};

/// Copy an artifact, and all that refers to it, from any store to any store.
///
/// Nothing that the destination has is moved. The tag is set last.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where it is; without a tag: `latest`, or the only tag of a layout or archive
    from: Location,
    /// Where it goes; without a tag, under the tag it has
    to: Location,
    /// Copy every tag of the repository, layout or archive
    #[arg(long, conflicts_with = "platform")]
    all_tags: bool,
    /// Leave signatures, SBOMs and whatever else refers to the artifact behind
    #[arg(long)]
    no_referrers: bool,
    /// Of an index, copy the manifest for this platform only
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    /// Say what would move, and move nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// How many blobs move at a time [default: 6, up to 32 small ones where answers take long]
    #[arg(long, value_name = "N")]
    concurrency: Option<NonZeroUsize>,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    from_access: FromArgs,
    #[command(flatten)]
    to_access: ToArgs,
}

pub(crate) async fn run(mut args: Args, report: &Report) -> Result<ExitCode> {
    let _shown = report.shows();
    let from = args.registry.with(args.from_access.clone()).read(&args.from.place, report).await?;
    args.registry = args.registry.with(args.to_access.clone());
    let options = Options {
        referrers: !args.no_referrers,
        platform: args.platform.clone(),
        concurrency: args.concurrency.map(NonZeroUsize::get),
        progress: report.observer(),
        ..Options::default()
    };
    if args.dry_run {
        return dry_run(&args, &from, report).await;
    }
    let done = if args.all_tags {
        every_tag(&from, &args.to, (&args.registry, report), &options).await
    } else {
        one(&from, &args.from, &args.to, (&args.registry, report), options).await
    };
    tell(report, &done.context(|| format!("copy {} to {}", args.from, args.to))?, &args.to)
}

/// Copies one artifact, under the tag of the target, else under its own. Nothing is made at the target before the
/// source is known to have it.
pub(super) async fn one(
    from: &Arc<dyn ReadStore>,
    source: &Location,
    target: &Location,
    (registry, report): (&RegistryArgs, &Report),
    options: Options,
) -> Result<copy::Report> {
    let name = name_in(from.as_ref(), source).await?;
    let root = copy::select(from, from.resolve(&name).await?, options.platform.as_ref()).await?;
    let own = (source.digest.is_none() && target.digest.is_none()).then_some(name);
    let tags = target.tag.clone().map(String::from).or(own).into_iter().collect();
    let to = registry.write(&target.place, report).await?;
    copy::copy_root(from, root, &to, &Options { tags, ..options }).await
}

async fn every_tag(
    from: &Arc<dyn ReadStore>,
    target: &Location,
    (registry, report): (&RegistryArgs, &Report),
    options: &Options,
) -> Result<copy::Report> {
    let graph = Graph::of(std::slice::from_ref(from), tagged(from).await?, options.referrers).await?;
    copy::copy_graph(from, &graph, &registry.write(&target.place, report).await?, options).await
}

/// All that has a tag, each manifest once.
async fn tagged(from: &Arc<dyn ReadStore>) -> Result<Vec<Root>> {
    let mut roots: Vec<Root> = Vec::new();
    for tag in from.tags().await? {
        let desc = from.resolve(&tag).await?;
        match roots.iter_mut().find(|root| root.desc.digest == desc.digest) {
            Some(root) => root.tags.push(tag),
            None => roots.push(Root { desc, tags: vec![tag] }),
        }
    }
    if roots.is_empty() {
        return Err(Error::not_found(format!("{from} has no tags")).with_code(Code::NoTags));
    }
    Ok(roots)
}

async fn dry_run(args: &Args, from: &Arc<dyn ReadStore>, report: &Report) -> Result<ExitCode> {
    let roots = if args.all_tags {
        tagged(from).await?
    } else {
        let name = name_in(from.as_ref(), &args.from).await?;
        let desc = copy::select(from, from.resolve(&name).await?, args.platform.as_ref()).await?;
        vec![Root { desc, tags: Vec::new() }]
    };
    let graph = Graph::of(std::slice::from_ref(from), roots, !args.no_referrers).await?;
    let to = match args.registry.write_existing(&args.to.place, report).await {
        Ok(to) => Some(to),
        Err(e) if e.kind() == Kind::NotFound => None,
        Err(e) => return Err(e),
    };
    let would = copy::missing(&graph, to.as_ref()).await?;
    let account = report.ended();
    report.say("nothing was moved: this is a dry run");
    report.say(format!("{}: {}", args.to, conditional(&would)));
    document(report, &would, &args.to, account)
}

/// Says what a copy did: the digest on stdout, the account on stderr.
pub(super) fn tell(report: &Report, done: &copy::Report, to: &Location) -> Result<ExitCode> {
    let account = report.ended();
    if done.moved == 0 && done.mounted == 0 {
        report.say(format!("{to} is up to date: nothing moved"));
    } else {
        report.say(format!("{to}: {}{}", sentence(done), account.text(done.bytes)));
    }
    document(report, done, to, account)
}

/// What moved and what did not.
fn sentence(done: &copy::Report) -> String {
    let moved = format!("{} moved ({})", count(done.moved, "item"), size(done.bytes));
    let mounted = if done.mounted > 0 { format!(", {} mounted", done.mounted) } else { String::new() };
    let present = if done.present > 0 { format!(", {} present", done.present) } else { String::new() };
    format!("{moved}{mounted}{present}")
}

/// What would move and what would not. Without trying, nobody knows what could be mounted.
fn conditional(would: &copy::Report) -> String {
    let moves = match would.moved {
        0 => "nothing would move".to_owned(),
        moved => format!("{} would move ({})", count(moved, "item"), size(would.bytes)),
    };
    let are = if would.present == 1 { "is" } else { "are" };
    let present = if would.present > 0 { format!(", {} {are} present", would.present) } else { String::new() };
    format!("{moves}{present}")
}

fn document(report: &Report, done: &copy::Report, to: &Location, account: Account) -> Result<ExitCode> {
    // Names were resolved and sources read before the copy began: that counts, too.
    let done = copy::Report { resumed: account.resumed, retried: account.retried, ..done.clone() };
    let mut json = serde_json::to_value(&done).map_err(|e| Error::invalid(e.to_string()))?;
    if let Some(object) = json.as_object_mut() {
        object.insert("seconds".into(), account.seconds().into());
        object.insert("location".into(), to.to_string().into());
    }
    report.result(Some(&done.root.digest), &json, &[done.root.digest.to_string()])?;
    Ok(ExitCode::SUCCESS)
}
