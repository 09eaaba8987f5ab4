//! `artifact copy`: any store to any store.

use std::{collections::HashMap, num::NonZeroUsize, process::ExitCode, sync::Arc};

use artifact::{
    Code, Error, Kind, Result,
    copy::{self, Destination, NameReport, Options},
    error::Context as _,
    graph::Root,
    location::Location,
    oci::{Descriptor, Digest, Platform},
    store::{ReadStore, Store},
    stores::Memory,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    access::{FromArgs, ToArgs},
    progress::Account,
    report::{Report, count, size},
    session::{RegistryArgs, name_in},
};

/// How many tags are asked for at a time.
const QUESTIONS: usize = 32;

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
    /// In a layout or archive, drop what the tag stood for from the list; by default it stays listed without a tag
    #[arg(long)]
    replace: bool,
    /// Look for all content, also where a tag of the registry says that it is there
    #[arg(long)]
    recheck: bool,
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
        recheck: args.recheck,
        replace: args.replace,
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
    let tags = tags_of(source, target, name);
    let to = registry.write(&target.place, report).await?;
    copy::copy_root(from, root, &to, &Options { tags, ..options }).await
}

async fn every_tag(
    from: &Arc<dyn ReadStore>,
    target: &Location,
    (registry, report): (&RegistryArgs, &Report),
    options: &Options,
) -> Result<copy::Report> {
    let roots = tagged(from).await?;
    copy::copy_roots(from, roots, &registry.write(&target.place, report).await?, options).await
}

/// All that has a tag, each manifest once. Tags are asked for many at a time.
async fn tagged(from: &Arc<dyn ReadStore>) -> Result<Vec<Root>> {
    let unreadable = from.unreadable().await?;
    if let Some(flaw) = unreadable.first() {
        let more = unreadable.len().saturating_sub(1);
        let more = if more > 0 { format!(", and {more} more like this") } else { String::new() };
        let message = format!("not all that has a tag in {from} can be known: {}: {}{more}", flaw.place, flaw.message);
        return Err(Error::invalid(message));
    }
    let tags = from.tags().await?;
    let asking: Vec<_> = tags.iter().map(|tag| from.resolve(tag)).collect();
    let found: Vec<Descriptor> = stream::iter(asking).buffered(QUESTIONS).try_collect().await?;
    let mut roots: HashMap<Digest, Root> = HashMap::new();
    let mut order = Vec::new();
    for (tag, desc) in tags.into_iter().zip(found) {
        let digest = desc.digest.clone();
        let root = roots.entry(digest.clone()).or_insert_with(|| {
            order.push(digest);
            Root::new(desc, Vec::new())
        });
        root.tags.push(tag);
    }
    if order.is_empty() {
        return Err(Error::not_found(format!("{from} has no tags")).with_code(Code::NoTags));
    }
    Ok(order.iter().filter_map(|digest| roots.remove(digest)).collect())
}

/// Shows the plan that a run would execute.
async fn dry_run(args: &Args, from: &Arc<dyn ReadStore>, report: &Report) -> Result<ExitCode> {
    let to: Arc<dyn Store> = match args.registry.write_existing(&args.to.place, report).await {
        Ok(to) => to,
        // What is not there lacks everything.
        Err(e) if e.kind() == Kind::NotFound => Arc::new(Memory::new()),
        Err(e) => return Err(e),
    };
    let roots = if args.all_tags {
        tagged(from).await?
    } else {
        let name = name_in(from.as_ref(), &args.from).await?;
        let desc = copy::select(from, from.resolve(&name).await?, args.platform.as_ref()).await?;
        vec![Root::new(desc, tags_of(&args.from, &args.to, name))]
    };
    let options = Options {
        referrers: !args.no_referrers,
        recheck: args.recheck,
        replace: args.replace,
        exact: true,
        ..Options::default()
    };
    let destination = Destination { store: to, roots };
    let would = copy::plan(std::slice::from_ref(from), vec![destination], &options).await?.foresee();
    let account = report.ended();
    report.say("nothing was moved: this is a dry run");
    tell_moves(report, &would, "would move");
    report.say(format!("{}: {}{}", args.to, new_names(&would), conditional(&would)));
    document(report, &would, &args.to, account)
}

/// The names at the target: its own tag, else that of the source.
fn tags_of(source: &Location, target: &Location, name: String) -> Vec<String> {
    let own = (source.digest.is_none() && target.digest.is_none()).then_some(name);
    target.tag.clone().map(String::from).or(own).into_iter().collect()
}

/// Says what a copy did: the digest on stdout, the account on stderr.
pub(super) fn tell(report: &Report, done: &copy::Report, to: &Location) -> Result<ExitCode> {
    let account = report.ended();
    tell_moves(report, done, "moved");
    let nothing = done.moved == 0 && done.mounted == 0;
    if nothing && done.names.iter().all(|name| name.outcome == "same") {
        report.say(format!("{to} is up to date: nothing moved"));
    } else if nothing {
        report.say(format!("{to}: {}no content moved", new_names(done)));
    } else {
        report.say(format!("{to}: {}{}{}", new_names(done), sentence(done), account.text(done.bytes)));
    }
    document(report, done, to, account)
}

/// Says which names stand for something else than before: whoever relied on one will want to know.
fn tell_moves(report: &Report, done: &copy::Report, moved: &str) {
    for NameReport { name, from, to, .. } in &done.names {
        if let Some(from) = from.as_ref().filter(|from| *from != to) {
            report.say(format!("tag `{name}` {moved} from {from} to {to}"));
        }
    }
}

/// How many names are new, and which if it is one: the start of a sentence.
fn new_names(done: &copy::Report) -> String {
    let new: Vec<&str> = done.names.iter().filter(|name| name.from.is_none()).map(|name| name.name.as_str()).collect();
    match new.as_slice() {
        [] => String::new(),
        [name] => format!("new tag `{name}`, "),
        names => format!("{} new tags, ", names.len()),
    }
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
