//! `artifact push`: plan, pack, copy, tag.

use std::{num::NonZeroUsize, path::Path, process::ExitCode, sync::Arc};

use artifact::{
    Context, Error, Result,
    location::{Location, Place},
    oci::RefName,
    push::{self, Prepared, Signing, SourceFile},
    sign::{self, Format},
};
use serde_json::json;

use super::{
    copy::{Outcome, report_done, report_planned},
    keys::{KeySource, PasswordArgs},
    plan::{PackArgs, described, facts, told},
    report::Report,
    session::{RegistryArgs, concurrency},
    sign::container_name,
};

/// Pack a source and push it: to a registry, a layout or an archive.
///
/// The type is detected from the source. The same source has the same digest on every machine. Content that the
/// destination already has is not transferred.
#[derive(Debug, clap::Args)]
#[command(override_usage = "artifact push [OPTIONS] SOURCE... LOCATION")]
pub(crate) struct Args {
    /// The file or directory to pack, `-` for stdin; several become a file bundle; `FILE:MEDIA/TYPE` says a media type.
    /// Last, the destination; without a tag, the type's own tag or `latest`; `repository:v1,v2` sets several tags
    // One list, as a parser that knows two takes the last word before an option for the destination.
    #[arg(required = true, value_name = "SOURCE|LOCATION")]
    words: Vec<String>,
    /// Additional tag
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<RefName>,
    /// Attach it to this artifact in the same repository; it is then untagged unless a tag is given
    #[arg(long, value_name = "LOCATION")]
    subject: Option<Location>,
    /// Sign it with this key: the tag is set when the signature is there
    #[arg(long, value_name = "KEY")]
    sign: Option<KeySource>,
    #[command(flatten)]
    password: PasswordArgs,
    /// Pack, compare with the destination, report, and push nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// At the end, resolve every tag and compare it with the pushed digest
    #[arg(long)]
    read_back: bool,
    /// In a layout or archive, remove the tag's previous manifest from the index; by default it stays, untagged
    #[arg(long)]
    replace: bool,
    /// Check for every blob, even if the registry's tag already names the same manifest
    #[arg(long)]
    recheck: bool,
    /// Parallel blob transfers [default: 6, up to 32 for small blobs when latency is high]
    #[arg(long, value_name = "N", value_parser = concurrency)]
    concurrency: Option<NonZeroUsize>,
    #[command(flatten)]
    pack: PackArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// The sources and the destination, which comes last.
fn ends(words: &[String]) -> Result<(Vec<SourceFile>, Destination)> {
    match words.split_last() {
        Some((last, sources)) if !sources.is_empty() => {
            let Ok(sources) = sources.iter().map(|word| word.parse()).collect();
            Ok((sources, last.parse().map_err(Error::into_misuse)?))
        }
        _ => {
            let only = words.join(" ");
            Err(Error::misuse(format!(
                "`{only}` alone: `push` takes what to pack, then the destination, such as `oci:layout:v1`"
            )))
        }
    }
}

/// Whether these words are sources and a destination.
pub(super) fn are_complete(words: &[String]) -> bool {
    ends(words).is_ok()
}

/// A destination, and whether it is written as Helm writes one.
#[derive(Debug, Clone)]
struct Destination {
    location: Location,
    /// More tags: `repository:v1,v2`.
    tags: Vec<RefName>,
    as_helm: bool,
}

impl std::str::FromStr for Destination {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let as_helm = text.starts_with("oci://");
        let failed = match text.parse() {
            Ok(location) => return Ok(Self { location, tags: Vec::new(), as_helm }),
            Err(failed) => failed,
        };
        let names_a_layout =
            || format!("./{text}").parse().is_ok_and(|named: Location| matches!(named.place, Place::Layout(_)));
        if Path::new(text).is_file() && names_a_layout() {
            let message = format!("`{text}` is a file; the last argument is the destination, such as `oci:layout:v1`");
            return Err(Error::misuse(message));
        }
        let listed = text.rsplit_once(':').filter(|(_, tags)| tags.contains(',') && !tags.contains('/'));
        let Some((place, tags)) = listed else { return Err(failed) };
        let mut tags = tags.split(',');
        let location = format!("{place}:{}", tags.next().unwrap_or_default()).parse()?;
        Ok(Self { location, tags: tags.map(str::parse).collect::<Result<_>>()?, as_helm })
    }
}

