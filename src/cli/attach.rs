//! `artifact attach`: artifacts about another artifact.

use std::{num::NonZeroUsize, process::ExitCode};

use artifact::{
    Result,
    error::Context as _,
    location::ReadLocation,
    oci::RefName,
    push::{self, Options, SourceFile},
};

use serde_json::{Map, Value};

use super::{
    copy::Outcome,
    plan::PackArgs,
    push::carried,
    report::Report,
    session::{RegistryArgs, concurrency},
};

/// Pack sources and attach them to an artifact: reports, SBOMs, licences.
///
/// Each source becomes a referrer of the artifact, in the same store; `inspect` lists referrers, `copy` includes them.
/// All sources are packed before the first is stored. Attached artifacts have no tag unless --tag sets one.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The artifact to attach to, by tag or digest; `repository:^1.2` is the newest tag in the range
    #[arg(index = 1)]
    subject: ReadLocation,
    /// Files or directories; each becomes an artifact of its own; `FILE:MEDIA/TYPE` says the media type
    #[arg(index = 2, required = true, value_name = "SOURCE")]
    sources: Vec<SourceFile>,
    /// Tag the attached artifact; with one source only
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<RefName>,
    /// Pack, compare with the destination, report, and attach nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Parallel blob transfers [default: 6, up to 32 for small blobs when latency is high]
    #[arg(long, value_name = "N", value_parser = concurrency)]
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
    options.names = args.tags;
    options.concurrency = args.concurrency.map(NonZeroUsize::get);
    let given: Vec<String> = args.sources.iter().map(|source| source.path.display().to_string()).collect();
    let sources = args.pack.sources(args.sources).await?;
    let subject = args.registry.exact(&args.subject, report).await?;
    let all = push::prepare_attachments(&subject, &sources.files, &context, &options).await?;
    let several = all.len() > 1;
    let is = if args.dry_run { "would be attached" } else { "attached" };
    let mut done = Vec::with_capacity(all.len());
    for (prepared, source) in all.into_iter().zip(&given) {
        shown.get_or_insert_with(|| report.shows());
        let about = prepared.plan.root.subject().cloned();
        let attached = carried(prepared, args.dry_run, &context, report).await;
        let attached = if several { attached.context(|| format!("attach `{source}`")) } else { attached }?;
        if let Some(about) = about {
            let to = format!("{is} to {}@{}", subject.place, about.digest);
            report.say(match several {
                true => format!("`{}` {to} as {}", source, attached.digest()),
                false => to,
            });
        }
        done.push(attached);
        // The next attachment has its own account.
        drop(shown.take());
    }
    print_outcomes(&done, args.dry_run, report)
}

/// Prints one artifact as `push` does, several as a list.
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
