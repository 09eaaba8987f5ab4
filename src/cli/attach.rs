//! `artifact attach`: something about what is there.

use std::{num::NonZeroUsize, path::PathBuf, process::ExitCode};

use artifact::{
    Result,
    error::Context as _,
    location::Location,
    oci::{RefName, media_type},
    push::{self, Options},
};

use serde_json::{Map, Value};

use super::{copy::Outcome, plan::PackArgs, push::carried, report::Report, session::RegistryArgs};

/// Pack sources and attach them to an artifact: a report, an SBOM, a licence, anything about it.
///
/// Each goes where the artifact is, and is listed among what refers to that; `inspect` shows it, and `copy` takes it along.
/// Several sources are so many artifacts, all of which are read before one is stored. None has a tag unless one is given.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What it is about, by tag or digest
    #[arg(index = 1)]
    subject: Location,
    /// The files or directories to pack, each by itself
    #[arg(index = 2, required = true, value_name = "SOURCE")]
    sources: Vec<PathBuf>,
    /// What it is, as those who look for it will ask: a media type such as application/spdx+json
    #[arg(long, value_name = "TYPE", value_parser = media_type)]
    artifact_type: Option<String>,
    /// Set this tag on it; with one source only
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
    let mut shown = Some(report.shows());
    let context = args.pack.types.context(args.registry.context(report)?);
    let mut options: Options = args.pack.options()?;
    options.artifact_type = args.artifact_type;
    options.names = args.tags;
    options.concurrency = args.concurrency.map(NonZeroUsize::get);
    let all = push::prepare_attachments(&args.subject, &args.sources, &context, &options).await?;
    let several = all.len() > 1;
    let is = if args.dry_run { "would be attached" } else { "attached" };
    let mut done = Vec::with_capacity(all.len());
    for (prepared, source) in all.into_iter().zip(&args.sources) {
        shown.get_or_insert_with(|| report.shows());
        let subject = prepared.plan.root.subject().cloned();
        let attached = carried(prepared, args.dry_run, &context, report).await;
        let attached = if several { attached.context(|| format!("attach `{}`", source.display())) } else { attached }?;
        if let Some(subject) = subject {
            let to = format!("{is} to {}@{}", args.subject.place, subject.digest);
            report.say(match several {
                true => format!("`{}` {to} as {}", source.display(), attached.digest()),
                false => to,
            });
        }
        done.push(attached);
        // What the next one takes is counted from here.
        drop(shown.take());
    }
    print_outcomes(&done, args.dry_run, report)
}

/// One artifact is printed as a push prints it; several are a list of the same, or their lines.
fn print_outcomes(done: &[Outcome], dry_run: bool, report: &Report) -> Result<ExitCode> {
    if let [one] = done {
        return one.print(report);
    }
    let mut json = Map::from_iter([("command".to_owned(), Value::from("attach"))]);
    if dry_run {
        json.insert("dryRun".into(), true.into());
    }
    json.insert("artifacts".into(), done.iter().map(|one| Value::from(one.json.clone())).collect());
    let digests: Vec<String> = done.iter().map(|one| one.digest().to_string()).collect();
    let lines: Vec<String> = done.iter().flat_map(|one| one.lines.iter().cloned()).collect();
    report.result(Some(&digests.join("\n")), &json, &lines)?;
    Ok(ExitCode::SUCCESS)
}

/// Reads a media type.
fn media_type(text: &str) -> std::result::Result<String, String> {
    if media_type::is_valid(text) { Ok(text.into()) } else { Err("expected a media type such as `text/plain`".into()) }
}
