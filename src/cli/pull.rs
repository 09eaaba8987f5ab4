//! `artifact pull`: into an OCI layout, or with `--unpack` into files.

use std::{num::NonZeroUsize, path::PathBuf, process::ExitCode, sync::Arc};

use artifact::{
    Error, Kind, Result,
    copy::{self, Options},
    error::Context as _,
    location::{Location, Place, name_in},
    oci::{Parsed, Platform},
    store,
    types::View,
    unpack,
};
use serde_json::json;

use super::{
    copy::{one, tell},
    progress::Account,
    report::{Report, count, size},
    session::{RegistryArgs, TypeArgs},
};

/// Pull an artifact into an OCI layout, or with --unpack into files.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The artifact
    location: Location,
    /// Where it goes: a directory, a location, or a file that ends in `.tar`; by default a directory named after the
    /// repository
    dest: Option<String>,
    /// Write files instead of a layout: those of the type's own tool (native), or its content (tree)
    #[arg(long, value_name = "VIEW", num_args = 0..=1, require_equals = true, default_missing_value = "native")]
    unpack: Option<View>,
    /// With --unpack, write only files whose path matches
    #[arg(long, value_name = "GLOB", requires = "unpack")]
    include: Vec<String>,
    /// With --unpack, replace files that are there
    #[arg(long, requires = "unpack")]
    overwrite: bool,
    /// Take signatures, SBOMs and whatever else refers to the artifact along
    #[arg(long, conflicts_with = "unpack")]
    referrers: bool,
    /// Of an index, take the manifest for this platform
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    /// How many blobs move at a time [default: 6, up to 32 small ones where answers take long]
    #[arg(long, value_name = "N")]
    concurrency: Option<NonZeroUsize>,
    #[command(flatten)]
    types: TypeArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let _shown = report.shows();
    if let Some(view) = args.unpack {
        return unpacked(&args, view, report).await;
    }
    let target = destination(&args.location, args.dest.as_deref())?;
    let from = args.registry.read(&args.location.place, report).await?;
    let options = Options {
        referrers: args.referrers,
        platform: args.platform,
        concurrency: args.concurrency.map(NonZeroUsize::get),
        progress: report.observer(),
        ..Options::default()
    };
    let done = one(&from, &args.location, &target, (&args.registry, report), options).await;
    tell(report, &done.context(|| format!("pull {} to {target}", args.location))?, &target)
}

/// A location as it is, a bare path as the layout or archive that it would be with `./` in front.
fn destination(from: &Location, dest: Option<&str>) -> Result<Location> {
    match dest {
        Some(dest) if dest.starts_with("oci:") || dest.starts_with("oci-archive:") => dest.parse(),
        Some(dest) if dest.starts_with(['/', '.']) => dest.parse(),
        Some(dest) => format!("./{dest}").parse(),
        None => format!("./{}", basename(from)?).parse(),
    }
}

/// The last part of the repository, or of the path without `.tar`.
fn basename(from: &Location) -> Result<String> {
    let name = match &from.place {
        Place::Registry { repository, .. } => Some(repository.last().into()),
        Place::Layout(path) | Place::Archive(path) => path.file_stem().map(|stem| stem.to_string_lossy().into_owned()),
    };
    name.ok_or_else(|| Error::misuse(format!("`{from}` has no name to call the destination by; give one")))
}

async fn unpacked(args: &Args, view: View, report: &Report) -> Result<ExitCode> {
    let from = &args.registry.read(&args.location.place, report).await?;
    let dest = PathBuf::from(match &args.dest {
        Some(dest) => dest.clone(),
        None => basename(&args.location)?,
    });
    if dest.join("oci-layout").is_file() {
        let message = format!("`{}` is an OCI layout; unpack to another directory", dest.display());
        return Err(Error::new(Kind::Invalid, message));
    }
    let name = name_in(from.as_ref(), &args.location).await?;
    let root = copy::select(from, from.resolve(&name).await?, args.platform.as_ref()).await?;
    let bytes = store::read_manifest(from.as_ref(), &root).await?;
    let manifest = match Parsed::read(&root.media_type, &bytes)? {
        Parsed::Manifest(manifest) => manifest,
        Parsed::Index(_) => {
            let message = format!("{} is an index; `--platform` picks one of its manifests", args.location);
            return Err(Error::new(Kind::Ambiguous, message));
        }
        Parsed::Other(_) => {
            let message = format!("{} is a manifest of type `{}`, which has no files", args.location, root.media_type);
            return Err(Error::unsupported(message));
        }
    };
    let steps = args.types.unpacking(from, &manifest, view).await?;
    if steps.steps.is_empty() && !manifest.layers.is_empty() {
        let message =
            format!("{}: no artifact type knows it, and no layer has a title to be unpacked by", args.location);
        return Err(Error::new(Kind::UnknownType, message));
    }
    for warning in &steps.warnings {
        report.warn(warning);
    }
    let options = unpack::Options {
        overwrite: args.overwrite,
        include: args.include.clone(),
        progress: report.observer(),
        ..unpack::Options::default()
    };
    let done = unpack::unpack(Arc::clone(from), &steps, &dest, &options)
        .await
        .context(|| format!("unpack {} to `{}`", args.location, dest.display()))?;
    let account = report.ended();
    for note in &done.notes {
        report.warn(note);
    }
    let (files, bytes) = (count(done.files, "file"), size(done.bytes));
    report.say(format!("{}: {files}, {bytes}{}", dest.display(), account.text(done.bytes)));
    let Account { resumed, retried, .. } = account;
    let seconds = account.seconds();
    let json = json!({ "root": root, "written": done, "resumed": resumed, "retried": retried, "seconds": seconds });
    report.result(Some(&root.digest), &json, &[root.digest.to_string()])?;
    Ok(ExitCode::SUCCESS)
}
