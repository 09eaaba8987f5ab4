//! `artifact plan`: what push would make, digests included, without a registry.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, sync::Arc};

use artifact::{
    Error, Kind, Result,
    location::Location,
    oci::Parsed,
    pack::{self, Outlet, Packed},
    plan::Plan,
    source::Source,
    types::{Inputs, Reference},
};
use serde_json::{Map, Value};

use super::{environment, inspect, report::Report, session::TypeArgs};

/// Show what `push` would make of a source, digests included, without a registry.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where it would go
    #[arg(index = 2)]
    location: Option<Location>,
    /// Print the plan itself, the JSON that plug-in types print
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    source: SourceArgs,
}

/// A source, and how it is read.
#[derive(Debug, clap::Args)]
pub(crate) struct SourceArgs {
    /// The file or directory to pack
    #[arg(index = 1)]
    pub(super) source: PathBuf,
    /// Set a parameter of the type; `artifact types show TYPE` lists them
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Add an annotation to the manifest
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = pair)]
    annotation: Vec<(String, String)>,
    #[command(flatten)]
    types: TypeArgs,
}

/// Reads `key=value`.
fn pair(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("expected KEY=VALUE".into()),
    }
}

/// Pairs by key. Errors: a key is given twice, when one of the values would be lost.
fn once(pairs: &[(String, String)], flag: &str, advice: &str) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for (key, value) in pairs {
        if all.insert(key.clone(), value.clone()).is_some() {
            return Err(Error::misuse(format!("`{flag} {key}=…` is given twice{advice}")));
        }
    }
    Ok(all)
}

impl SourceArgs {
    /// Reads the source: what will be made of it.
    pub(super) async fn plan(&self, location: Option<&Location>, report: &Report) -> Result<Plan> {
        let source = Source::open(&self.source)?;
        let inputs = self.inputs(location)?;
        let plan = self.types.plan(&source, &inputs).await?;
        for warning in &plan.warnings {
            report.warn(warning);
        }
        Ok(plan)
    }

    fn inputs(&self, location: Option<&Location>) -> Result<Inputs> {
        let reference = location.map(|l| Reference { repository: l.place.to_string(), tag: l.tag.clone() });
        Ok(Inputs {
            set: once(&self.set, "--set", "; a list is written `KEY=A,B`")?,
            annotations: once(&self.annotation, "--annotation", "")?,
            now: environment::source_date_epoch()?,
            reference,
        })
    }
}

/// Packs a plan; large results wait in a temporary file, large files leave early.
pub(super) async fn packed(plan: &Plan, outlet: Option<Arc<dyn Outlet>>, report: &Report) -> Result<Packed> {
    let options = pack::Options { outlet, progress: report.observer(), ..pack::Options::new(environment::scratch()) };
    pack::pack(plan, &options).await
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let _shown = report.shows();
    let plan = args.source.plan(args.location.as_ref(), report).await?;
    if args.raw {
        report.document(&plan)?;
        return Ok(ExitCode::SUCCESS);
    }
    let target = args.location.as_ref().map(|location| location.fill(&plan.reference)).transpose()?;
    let packed = packed(&plan, None, report).await?;
    let (json, lines) = described(&plan.type_name, &packed, target.as_ref())?;
    report.result(Some(&packed.root().digest), &json, &lines)?;
    Ok(ExitCode::SUCCESS)
}

/// What was packed, as JSON and as lines.
pub(super) fn described(
    type_name: &str,
    packed: &Packed,
    target: Option<&Location>,
) -> Result<(Map<String, Value>, Vec<String>)> {
    let parsed = Parsed::read(&packed.root().media_type, packed.manifest())?;
    let lines = inspect::text(target, Some(type_name), packed.root(), &parsed, &[]);
    let mut json = match serde_json::to_value(packed.summary()) {
        Ok(Value::Object(json)) => json,
        other => return Err(Error::new(Kind::Internal, format!("a summary is no object: {other:?}"))),
    };
    json.insert("type".into(), type_name.into());
    json.extend(target.map(|target| ("location".to_owned(), target.to_string().into())));
    Ok((json, lines))
}
