//! `artifact copy`: artifacts between stores.

mod carry;
mod failure;
mod list;
mod many;
mod outcome;
mod sources;

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use artifact::{
    Error, Result,
    copy::{Options, naming::Map},
    error::Context as _,
    location::{Location, Place},
    store::Store,
};

pub(super) use self::outcome::{Outcome, report_done, report_planned, report_pulled};
use self::{
    carry::{Ends, Narrowed, Target, Wanted},
    list::End,
    many::Many,
    outcome::Outcomes,
};
use super::{
    access::{Access, FromArgs, ToArgs},
    report::Report,
    session::{RegistryArgs, SelectionArgs, concurrency},
    text::count,
};

/// Copy artifacts and their referrers between registries, layouts and archives.
///
/// Content that the destination already has is not transferred. Tags are set last.
///
/// --list, --repositories and --all-tags copy many artifacts at once. A layout or archive then uses whole references as
/// names. In a registry, each artifact goes to its own repository below TO, without the source registry's name:
/// `ghcr.io/a/b:v1` becomes TO/a/b:v1. --map and --keep-host choose other repositories. With --all-tags, the tags of
/// the source repository become tags of TO.
#[derive(Debug, clap::Args)]
#[command(override_usage = "artifact copy [OPTIONS] FROM TO\n       \
    artifact copy [OPTIONS] --all-tags FROM TO\n       \
    artifact copy [OPTIONS] --list FILE [TO]\n       \
    artifact copy [OPTIONS] --repositories REGISTRY[/PREFIX] TO")]
pub(crate) struct Args {
    /// Source; without a tag: `latest`, or the only tag of a layout or archive; `repository:^1.2` is the newest tag in
    /// the range
    #[arg(required_unless_present_any = ["list", "repositories"])]
    from: Option<End>,
    /// Destination; without a tag, the source's tag. For many artifacts, also a whole registry, `host[:port]`
    #[arg(required_unless_present_any = ["list", "repositories"])]
    to: Option<End>,
    /// Copy every tag of the repository, layout or archive
    #[arg(long, group = "many")]
    all_tags: bool,
    /// Copy the artifacts listed in this file, `-` for stdin: one `FROM` or `FROM -> TO` a line, comments after `#`
    #[arg(long, group = "many", value_name = "FILE")]
    list: Option<PathBuf>,
    /// Copy every tag of every repository in a registry's catalog, or of those below a prefix
    #[arg(long, group = "many", value_name = "REGISTRY[/PREFIX]")]
    repositories: Option<End>,
    /// Copy artifacts from FROM (a registry or repository) and below to TO, a path below the destination; the longest
    /// matching FROM wins
    #[arg(long, requires = "many", value_name = "FROM=TO")]
    map: Vec<Map>,
    /// Keep the source registry's name in the destination repository: TO/ghcr.io/a/b:v1
    #[arg(long, requires = "many")]
    keep_host: bool,
    /// Of many artifacts, copy those that can be copied, and report at the end which failed and why
    #[arg(long, requires = "many")]
    keep_going: bool,
    /// Do not copy signatures, SBOMs and other referrers
    #[arg(long)]
    no_referrers: bool,
    #[command(flatten)]
    selection: SelectionArgs,
    /// In a layout or archive, remove the tag's previous manifest from the index; by default it stays, untagged
    #[arg(long)]
    replace: bool,
    /// Check for every blob, even if the registry's tag already names the same manifest
    #[arg(long)]
    recheck: bool,
    /// Report what would be transferred, and transfer nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Parallel blob transfers [default: 6, up to 32 for small blobs when latency is high]
    #[arg(long, value_name = "N", value_parser = concurrency)]
    concurrency: Option<NonZeroUsize>,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    from_access: FromArgs,
    #[command(flatten)]
    to_access: ToArgs,
}

impl Args {
    /// The source location, of one artifact or of all tags.
    fn source(&self) -> Result<Location> {
        self.from.as_ref().ok_or_else(|| Error::misuse("FROM is missing"))?.location()
    }

    fn is_many(&self) -> bool {
        self.all_tags || self.list.is_some() || self.repositories.is_some()
    }

    /// With --list and --repositories, the only location is the destination.
    fn check_locations(&mut self) -> Result<()> {
        self.shift()?;
        let alone = self.from.iter().filter(|_| self.is_many());
        alone.chain(&self.to).chain(&self.repositories).try_for_each(End::refuse_range)?;
        if let Some(End::At(from)) = &self.from
            && self.all_tags
            && (from.tag.is_some() || from.digest.is_some())
        {
            let message = format!("`{from}` names one artifact; `--all-tags` takes a location without a tag or digest");
            return Err(Error::misuse(message));
        }
        match &self.to {
            Some(End::At(to)) if self.is_many() && (to.tag.is_some() || to.digest.is_some()) => {
                let message =
                    format!("`{to}` names one artifact; the destination of many is a repository, layout or archive");
                Err(Error::misuse(message))
            }
            _ => Ok(()),
        }
    }

