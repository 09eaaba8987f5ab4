//! `artifact ls`: the tags of a repository, layout or archive; the repositories of a registry.

mod order;
mod rows;

use std::{num::NonZeroUsize, process::ExitCode};

use artifact::{
    Code, Error, Result,
    location::{Location, Place},
    oci::{Descriptor, RefName, RegistryName},
    store::{NamePage, NamePattern, ReadStore},
};
use serde_json::json;

use self::{
    order::{Sort, is_of_content, sort_names, sort_rows},
    rows::{Entry, Rows},
};
use super::{
    report::{Report, object},
    session::{RegistryArgs, is_on_disk, warn_of_odd},
    several::{Failure, add_failures, tell_failures},
    text::{count, escape},
};

/// List tags, or, with a bare `host[:port]`, the repositories of a registry.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A location, or a registry
    #[arg(value_name = "LOCATION|REGISTRY")]
    place: String,
    /// List tags only; by default, artifacts without a tag follow as `@DIGEST`
    #[arg(long)]
    tags: bool,
    /// Show what each tag stands for: digest, size of all content (`-` for an index), date of creation (annotation
    /// org.opencontainers.image.created) and artifact type
    #[arg(short, long)]
    long: bool,
    /// List the tags that match: `*` is any text, `?` one character, `{a,b}` and `[0-9]` select
    #[arg(long, value_name = "GLOB")]
    filter: Option<NamePattern>,
    /// List the tags that come after NAME, by their bytes or in the order of the registry, which sends no others
    #[arg(long, value_name = "NAME")]
    last: Option<String>,
    /// Order, the least and oldest first; what has no version, date or size comes last
    #[arg(long, value_enum, default_value_t, value_name = "KEY")]
    sort: Sort,
    /// Reverse the order
    #[arg(long)]
    reverse: bool,
    /// List N artifacts at most, the first in the order
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroUsize>,
    #[command(flatten)]
    registry: RegistryArgs,
}

impl Args {
    /// Whether some tags are left out because of their names: what has no tag is then left out, too.
    fn selects(&self) -> bool {
        self.filter.is_some() || self.last.is_some()
    }

    /// The flag of a list of tags that was given, if one was.
    fn of_tags(&self) -> Option<&'static str> {
        let flags = [
            (self.tags, "--tags"),
            (self.long, "--long"),
            (self.filter.is_some(), "--filter"),
            (self.last.is_some(), "--last"),
            (self.sort != Sort::Name, "--sort"),
            (self.reverse, "--reverse"),
            (self.limit.is_some(), "--limit"),
        ];
        flags.into_iter().find(|(given, _)| *given).map(|(_, flag)| flag)
    }

    fn cut<T>(&self, all: &mut Vec<T>) {
        all.truncate(self.limit.map_or(usize::MAX, NonZeroUsize::get));
    }
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let host_only = !args.place.contains('/') && RegistryName::is_meant_by(&args.place);
    let local = args.place.starts_with("oci:") || args.place.starts_with("oci-archive:") || args.place.starts_with('.');
    if host_only && !local && !is_on_disk(&args.place) {
        repositories(&args, report).await
    } else {
        artifacts(&args, args.place.parse()?, report).await
    }
}

async fn repositories(args: &Args, report: &Report) -> Result<ExitCode> {
    if let Some(flag) = args.of_tags() {
        let message = format!("`{flag}` is for the tags of a repository; `{}` is a registry", args.place);
        return Err(Error::misuse(message));
    }
    let names = args.registry.context(report)?.client(&args.place)?.repositories().await?;
    let lines: Vec<String> = names.iter().map(|name| escape(name)).collect();
    report.result(None, &json!({ "registry": args.place, "repositories": names }), &lines)?;
    Ok(ExitCode::SUCCESS)
}

