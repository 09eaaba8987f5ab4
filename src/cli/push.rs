//! `artifact push`: plan, pack, copy, tag.

use std::{num::NonZeroUsize, process::ExitCode, sync::Arc};

use artifact::{
    Error, Result,
    copy::{self, Destination, EarlyUpload, Options},
    error::Context as _,
    graph::Root,
    location::{Location, Place},
    oci::RefName,
    pack::Outlet,
    plan::Plan,
    store::{self, Name, ReadStore, Store},
};

use super::{
    copy::{foretell, tell},
    plan::{SourceArgs, described, packed},
    report::Report,
    session::{RegistryArgs, name_in},
};

/// Pack a source and push it: to a registry, a layout or an archive.
///
/// The type is found by looking at the source. Same source, same digest, on every machine; what is there already does
/// not move.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
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
    source: SourceArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let _shown = report.shows();
    let mut plan = args.source.plan(Some(&args.location), report).await?;
    let (target, names) = target(&args, &plan)?;
    if let Some(subject) = &args.subject {
        plan.manifest.subject = Some(find(subject, &target, &args.registry, report).await?);
    }
    if args.dry_run {
        return foresee(&args, plan, &target, names, report).await;
    }
    // A layout is made when there is something to put into it; to a registry, large files leave while they are hashed.
    let to = match &target.place {
        Place::Registry { .. } => Some(args.registry.write(&target.place, report).await?),
        Place::Layout(_) | Place::Archive(_) => None,
    };
    let most = args.concurrency.map(NonZeroUsize::get);
    let early = to.as_ref().zip(target.tag.as_ref());
    let early = early.map(|(to, tag)| Arc::new(EarlyUpload::new(Arc::clone(to), tag.clone(), most)));
    let done = carry(&args, plan, &target, names, to, early.clone(), report).await;
    if let Some(early) = early {
        early.stop().await;
    }
    tell(report, &done?, &target)
}

/// Says what a push would do.
async fn foresee(args: &Args, plan: Plan, target: &Location, names: Vec<RefName>, report: &Report) -> Result<ExitCode> {
    let packed = packed(&plan, None, report).await?;
    let described = described(&plan.type_name, &packed, Some(target))?;
    drop(plan);
    let store = args.registry.write_in_mind(&target.place, report).await?;
    let roots = vec![Root::new(packed.root().clone(), names)];
    let (recheck, replace) = (args.recheck, args.replace);
    let options = Options { recheck, replace, exact: true, progress: report.observer(), ..Options::default() };
    let from: Arc<dyn ReadStore> = Arc::new(packed);
    let would = copy::plan(&[from], vec![Destination { store, roots }], &options).await;
    foretell(report, &would.context(|| format!("push to {target}"))?.foresee(), target, described)
}

async fn carry(
    args: &Args,
    plan: Plan,
    target: &Location,
    names: Vec<RefName>,
    to: Option<Arc<dyn Store>>,
    early_upload: Option<Arc<EarlyUpload>>,
    report: &Report,
) -> Result<copy::Report> {
    let outlet = early_upload.clone().map(|early| early as Arc<dyn Outlet>);
    let from: Arc<dyn ReadStore> = Arc::new(packed(&plan, outlet, report).await?);
    // It may be large, and has served.
    drop(plan);
    let to = match to {
        Some(to) => to,
        None => args.registry.write(&target.place, report).await?,
    };
    let progress = report.observer();
    let options = Options {
        names,
        recheck: args.recheck,
        replace: args.replace,
        concurrency: args.concurrency.map(NonZeroUsize::get),
        early_upload,
        progress,
        ..Options::default()
    };
    let done = copy::copy(&from, &Name::Only, &to, &options).await.context(|| format!("push to {target}"))?;
    if args.read_back {
        store::read_back(to.as_ref(), &done.root, &options.names).await?;
    }
    Ok(done)
}

/// Where it goes, and under which tags.
fn target(args: &Args, plan: &Plan) -> Result<(Location, Vec<RefName>)> {
    for tag in &args.tags {
        args.location.with_tag(tag)?;
    }
    let mut target = args.location.fill(&plan.reference)?;
    if args.subject.is_some() && args.location.tag.is_none() {
        target.tag = None;
    }
    let names = target.tag.iter().chain(&args.tags).cloned().collect();
    Ok((target, names))
}

/// The descriptor of a subject, as a manifest quotes it.
async fn find(
    subject: &Location,
    target: &Location,
    registry: &RegistryArgs,
    report: &Report,
) -> Result<artifact::oci::Descriptor> {
    if subject.place != target.place {
        let message = format!("the subject {subject} is not in {}, where this is pushed", target.place);
        return Err(Error::misuse(message));
    }
    let store = registry.read(&subject.place, report).await?;
    Ok(store.resolve(&name_in(store.as_ref(), subject).await?).await?.bare())
}
