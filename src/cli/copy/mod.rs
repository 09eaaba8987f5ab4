//! `artifact copy`: any store to any store.

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
    session::RegistryArgs,
    text::{count, size},
};

/// Copy artifacts, and all that refers to them, from any store to any store.
///
/// Nothing that the destination has is moved. Names are set last.
///
/// Many artifacts are named by a list, by a registry's catalog, or by all tags of one place, and copied at once. A layout
/// or archive then has whole references as names. At a registry, each goes to its own repository below TO, without the
/// name of the registry that it came from: `ghcr.io/a/b:v1` becomes TO/a/b:v1. --map and --keep-host choose other
/// repositories. With --all-tags, the tags of a repository stay tags, and become those of TO.
#[derive(Debug, clap::Args)]
#[command(override_usage = "artifact copy [OPTIONS] FROM TO\n       \
    artifact copy [OPTIONS] --all-tags FROM TO\n       \
    artifact copy [OPTIONS] --list FILE [TO]\n       \
    artifact copy [OPTIONS] --repositories REGISTRY[/PREFIX] TO")]
pub(crate) struct Args {
    /// Where it is; without a tag: `latest`, or the only tag of a layout or archive
    #[arg(required_unless_present_any = ["list", "repositories"])]
    from: Option<End>,
    /// Where it goes; without a tag, under the tag it has. Many may also go to a whole registry, `host[:port]`
    #[arg(required_unless_present_any = ["list", "repositories"])]
    to: Option<End>,
    /// Copy every tag of the repository, layout or archive
    #[arg(long, group = "many", conflicts_with = "platform")]
    all_tags: bool,
    /// Copy what this file names, `-` for stdin: `FROM` or `FROM -> TO` on each line, comments after `#`
    #[arg(long, group = "many", value_name = "FILE")]
    list: Option<PathBuf>,
    /// Copy every tag of every repository of a registry, or of those below a prefix, as its catalog lists them
    #[arg(long, group = "many", value_name = "REGISTRY[/PREFIX]", conflicts_with = "platform")]
    repositories: Option<End>,
    /// Put what comes from FROM, a registry or a repository, or from below it, at TO, a path below the destination; of
    /// several, the longest FROM counts
    #[arg(long, requires = "many", value_name = "FROM=TO")]
    map: Vec<Map>,
    /// At a registry, keep the name of the registry that it came from: TO/ghcr.io/a/b:v1
    #[arg(long, requires = "many")]
    keep_host: bool,
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

impl Args {
    /// Where a single artifact is, or all the tags.
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
            let message = format!("`{from}` names one artifact; `--all-tags` copies all that its place has");
            return Err(Error::misuse(message));
        }
        match &self.to {
            Some(End::At(to)) if self.is_many() && (to.tag.is_some() || to.digest.is_some()) => {
                let message = format!("`{to}` names one artifact; many go to a repository, a layout or an archive");
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
                return Err(Error::misuse(format!(
                    "`{option}` says what is copied; `{from}` is one location too many"
                )));
            }
            (from, to) => self.to = from.or(to),
        }
        if self.to.is_none() && self.repositories.is_some() {
            return Err(Error::misuse("nothing says where the repositories go: give TO"));
        }
        let access = [&self.registry.access, &self.from_access.clone().into(), &self.to_access.clone().into()]
            .map(|access: &Access| access.reads_stdin());
        if access.contains(&true) && self.list.as_deref() == Some(Path::new("-")) {
            return Err(Error::misuse("stdin has the password or the list, not both: give one of them as a file"));
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
    let locations = plan.parts().iter().zip(&places);
    let locations = locations.flat_map(|(part, place)| part.names().iter().map(move |name| (place, &name.name)));
    let locations: Vec<String> = locations.map(|(place, name)| format!("{place}:{name}")).collect();
    let done = match args.dry_run {
        true => plan.foresee(),
        false => plan.approve(&[]).await.context(what)?.run(&options).await.context(what)?,
    };
    // Where each of many goes is said with its name.
    let to = match (args.is_many(), places.as_slice()) {
        (true, [one]) => one.to_string(),
        (true, all) => count(all.len(), "place"),
        (false, _) => to.unwrap_or_default(),
    };
    let told = CopyText { to, locations, roots, dry: args.dry_run, many: args.is_many() };
    told.report_all(report, &done)
}

type Ends = (Vec<Arc<dyn ReadStore>>, Vec<Destination>, Vec<Place>);

/// The one artifact, and where it goes, under the tag of the target, else under its own. Nothing is made at the target
/// before the source is known to have it.
async fn single(args: &Args, read_from: &RegistryArgs, report: &Report) -> Result<Ends> {
    let source = args.source()?;
    let target = args.to.as_ref().ok_or_else(|| Error::misuse("TO is missing"))?.location()?;
    let from = source.open(read_from.context(report)?).await?;
    let root = from.root(&target, args.platform.as_ref()).await?;
    let store = open_destination(args, &target.place, report).await?;
    Ok((vec![from.store], vec![Destination { store, roots: vec![root] }], vec![target.place]))
}

/// Many artifacts, and where they go.
async fn many(args: &Args, read_from: &RegistryArgs, report: &Report) -> Result<Ends> {
    let many = Many::find(args, read_from, report).await?;
    let (artifacts, places) = many.len();
    report.detail(format!("{} to {}", count(artifacts, "artifact"), count(places, "place")));
    many.destinations(args, report).await
}

/// Opens the store that is written to; with --dry-run, nothing is made.
async fn open_destination(args: &Args, place: &Place, report: &Report) -> Result<Arc<dyn Store>> {
    if args.dry_run {
        return args.registry.context(report)?.write_nothing(place).await;
    }
    let store = args.registry.write(place, report).await?;
    store.intend();
    Ok(store)
}

/// What a command that carried one artifact prints.
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