/// The name that the type appends to a repository, if it stands at its end. Helm appends it all the same.
fn named_already<'a>(location: &Location, name: Option<&'a str>) -> Option<&'a str> {
    let place = location.place.to_string();
    name.filter(|name| place.rsplit('/').next() == Some(name))
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let (sources, Destination { location, tags, as_helm }) = ends(&args.words)?;
    let _shown = report.shows();
    let context = args.pack.types.context(args.registry.context(report)?);
    let mut options = args.pack.options()?;
    options.subject = args.subject;
    options.names = tags.into_iter().chain(args.tags).collect();
    (options.recheck, options.replace, options.read_back) = (args.recheck, args.replace, args.read_back);
    options.concurrency = args.concurrency.map(NonZeroUsize::get);
    let key = args.sign.map(|source| source.private(&args.password, report)).transpose()?;
    let sources = args.pack.sources(sources).await?;
    let mut prepared = push::prepare(&sources.files, &location, &context, &options).await?;
    if as_helm && let Some(name) = named_already(&location, prepared.plan.reference.repository.as_deref()) {
        let place = &location.place;
        let warning = format!("this goes to {place}; Helm would push it to {place}/{name}: name that to have it there");
        prepared.plan.warnings.push(warning);
    }
    let mut signatures = Vec::new();
    if let Some(key) = key {
        let (name, fingerprint) = (container_name(&prepared.target), key.public().fingerprint());
        let verb = if args.dry_run { "would sign" } else { "signs" };
        report.say(match &name {
            Some(name) => format!("{verb} with the key {fingerprint}, as {name}"),
            None => format!("{verb} with the key {fingerprint}"),
        });
        if args.dry_run {
            report.say("the signature is not counted below: it is made when the artifact is pushed");
        }
        let signer = json!({ "key": fingerprint });
        signatures.push(json!({ "format": Format::Bundle, "signer": signer }));
        signatures.extend(name.iter().map(|name| json!({ "format": Format::Legacy, "signer": signer, "name": name })));
        let mut signing = sign::Options::default();
        (signing.bundle, signing.legacy, signing.created) = (true, name, Some(context.date()?));
        prepared.sign(Signing { key: Arc::new(key), options: signing });
    }
    let mut outcome = carried(prepared, args.dry_run, &context, report).await?;
    if !signatures.is_empty() {
        outcome.json.insert("signatures".to_owned(), signatures.into());
    }
    outcome.print(report)
}

/// Pushes a prepared artifact, or reports the dry run.
pub(super) async fn carried(prepared: Prepared, dry_run: bool, context: &Context, report: &Report) -> Result<Outcome> {
    told(&prepared.plan.type_name, &prepared.planner, report);
    prepared.plan.warnings.iter().for_each(|warning| report.warn(warning));
    if dry_run {
        let (type_name, planner) = (prepared.plan.type_name.clone(), prepared.planner.clone());
        let target = prepared.target.clone();
        let (packed, would) = prepared.foresee(context).await?;
        return report_planned(report, &would, &target, described(&type_name, &planner, &packed, Some(&target))?);
    }
    let (type_name, planner) = (prepared.plan.type_name.clone(), prepared.planner.clone());
    let pushed = prepared.run(context).await?;
    let facts = facts(&type_name, &planner, &pushed.summary)?;
    report_done(report, &pushed.report, &pushed.location, facts)
}