    fn shift(&mut self) -> Result<()> {
        if self.list.is_none() && self.repositories.is_none() {
            return Ok(());
        }
        match (self.from.take(), self.to.take()) {
            (Some(from), Some(_)) => {
                let option = if self.list.is_some() { "--list" } else { "--repositories" };
                return Err(Error::misuse(format!("`{option}` names the sources; `{from}` is one location too many")));
            }
            (from, to) => self.to = from.or(to),
        }
        if self.to.is_none() && self.repositories.is_some() {
            return Err(Error::misuse("no destination for the repositories: give TO"));
        }
        let access = [&self.registry.access, &self.from_access.clone().into(), &self.to_access.clone().into()]
            .map(|access: &Access| access.reads_stdin());
        if access.contains(&true) && self.list.as_deref() == Some(Path::new("-")) {
            return Err(Error::misuse("stdin cannot hold both the password and the list: put one of them in a file"));
        }
        Ok(())
    }
}

pub(crate) async fn run(mut args: Args, report: &Report) -> Result<ExitCode> {
    let _shown = report.shows();
    args.check_locations()?;
    let read_from = args.registry.with(args.from_access.clone());
    args.registry = args.registry.with(args.to_access.clone());
    let options = Options {
        referrers: !args.no_referrers,
        recheck: args.recheck,
        replace: args.replace,
        exact: args.dry_run,
        concurrency: args.concurrency.map(NonZeroUsize::get),
        progress: report.observer(),
        ..Options::default()
    };
    let end = |end: Option<&End>| end.map(ToString::to_string);
    let from = match (&args.list, &args.repositories) {
        (Some(list), _) => list.display().to_string(),
        (None, Some(repositories)) => repositories.to_string(),
        (None, None) => end(args.from.as_ref()).unwrap_or_default(),
    };
    let to = end(args.to.as_ref());
    let what = || to.as_ref().map_or_else(|| format!("copy {from}"), |to| format!("copy {from} to {to}"));
    let ends = match args.is_many() {
        true => many(&args, &read_from, report).await.context(what)?,
        false => single(&args, &read_from, report).await.context(what)?,
    };
    let places: Vec<String> = ends.to.iter().map(|target| target.place.to_string()).collect();
    let carried = match args.keep_going {
        true => ends.carry_on(&options, args.dry_run).await,
        false => ends.carry(&options, args.dry_run).await.context(what)?,
    };
    // Of many artifacts, each message names the destination.
    let to = match (args.is_many(), places.as_slice()) {
        (true, [one]) => one.clone(),
        (true, []) | (false, _) => to.unwrap_or_default(),
        (true, all) => count(all.len(), "place"),
    };
    Outcomes { to, dry: args.dry_run, many: args.is_many(), referrers: !args.no_referrers, carried }.tell(report)
}

/// Source and destination of one artifact, with the target's tag or else its own. Nothing is created at the target
/// before the source is resolved.
async fn single(args: &Args, read_from: &RegistryArgs, report: &Report) -> Result<Ends> {
    let source = args.from.as_ref().ok_or_else(|| Error::misuse("FROM is missing"))?.source()?;
    let target = args.to.as_ref().ok_or_else(|| Error::misuse("TO is missing"))?.location()?;
    let from = read_from.open(&source, report).await?;
    let (selected, names) = from.root(&target, &args.selection.selection()).await?;
    let store = open_destination(args, &target.place, report).await?;
    let stores = vec![selected.store(&from.store)];
    let wanted = vec![Wanted { root: selected.to_root(names), from: vec![from.location.to_string()] }];
    let to = vec![Target { place: target.place, store, wanted }];
    Ok(Ends { from: stores, to, narrowed: Narrowed::of([selected]), failed: Vec::new() })
}

/// Sources and destinations of many artifacts.
async fn many(args: &Args, read_from: &RegistryArgs, report: &Report) -> Result<Ends> {
    let many = Many::find(args, read_from, report).await?;
    let (artifacts, places) = many.len();
    report.detail(format!("{} to {}", count(artifacts, "artifact"), count(places, "place")));
    many.destinations(args, report).await
}

/// Opens the destination store; with --dry-run, creates nothing.
async fn open_destination(args: &Args, place: &Place, report: &Report) -> Result<Arc<dyn Store>> {
    if args.dry_run {
        return args.registry.context(report)?.write_nothing(place).await;
    }
    let store = args.registry.write(place, report).await?;
    store.intend();
    Ok(store)
}
