//! `artifact blob`: blobs, byte for byte.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use artifact::{
    Error, Result,
    blob::SourceFile,
    location::Location,
    raw,
    store::{self, Item},
};
use clap::Subcommand;

use super::{
    data::{self, DataArgs},
    report::{Report, about},
    session::RegistryArgs,
};

/// Read and write blobs byte for byte.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Get(GetArgs),
    Push(PushArgs),
}

/// Print a blob: a layer, a config, whatever has this digest.
#[derive(Debug, clap::Args)]
pub(crate) struct GetArgs {
    /// The blob: `repository@digest`
    location: Location,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Push a file as a blob, and print its digest.
///
/// A registry removes it sooner or later unless a manifest names it.
#[derive(Debug, clap::Args)]
pub(crate) struct PushArgs {
    /// Destination; with a digest, the file must have that one
    location: Location,
    /// The file, `-` for stdin
    file: PathBuf,
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
    report.no_template("`blob get`")?;
    let Some(pin) = &args.location.digest else {
        return Err(Error::misuse("a blob has no name but its digest: `repository@sha256:…`"));
    };
    let store = args.registry.read(&args.location.place, report).await?;
    let desc = raw::blob(store.as_ref(), pin).await?;
    args.data.write(store::open(store.as_ref(), &Item::blob(desc)).await?, report).await?;
    Ok(ExitCode::SUCCESS)
}

async fn push(args: PushArgs, report: &Report) -> Result<ExitCode> {
    if args.location.tag.is_some() {
        return Err(Error::misuse("a blob has no tag: a manifest that names it may have one"));
    }
    let _shown = report.shows();
    let stdin = if args.file == Path::new("-") { Some(data::spooled().await?) } else { None };
    let file = SourceFile::new(stdin.as_ref().map_or(args.file.as_path(), |file| file.path()))?;
    let desc = raw::describe_blob(&file).await?;
    data::check_pin(args.location.digest.as_ref(), &desc.digest)?;
    let store = args.registry.write(&args.location.place, report).await?;
    raw::put_blob(store.as_ref(), &desc, &file).await?;
    let mut json = about(&args.location.place, &desc)?;
    json.insert("location".into(), args.location.to_string().into());
    report.result(Some(&desc.digest), &json, &[desc.digest.to_string()])?;
    Ok(ExitCode::SUCCESS)
}
