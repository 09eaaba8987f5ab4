//! `artifact manifest`: manifests and indexes, byte for byte.

use std::{path::PathBuf, process::ExitCode};

use artifact::{
    Error, Result,
    copy::NameReport,
    location::{Location, ReadLocation},
    oci::{Descriptor, MAX_MANIFEST, RefName},
    raw::{self, Written},
    store,
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
    let opened = args.registry.open(&args.location, report).await?;
    let root = opened.resolve().await?;
    let manifest = store::read_manifest(opened.store.as_ref(), &root).await?;
    args.data.write(artifact::blob::once(manifest), report).await?;
    Ok(ExitCode::SUCCESS)
}

async fn push(args: PushArgs, report: &Report) -> Result<ExitCode> {
    let bytes = data::read(&args.file, MAX_MANIFEST).await?;
    if let Some(pin) = &args.location.digest {
        let own = Descriptor::of("", &bytes).digest;
        if pin.to_string() != own.to_string() {
            return Err(Error::mismatch(format!("the manifest has the digest {own}, not {pin}")));
        }
    }
    args.tags.iter().try_for_each(|tag| args.location.with_tag(tag).map(drop))?;
    let names: Vec<RefName> = args.location.tag.iter().chain(&args.tags).cloned().collect();
    let store = args.registry.write(&args.location.place, report).await?;
    let written = raw::put_manifest(&store, args.media_type.as_deref(), bytes, &names).await?;
    print(&args.location, &written, Map::new(), report)
}

/// Reports a manifest that was written, and what its names stood for.
pub(super) fn print(
    location: &Location,
    written: &Written,
    more: Map<String, Value>,
    report: &Report,
) -> Result<ExitCode> {
    let (desc, place) = (&written.descriptor, &location.place);
    written.names.iter().for_each(|name| report.say(super::tag::moved(place, name)));
    let names: Vec<NameReport> = written.names.iter().map(NameReport::from).collect();
    let tags: Vec<&RefName> = names.iter().map(|name| &name.name).collect();
    let mut json = about(place, desc)?;
    json.extend(object(&json!({ "location": location.to_string(), "tags": tags, "names": names }))?);
    json.extend(more);
    report.result(Some(&desc.digest), &json, &[desc.digest.to_string()])?;
    Ok(ExitCode::SUCCESS)
}