    /// The digest of the artifact.
    pub(super) fn digest(&self) -> &Digest {
        &self.digest
    }
}

/// Says what a copy of one artifact did; its digest is for stdout.
pub(super) fn report_done(report: &Report, done: &copy::Report, to: &Location) -> Result<Outcome> {
    let digest = done.root.digest.clone();
    account(report, &CopyText::of_one(done, to, false), done, (serde_json::Map::new(), vec![digest.to_string()]))
}

/// Says what a copy of one artifact would do, beside what is known of the artifact itself.
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

/// What there is to tell of a copy, besides what the engine reports.
struct CopyText {
    /// Where it went, as given.
    to: String,
    /// All names, as they are written with the places that they are in.
    locations: Vec<String>,
    /// What was asked for.
    roots: Vec<Digest>,
    /// Nothing was done.
    dry: bool,
    /// Many were asked for: each is told with the place that it went to.
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
            report.say("nothing was moved: this is a dry run");
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

    /// Says of each name whether it is new, stands for something else now, or for the same. A name that moved has a line
    /// of its own also where it is the only one: whoever relied on it will want to know.
    fn tell_names(&self, report: &Report, done: &copy::Report) {
        let moves = if self.dry { "would move" } else { "moved" };
        for (named, location) in done.names.iter().zip(&self.locations) {
            let NameReport { name, from, to, .. } = named;
            let name = if self.many { location.clone() } else { format!("tag `{name}`") };
            match from {
                Some(from) if from != to => report.say(format!("{name} {moves} from {from} to {to}")),
                _ if done.names.len() == 1 && !self.many => {}
                Some(_) => report.say(format!("{name} is the same: {to}")),
                None => report.say(format!("{name} is new: {to}")),
            }
        }
    }

    /// On stdout: each digest that was asked for, once.
    fn document(&self, report: &Report, done: &copy::Report, account: Account) -> Result<ExitCode> {
        let json = self.json(done, account)?;
        let mut known = HashSet::new();
        let lines: Vec<String> =
            self.roots.iter().filter(|digest| known.insert(*digest)).map(ToString::to_string).collect();
        report.result(None, &json, &lines)?;
        Ok(ExitCode::SUCCESS)
    }

    fn json(&self, done: &copy::Report, account: Account) -> Result<serde_json::Map<String, Value>> {
        // Names were resolved and sources read before the copy began: that counts, too.
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

/// What became of the only name, unless it moved: the start of a sentence.
fn the_name(done: &copy::Report) -> String {
    match done.names.as_slice() {
        [NameReport { name, from: None, .. }] => format!("new tag `{name}`, "),
        [NameReport { name, from: Some(from), to, .. }] if from == to => format!("tag `{name}` is the same, "),
        _ => String::new(),
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
