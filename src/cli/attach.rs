//! `artifact attach`: something about what is there.

use std::{num::NonZeroUsize, path::PathBuf, process::ExitCode};

use artifact::{
    Result,
    location::Location,
    oci::{RefName, media_type},
    push::{self, Options},
};

use super::{plan::PackArgs, push::finish, report::Report, session::RegistryArgs};

/// Pack a source and attach it to an artifact: a report, an SBOM, a licence, anything about it.
///
/// It goes where the artifact is, and is listed among what refers to that; `inspect` shows it, and `copy` takes it along. It
/// gets no tag unless one is given.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What it is about, by tag or digest
    #[arg(index = 1)]
    subject: Location,
    /// The file or directory to pack
    #[arg(index = 2)]
    source: PathBuf,
    /// What it is, as those who look for it will ask: a media type such as application/spdx+json
    #[arg(long, value_name = "TYPE", value_parser = media_type)]
    artifact_type: Option<String>,
    /// Set this tag on it
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<RefName>,
    /// Pack, ask the destination, say what would move, and attach nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// How many blobs move at a time [default: 6, up to 32 small ones where answers take long]
    #[arg(long, value_name = "N")]
    concurrency: Option<NonZeroUsize>,
    #[command(flatten)]
    pack: PackArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let _shown = report.shows();
    let context = args.pack.types.context(args.registry.context(report)?);
    let mut options: Options = args.pack.options()?;
    options.artifact_type = args.artifact_type;
    options.names = args.tags;
    options.concurrency = args.concurrency.map(NonZeroUsize::get);
    let prepared = push::prepare_attachment(&args.subject, args.source, &context, &options).await?;
    let subject = prepared.plan.root.subject().cloned();
    let done = finish(prepared, args.dry_run, &context, report).await?;
    if let Some(subject) = subject {
        let is = if args.dry_run { "would be attached" } else { "attached" };
        report.say(format!("{is} to {}@{}", args.subject.place, subject.digest));
    }
    Ok(done)
}

/// Reads a media type.
fn media_type(text: &str) -> std::result::Result<String, String> {
    if media_type::is_valid(text) { Ok(text.into()) } else { Err("expected a media type such as `text/plain`".into()) }
}
