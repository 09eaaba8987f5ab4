//! `artifact plan`: the artifact that push would create, without contacting a registry.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use artifact::{
    Context, Error, Result,
    describe::Description,
    location::Location,
    oci::Parsed,
    pack::Packed,
    push::{self, Planned, Planner},
    source::Source,
};
use serde_json::{Map, Value};

use super::{
    inspect,
    report::{Report, object},
    session::TypeArgs,
};

/// Show the artifact that `push` would create, with digests, without contacting a registry.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file or directory to pack
    #[arg(index = 1)]
    source: PathBuf,
    /// Destination of the push
    #[arg(index = 2)]
    location: Option<Location>,
    /// Print the plan itself, in the JSON format of plug-in types
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    pack: PackArgs,
}

/// Packing flags.
#[derive(Debug, clap::Args)]
pub(crate) struct PackArgs {
    /// Set a parameter of the type; `artifact types show TYPE` lists them
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Add an annotation to the manifest
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = pair)]
    annotation: Vec<(String, String)>,
    #[command(flatten)]
    pub(super) types: TypeArgs,
}

/// Reads `key=value`.
fn pair(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("expected KEY=VALUE".into()),
    }
}

/// Pairs by key. Errors: a key given twice, since one value would be lost.
fn once(pairs: &[(String, String)], flag: &str, advice: &str) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for (key, value) in pairs {
        if all.insert(key.clone(), value.clone()).is_some() {
            return Err(Error::misuse(format!("`{flag} {key}=…` is given twice{advice}")));
        }
    }
    Ok(all)
}

impl PackArgs {
    /// The push options set by the flags.
    pub(super) fn options(&self) -> Result<push::Options> {
        let mut options = push::Options::default();
        options.type_name.clone_from(&self.types.name);
        options.set = once(&self.set, "--set", "; write a list as `KEY=A,B`")?;
        options.annotations = once(&self.annotation, "--annotation", "")?;
        Ok(options)
    }
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let _shown = report.shows();
    let mut context = args.pack.types.context(&Context::from_environment()?);
    context.progress = report.observer();
    let source = Source::open(&args.source)?;
    let Planned { plan, planner } =
        push::plan(&source, args.location.as_ref(), &context, &args.pack.options()?).await?;
    told(&plan.type_name, &planner, report);
    plan.warnings.iter().for_each(|warning| report.warn(warning));
    if args.raw {
        report.document(&plan)?;
        return Ok(ExitCode::SUCCESS);
    }
    let target = args.location.as_ref().map(|location| location.fill(&plan.reference)).transpose()?;
    let packed = push::packed(&plan, &context).await?;
    let (json, lines) = described(&plan.type_name, &planner, &packed, target.as_ref())?;
    report.result(Some(&packed.root().digest), &json, &lines)?;
    Ok(ExitCode::SUCCESS)
}

/// Reports the detected type of the source and the reason.
pub(super) fn told(type_name: &str, planner: &Planner, report: &Report) {
    let form = planner.form().map(|form| format!(" ({form})")).unwrap_or_default();
    report.say(format!("{type_name}{form}: {}", planner.why()));
}

/// The packed artifact as JSON and as lines.
pub(super) fn described(
    type_name: &str,
    planner: &Planner,
    packed: &Packed,
    target: Option<&Location>,
) -> Result<(Map<String, Value>, Vec<String>)> {
    let parsed = Parsed::read(&packed.root().media_type, packed.manifest())?;
    let mut description = Description::bare(packed.root(), &parsed);
    description.type_name = Some(type_name.to_owned());
    let lines = inspect::text(target, &description);
    let mut json = facts(type_name, planner, &packed.summary())?;
    json.extend(target.map(|target| ("location".to_owned(), target.to_string().into())));
    Ok((json, lines))
}

/// What was decided about a source and what became of it, for the document.
pub(super) fn facts(
    type_name: &str,
    planner: &Planner,
    summary: &artifact::pack::Summary,
) -> Result<Map<String, Value>> {
    let mut json = object(summary)?;
    json.insert("type".into(), type_name.into());
    json.insert("form".into(), planner.form().into());
    json.insert("why".into(), planner.why().into());
    Ok(json)
}
