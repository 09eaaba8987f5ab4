//! `artifact manifest`: manifests and indexes, byte for byte.

use std::{path::PathBuf, process::ExitCode};

use artifact::{
    Result,
    copy::{NameReport, PlannedName},
    location::{Location, Place, ReadLocation},
    oci::{Descriptor, Digest, MAX_MANIFEST, RefName},
    raw, store,
};
use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::{
    data::{self, DataArgs},
    report::{Report, about, object},
    session::RegistryArgs,
};

/// Read and write manifests byte for byte.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Get(GetArgs),
    Push(PushArgs),
}

/// Print a manifest or index.
#[derive(Debug, clap::Args)]
pub(crate) struct GetArgs {
    /// The artifact; `repository:^1.2` is the newest tag in the range
    location: ReadLocation,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Push a manifest or index as it is; its content must be there.
///
/// Without a tag, a layout or archive lists it unnamed. With a digest, it must have that digest.
#[derive(Debug, clap::Args)]
pub(crate) struct PushArgs {
    /// Destination, with the tag
    location: Location,
    /// The manifest, `-` for stdin
    file: PathBuf,
    /// Additional tag
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<RefName>,
    /// Its media type [default: the one that it has in itself]
    #[arg(long, value_name = "TYPE")]
    media_type: Option<String>,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) async fn run(command: Command, report: &Report) -> Result<ExitCode> {
    match command {
        Command::Get(args) => get(args, report).await,
        Command::Push(args) => push(args, report).await,
    }
}

async fn get(args: GetArgs, report: &Report) -> Result<ExitCode> {
    report.no_template("`manifest get`")?;
    let opened = args.registry.open(&args.location, report).await?;
    let root = opened.resolve().await?;
    let manifest = store::read_manifest(opened.store.as_ref(), &root).await?;
    args.data.write(artifact::blob::once(manifest), report).await?;
    Ok(ExitCode::SUCCESS)
}

async fn push(args: PushArgs, report: &Report) -> Result<ExitCode> {
    let bytes = data::read(&args.file, MAX_MANIFEST).await?;
    data::check_pin(args.location.digest.as_ref(), &Digest::of(&bytes))?;
    args.tags.iter().try_for_each(|tag| args.location.with_tag(tag).map(drop))?;
    let names: Vec<RefName> = args.location.tag.iter().chain(&args.tags).cloned().collect();
    let store = args.registry.write(&args.location.place, report).await?;
    let written = raw::put_manifest(&store, args.media_type.as_deref(), bytes, &names).await?;
    print(&args.location, &written.descriptor, &written.names, Map::new(), report)
}

/// Reports a manifest that has these names now, and what they stood for.
pub(super) fn print(
    location: &Location,
    desc: &Descriptor,
    planned: &[PlannedName],
    more: Map<String, Value>,
    report: &Report,
) -> Result<ExitCode> {
    let place = &location.place;
    for planned in planned {
        let PlannedName { name, refused, .. } = planned;
        refused.iter().for_each(|why| report.warn(format!("cannot tell what `{name}` stood for: {why}")));
        report.say(moved(place, planned));
    }
    let names: Vec<NameReport> = planned.iter().map(NameReport::from).collect();
    let tags: Vec<&RefName> = names.iter().map(|name| &name.name).collect();
    let mut json = about(place, desc)?;
    json.extend(object(&json!({ "location": location.to_string(), "tags": tags, "names": names }))?);
    json.extend(more);
    report.result(Some(&desc.digest), &json, &[desc.digest.to_string()])?;
    Ok(ExitCode::SUCCESS)
}

/// What happened to a name, in words.
fn moved(place: &Place, planned: &PlannedName) -> String {
    let (PlannedName { name, from, .. }, to) = (planned, &planned.to.digest);
    match from {
        Some(from) if from != to => format!("{place}:{name} moved from {from} to {to}"),
        Some(_) => format!("{place}:{name} is unchanged: {to}"),
        None => format!("{place}:{name} is {}: {to}", NameReport::from(planned).outcome),
    }
}
