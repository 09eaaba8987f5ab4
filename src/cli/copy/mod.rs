//! `artifact copy`: artifacts between stores.

mod list;
mod many;

use std::{
    collections::HashSet,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use artifact::{
    Error, Result,
    copy::{self, Destination, NameReport, Options, naming::Map},
    error::Context as _,
    location::{Location, Place},
    oci::{Digest, Platform},
    store::{ReadStore, Store},
};

use serde_json::Value;

use self::{list::End, many::Many};
use super::{
    access::{Access, FromArgs, ToArgs},
    progress::Account,
    report::{Report, object},
    session::{RegistryArgs, concurrency},
    text::{count, size},
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
    /// Source; without a tag: `latest`, or the only tag of a layout or archive
    #[arg(required_unless_present_any = ["list", "repositories"])]
    from: Option<End>,
    /// Destination; without a tag, the source's tag. For many artifacts, also a whole registry, `host[:port]`
    #[arg(required_unless_present_any = ["list", "repositories"])]
    to: Option<End>,
    /// Copy every tag of the repository, layout or archive
    #[arg(long, group = "many", conflicts_with = "platform")]
    all_tags: bool,
    /// Copy the artifacts listed in this file, `-` for stdin: one `FROM` or `FROM -> TO` a line, comments after `#`
    #[arg(long, group = "many", value_name = "FILE")]
    list: Option<PathBuf>,
    /// Copy every tag of every repository in a registry's catalog, or of those below a prefix
    #[arg(long, group = "many", value_name = "REGISTRY[/PREFIX]", conflicts_with = "platform")]
    repositories: Option<End>,
    /// Copy artifacts from FROM (a registry or repository) and below to TO, a path below the destination; the longest
    /// matching FROM wins
    #[arg(long, requires = "many", value_name = "FROM=TO")]
    map: Vec<Map>,
    /// Keep the source registry's name in the destination repository: TO/ghcr.io/a/b:v1
    #[arg(long, requires = "many")]
    keep_host: bool,
    /// Do not copy signatures, SBOMs and other referrers
    #[arg(long)]
    no_referrers: bool,
    /// Copy only the manifest for this platform from an index
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
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
        platform: args.platform.clone(),
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
    let (from, destinations, places) = match args.is_many() {
        true => many(&args, &read_from, report).await.context(what)?,
        false => single(&args, &read_from, report).await.context(what)?,
    };
    let roots: Vec<Digest> =
        destinations.iter().flat_map(|to| &to.roots).map(|root| root.desc.digest.clone()).collect();
    let plan = copy::plan(&from, destinations, &options).await.context(what)?;
    let locations = plan.destinations().iter().zip(&places);
    let locations = locations.flat_map(|(part, place)| part.names().iter().map(move |name| (place, &name.name)));
    let locations: Vec<String> = locations.map(|(place, name)| format!("{place}:{name}")).collect();
    let done = match args.dry_run {
        true => plan.foresee(),
        false => plan.approve(&[]).await.context(what)?.run(&options).await.context(what)?,
    };
    // Of many artifacts, each message names the destination.
    let to = match (args.is_many(), places.as_slice()) {
        (true, [one]) => one.to_string(),
        (true, all) => count(all.len(), "place"),
        (false, _) => to.unwrap_or_default(),
    };
    let told = CopyText { to, locations, roots, dry: args.dry_run, many: args.is_many() };
    told.report_all(report, &done)
}

type Ends = (Vec<Arc<dyn ReadStore>>, Vec<Destination>, Vec<Place>);

/// Source and destination of one artifact, with the target's tag or else its own. Nothing is created at the target
/// before the source is resolved.
async fn single(args: &Args, read_from: &RegistryArgs, report: &Report) -> Result<Ends> {
    let source = args.source()?;
    let target = args.to.as_ref().ok_or_else(|| Error::misuse("TO is missing"))?.location()?;
    let from = source.open(read_from.context(report)?).await?;
    let root = from.root(&target, args.platform.as_ref()).await?;
    let store = open_destination(args, &target.place, report).await?;
    Ok((vec![from.store], vec![Destination { store, roots: vec![root] }], vec![target.place]))
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

/// The output of a command that copied one artifact.
pub(super) struct Outcome {
    digest: Digest,
    pub(super) json: serde_json::Map<String, Value>,
    pub(super) lines: Vec<String>,
}

impl Outcome {
    pub(super) fn print(&self, report: &Report) -> Result<ExitCode> {
        report.result(Some(&self.digest), &self.json, &self.lines)?;
        Ok(ExitCode::SUCCESS)
    }

    pub(super) fn digest(&self) -> &Digest {
        &self.digest
    }
}

/// Reports a finished copy of one artifact; its digest is for stdout.
pub(super) fn report_done(report: &Report, done: &copy::Report, to: &Location) -> Result<Outcome> {
    let digest = done.root.digest.clone();
    account(report, &CopyText::of_one(done, to, false), done, (serde_json::Map::new(), vec![digest.to_string()]))
}

/// Reports a dry run for one artifact, with the description of the artifact.
pub(super) fn report_planned(
    report: &Report,
    would: &copy::Report,
    to: &Location,
    described: (serde_json::Map<String, Value>, Vec<String>),
) -> Result<Outcome> {
    account(report, &CopyText::of_one(would, to, true), would, described)
}

fn account(
    report: &Report,
    told: &CopyText,
    done: &copy::Report,
    (mut json, lines): (serde_json::Map<String, Value>, Vec<String>),
) -> Result<Outcome> {
    let account = report.ended();
    told.talk(report, done, account);
    json.extend(told.json(done, account)?);
    Ok(Outcome { digest: done.root.digest.clone(), json, lines })
}

/// The facts about a copy that the engine does not report.
struct CopyText {
    /// The destination as given.
    to: String,
    /// All names with their places.
    locations: Vec<String>,
    /// The requested artifacts.
    roots: Vec<Digest>,
    /// Whether this is a dry run.
    dry: bool,
    /// Whether there are many artifacts: messages then name the place of each.
    many: bool,
}

impl CopyText {
    fn of_one(done: &copy::Report, to: &Location, dry: bool) -> Self {
        let locations = done.names.iter().map(|named| format!("{}:{}", to.place, named.name)).collect();
        Self { to: to.to_string(), locations, roots: vec![done.root.digest.clone()], dry, many: false }
    }

    fn report_all(&self, report: &Report, done: &copy::Report) -> Result<ExitCode> {
        let account = report.ended();
        self.talk(report, done, account);
        self.document(report, done, account)
    }

    fn talk(&self, report: &Report, done: &copy::Report, account: Account) {
        let to = &self.to;
        if self.dry {
            report.say("dry run: nothing was moved");
        }
        done.notes.iter().for_each(|note| report.warn(note));
        self.tell_names(report, done);
        let nothing = done.moved == 0 && done.mounted == 0;
        let same = done.names.iter().all(|name| name.outcome == "same");
        let name = if self.many { String::new() } else { the_name(done) };
        report.say(match (self.dry, nothing) {
            (true, _) => format!("{to}: {name}{}", conditional(done)),
            (false, true) if same => format!("{to} is up to date: nothing moved"),
            (false, true) => format!("{to}: {name}no content moved"),
            (false, false) => format!("{to}: {name}{}{}", sentence(done), account.text(done.bytes)),
        });
    }

    /// Reports for each name whether it is new, moved or unchanged. A moved name always gets a line of its own, since
    /// other users may rely on it.
    fn tell_names(&self, report: &Report, done: &copy::Report) {
        let moves = if self.dry { "would move" } else { "moved" };
        for (named, location) in done.names.iter().zip(&self.locations) {
            let NameReport { name, from, to, outcome } = named;
            let name = if self.many { location.clone() } else { format!("tag `{name}`") };
            match from {
                Some(from) if from != to => report.say(format!("{name} {moves} from {from} to {to}")),
                _ if done.names.len() == 1 && !self.many => {}
                Some(_) => report.say(format!("{name} is unchanged: {to}")),
                None => report.say(format!("{name} is {outcome}: {to}")),
            }
        }
    }

    /// Prints each requested digest once.
    fn document(&self, report: &Report, done: &copy::Report, account: Account) -> Result<ExitCode> {
        let json = self.json(done, account)?;
        let mut known = HashSet::new();
        let lines: Vec<String> =
            self.roots.iter().filter(|digest| known.insert(*digest)).map(ToString::to_string).collect();
        report.result(None, &json, &lines)?;
        Ok(ExitCode::SUCCESS)
    }

    fn json(&self, done: &copy::Report, account: Account) -> Result<serde_json::Map<String, Value>> {
        // Resolving names and reading sources preceded the copy and count too.
        let done = copy::Report { resumed: account.resumed, retried: account.retried, ..done.clone() };
        let mut object = object(&done)?;
        object.insert("seconds".into(), account.seconds().into());
        object.insert("location".into(), self.to.clone().into());
        if self.dry {
            object.insert("dryRun".into(), true.into());
        }
        let names = object.get_mut("names").and_then(Value::as_array_mut);
        for (named, location) in names.into_iter().flatten().zip(&self.locations) {
            if let Some(named) = named.as_object_mut() {
                named.insert("location".into(), location.clone().into());
            }
        }
        Ok(object)
    }
}

/// The result for the only name, unless it moved: the start of a sentence.
fn the_name(done: &copy::Report) -> String {
    match done.names.as_slice() {
        [NameReport { name, from: None, outcome: "set", .. }] => format!("tag `{name}` is set, "),
        [NameReport { name, from: None, .. }] => format!("new tag `{name}`, "),
        [NameReport { name, from: Some(from), to, .. }] if from == to => format!("tag `{name}` is unchanged, "),
        _ => String::new(),
    }
}

/// The counts of moved, mounted and present items.
fn sentence(done: &copy::Report) -> String {
    let moved = format!("{} moved ({})", count(done.moved, "item"), size(done.bytes));
    let mounted = if done.mounted > 0 { format!(", {} mounted", done.mounted) } else { String::new() };
    let present = if done.present > 0 { format!(", {} present", done.present) } else { String::new() };
    format!("{moved}{mounted}{present}")
}

/// The counts for a dry run. Whether a registry would mount a blob is unknown until tried.
fn conditional(would: &copy::Report) -> String {
    let moves = match would.moved {
        0 => "nothing would move".to_owned(),
        moved => format!("{} would move ({})", count(moved, "item"), size(would.bytes)),
    };
    let are = if would.present == 1 { "is" } else { "are" };
    let present = if would.present > 0 { format!(", {} {are} present", would.present) } else { String::new() };
    format!("{moves}{present}")
}
