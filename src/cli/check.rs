//! `artifact check`: fsck for layouts, archives and repositories.

use std::{process::ExitCode, sync::Arc};

use artifact::{
    Error, Kind, Result,
    check::{Options, Rules, Severity, check_with},
    location::ReadLocation,
    oci::{Descriptor, Parsed},
    types::{Catalog, MAX_CONFIG, View},
};
use serde_json::{Value, json};

use super::{
    report::Report,
    session::{CatalogArgs, RegistryArgs},
    text::{count, escape},
};

/// Verify a store: documents, digests, the rules of artifact types, missing content.
///
/// With a tag or digest, verify that artifact only. Exit code 3 means damage.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A layout, archive or repository, or one artifact; `repository:^1.2` is the newest tag in the range
    location: ReadLocation,
    #[command(flatten)]
    types: CatalogArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let _shown = report.shows();
    let opened = args.registry.open(&args.location, report).await?;
    let (store, location) = (opened.store, opened.location);
    let only = (location.tag.is_some() || location.digest.is_some()).then(|| location.name());
    let rules: Arc<dyn Rules> = Arc::new(ByType(args.types.load(report)?));
    let options = Options { only, rules: Some(rules), progress: report.observer(), ..Options::default() };
    let findings = check_with(&store, &options).await?;
    report.ended();
    let word = |severity| match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let lines = findings.iter().map(|f| {
        let fix = if f.severity == Severity::Note { String::new() } else { format!(" ({})", f.what.remedy()) };
        format!("{}: {}: {}{fix}", word(f.severity), escape(&f.place), escape(&f.message))
    });
    let found: Vec<Value> = findings
        .iter()
        .map(|f| json!({ "severity": f.severity, "code": f.what, "place": f.place, "message": f.message }))
        .collect();
    let json = json!({ "location": location.to_string(), "findings": found });
    report.result(None, &json, &lines.collect::<Vec<_>>())?;
    let errors = findings.iter().filter(|f| f.severity == Severity::Error).count();
    if errors > 0 {
        return Err(Error::new(Kind::Mismatch, format!("{} in {}", count(errors, "error"), location)));
    }
    let warnings = findings.iter().filter(|f| f.severity == Severity::Warning).count();
    let wrong =
        if warnings > 0 { format!("{}, no errors", count(warnings, "warning")) } else { "no problems found".into() };
    report.say(format!("{location}: {wrong}"));
    Ok(ExitCode::SUCCESS)
}

/// Checks manifests by the rules of their artifact types.
struct ByType(Catalog);

impl Rules for ByType {
    fn reads_config(&self, document: &Parsed) -> Option<u64> {
        let Parsed::Manifest(manifest) = document else { return None };
        self.0.recognise(&**manifest).filter(|(kind, _)| kind.reads_config(View::Native)).map(|_| MAX_CONFIG)
    }

    fn broken(&self, _: &Descriptor, document: &Parsed, config: &[u8]) -> Vec<String> {
        let Some((kind, _)) = self.0.recognise(document) else { return Vec::new() };
        match document {
            Parsed::Manifest(manifest) => {
                kind.unpacking(manifest, config, View::Native).err().map(|e| e.to_string()).into_iter().collect()
            }
            Parsed::Index(index) => kind.flaws(index),
            Parsed::Other(_) => Vec::new(),
        }
    }
}