async fn artifacts(args: &Args, location: Location, report: &Report) -> Result<ExitCode> {
    if location.tag.is_some() || location.digest.is_some() {
        return Err(Error::misuse(format!("`{location}` names one artifact; `ls` lists tags")));
    }
    let store = args.registry.read(&location.place, report).await?;
    let page = names(args, store.as_ref(), &location).await?;
    let unnamed = if args.tags || args.selects() { Vec::new() } else { store.unnamed().await? };
    warn_of_odd(&page, &location, report);
    let complete = page.check_complete(&location);
    let entries = entries(args, page.names, unnamed)?;
    let code = if args.long || is_of_content(args.sort) {
        detailed(args, &location, rows::read(store.as_ref(), &location, entries).await, report)?
    } else {
        print(&location, &entries, &[], report)?;
        ExitCode::SUCCESS
    };
    // What could be read was printed.
    complete.map(|()| code)
}

/// The names in the store, behind `--last` if it is given. Errors: a repository without tags.
async fn names(args: &Args, store: &dyn ReadStore, location: &Location) -> Result<NamePage> {
    let page = match &args.last {
        Some(last) => store.list_names_after(last).await?,
        None => store.list_names().await?,
    };
    let is_nothing = |page: &NamePage| page.names.is_empty() && page.unreadable.is_empty();
    let is_empty = is_nothing(&page)
        && matches!(location.place, Place::Registry { .. })
        && (args.last.is_none() || is_nothing(&store.list_names().await?));
    if is_empty { Err(no_tags(location)) } else { Ok(page) }
}

/// The error for a repository without tags: registries respond the same for one that is not there.
pub(super) fn no_tags(location: &Location) -> Error {
    Error::not_found(format!("{location} does not exist or has no tags")).with_code(Code::NoTags)
}

/// What is to be listed, in order as far as names decide it, and not more than is wanted if they decide all of it.
fn entries(args: &Args, names: Vec<RefName>, unnamed: Vec<Descriptor>) -> Result<Vec<Entry>> {
    let mut names = args.filter.as_ref().map_or(Ok(names.clone()), |filter| filter.select(names))?;
    if !is_of_content(args.sort) {
        sort_names(&mut names, args.sort, args.reverse);
    }
    let mut all: Vec<Entry> =
        names.into_iter().map(Entry::Tag).chain(unnamed.into_iter().map(Entry::Untagged)).collect();
    if !is_of_content(args.sort) {
        args.cut(&mut all);
    }
    Ok(all)
}

/// Prints what was read of each artifact; with --sort alone, the names. The worst failure decides the exit code.
fn detailed(args: &Args, location: &Location, found: Rows, report: &Report) -> Result<ExitCode> {
    let Rows { mut rows, failed } = found;
    let read = rows.len();
    sort_rows(&mut rows, args.sort, args.reverse);
    args.cut(&mut rows);
    if args.long {
        let artifacts = rows.iter().map(|row| row.json(location)).collect::<Result<Vec<_>>>()?;
        let mut json = object(&json!({ "location": location.to_string(), "artifacts": artifacts }))?;
        add_failures(&mut json, &failed);
        report.result(None, &json, &rows::table(&rows))?;
    } else {
        let entries: Vec<Entry> = rows.into_iter().map(|row| row.entry).collect();
        print(location, &entries, &failed, report)?;
    }
    Ok(tell_failures(report, "list", failed, read, false))
}

fn print(location: &Location, entries: &[Entry], failed: &[Failure], report: &Report) -> Result<()> {
    let lines: Vec<String> = entries.iter().map(Entry::text).collect();
    let tags: Vec<_> = entries.iter().filter_map(Entry::tag).collect();
    let bare = |desc: &Descriptor| Descriptor { annotations: Default::default(), ..desc.clone() };
    let unnamed: Vec<Descriptor> = entries.iter().filter_map(Entry::untagged).map(bare).collect();
    let mut json = object(&json!({ "location": location.to_string(), "tags": tags, "untagged": unnamed }))?;
    add_failures(&mut json, failed);
    report.result(None, &json, &lines)?;
    if let Some(first) = unnamed.first() {
        let have = if unnamed.len() == 1 { "has" } else { "have" };
        let count = count(unnamed.len(), "artifact");
        let (algorithm, short) = (first.digest.algorithm().name(), first.digest.short());
        report.say(format!("{count} {have} no tag: `{location}@{algorithm}:{short}` names one"));
    }
    Ok(())
}
