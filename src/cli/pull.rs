//! `artifact pull`: an artifact into an OCI layout or, with `--unpack`, into files.

use std::{
    num::{NonZeroU64, NonZeroUsize},
    path::PathBuf,
    process::ExitCode,
};

use artifact::{
    Context, CopyOptions, Error, Result,
    error::Context as _,
    location::{Location, Place, ReadLocation},
    pull::{self, UnpackOptions, Unpacked},
    types::View,
};
use serde_json::json;

use super::{
    copy::report_pulled,
    progress::Account,
    report::{Report, about, object},
    session::{RegistryArgs, SelectionArgs, TypeArgs, concurrency, max_size},
    text::{count, size},
};

/// Pull an artifact into an OCI layout or, with --unpack, into files.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The artifact; `repository:^1.2` is the newest tag in the range
    location: ReadLocation,
    /// Destination: a directory, a location, or a file that ends in `.tar` [default: a directory named after the
    /// repository]
    dest: Option<String>,
    /// Write files instead of a layout: in the form that the type's own tools use (native), or the plain content (tree)
    #[arg(long, value_name = "VIEW", num_args = 0..=1, require_equals = true, default_missing_value = "native")]
    unpack: Option<View>,
    /// With --unpack, write only files with a matching path
    #[arg(long, value_name = "GLOB", requires = "unpack")]
    include: Vec<String>,
    /// With --unpack, replace existing files
    #[arg(long, requires = "unpack")]
    overwrite: bool,
    /// With --unpack, the most bytes that the files may have: 500M, 20G [default: 100 times the artifact, at least 1G]
    #[arg(long, value_name = "SIZE", requires = "unpack", value_parser = max_size)]
    max_size: Option<NonZeroU64>,
    /// Also pull signatures, SBOMs and other referrers
    #[arg(long, conflicts_with = "unpack")]
    referrers: bool,
    #[command(flatten)]
    selection: SelectionArgs,
    /// Parallel blob transfers [default: 6, up to 32 for small blobs when latency is high]
    #[arg(long, value_name = "N", value_parser = concurrency)]
    concurrency: Option<NonZeroUsize>,
    #[command(flatten)]
    types: TypeArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let _shown = report.shows();
    let context = args.types.context(args.registry.context(report)?);
    if let Some(view) = args.unpack {
        return unpacked(args, view, &context, report).await;
    }
    let target = destination(&args.location.location, args.dest.as_deref())?;
    let mut options = CopyOptions::default();
    options.referrers = args.referrers;
    options.selection = args.selection.selection();
    options.concurrency = args.concurrency.map(NonZeroUsize::get);
    let done = async { args.registry.open(&args.location, report).await?.copy_to(&target, &context, &options).await };
    let done = done.await.context(|| format!("pull {} to {target}", args.location))?;
    if matches!(target.place, Place::Layout(_)) {
        report.say("this is an OCI layout; with `--unpack`, the files are written instead");
    }
    report_pulled(report, &done, &target, args.referrers)?.print(report)
}

/// Parses a destination; a bare path is read as if it started with `./`.
fn destination(from: &Location, dest: Option<&str>) -> Result<Location> {
    match dest {
        Some(dest) if dest.starts_with("oci:") || dest.starts_with("oci-archive:") => dest.parse(),
        Some(dest) if dest.starts_with(['/', '.']) => dest.parse(),
        Some(dest) => format!("./{dest}").parse(),
        None => format!("./{}", basename(from)?).parse(),
    }
}

/// What the names of archives end in.
const ARCHIVES: [&str; 4] = [".tar", ".tar.gz", ".tgz", ".tar.zst"];

/// The last part of the repository, or of the path without what says that it is an archive.
fn basename(from: &Location) -> Result<String> {
    let name = match &from.place {
        Place::Registry { repository, .. } => Some(repository.last().into()),
        Place::Layout(path) => path.file_stem().map(|stem| stem.to_string_lossy().into_owned()),
        Place::Archive(path) => path.file_name().map(|name| {
            let name = name.to_string_lossy();
            let known = ARCHIVES.iter().find_map(|end| name.strip_suffix(end).filter(|stem| !stem.is_empty()));
            known.map_or_else(|| name.clone().into_owned() + "-layout", str::to_owned)
        }),
    };
    name.ok_or_else(|| Error::misuse(format!("cannot derive a destination from `{from}`: give one")))
}

async fn unpacked(args: Args, view: View, context: &Context, report: &Report) -> Result<ExitCode> {
    let dest = PathBuf::from(match args.dest {
        Some(dest) => dest,
        None => basename(&args.location.location)?,
    });
    let location = args.registry.exact(&args.location, report).await?;
    let mut options = UnpackOptions::default();
    options.type_name = args.types.name;
    (options.view, options.platform) = (view, args.selection.for_files()?);
    (options.include, options.overwrite) = (args.include, args.overwrite);
    options.allowance = args.max_size.map(NonZeroU64::get);
    let Unpacked { root, written, warnings, .. } = pull::unpack(&location, &dest, context, &options).await?;
    let account = report.ended();
    warnings.iter().chain(&written.notes).for_each(|warning| report.warn(warning));
    let (files, bytes) = (count(written.files, "file"), size(written.bytes));
    report.say(format!("{}: {files}, {bytes}{}", dest.display(), account.text(written.bytes)));
    let Account { resumed, retried, .. } = account;
    let seconds = account.seconds();
    let mut json = about(&location.place, &root)?;
    json.extend(object(&json!({
        "location": location.to_string(),
        "destination": dest,
        "files": written.files,
        "directories": written.directories,
        "links": written.links,
        "bytes": written.bytes,
        "resumed": resumed,
        "retried": retried,
        "seconds": seconds,
    }))?);
    report.result(Some(&root.digest), &json, &[root.digest.to_string()])?;
    Ok(ExitCode::SUCCESS)
}
