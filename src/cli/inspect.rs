//! `artifact inspect`: what an artifact is, in the words of its type.

use std::process::ExitCode;

use artifact::{
    Result,
    location::{Location, name_in},
    oci::{Descriptor, Parsed},
    store,
};
use serde_json::json;

use super::{
    report::{Report, escape, size, table},
    session::{CatalogArgs, RegistryArgs},
};

/// Show what an artifact is: its type, config, layers, annotations and referrers.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The artifact
    location: Location,
    #[command(flatten)]
    types: CatalogArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let store = args.registry.read(&args.location.place, report).await?;
    let root = store.resolve(&name_in(store.as_ref(), &args.location).await?).await?;
    let bytes = store::read_manifest(store.as_ref(), &root).await?;
    let parsed = Parsed::read(&root.media_type, &bytes)?;
    let type_name = match &parsed {
        Parsed::Manifest(manifest) => {
            args.types.load(report)?.recognise(manifest).map(|(kind, _)| kind.name().to_owned())
        }
        Parsed::Index(_) | Parsed::Other(_) => None,
    };
    let referrers = store.referrers(&root).await?;
    // What is in the place of a manifest need not be one, and need not be JSON.
    let document: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
    let json = json!({
        "location": args.location.to_string(),
        "type": type_name,
        "descriptor": root,
        "manifest": document,
        "referrers": referrers,
    });
    let lines = text(Some(&args.location), type_name.as_deref(), &root, &parsed, &referrers);
    report.result(Some(&root.digest), &json, &lines)?;
    Ok(ExitCode::SUCCESS)
}

/// What there is to say about a manifest, for people.
pub(super) fn text(
    location: Option<&Location>,
    type_name: Option<&str>,
    root: &Descriptor,
    parsed: &Parsed,
    referrers: &[Descriptor],
) -> Vec<String> {
    let mut facts: Vec<_> =
        location.map(|location| row("location", escape(&location.to_string()))).into_iter().collect();
    facts.push(row("digest", root.digest.to_string()));
    facts.push(row("media type", escape(&root.media_type)));
    facts.extend(type_name.map(|name| row("type", escape(name))));
    let artifact_type = match parsed {
        Parsed::Manifest(manifest) => manifest.artifact_type.as_deref(),
        Parsed::Index(index) => index.artifact_type.as_deref(),
        Parsed::Other(other) => other.artifact_type.as_deref(),
    };
    facts.extend(artifact_type.map(|name| row("artifact type", escape(name))));
    if let Parsed::Manifest(manifest) = parsed {
        let config = &manifest.config;
        facts.push(row("config", format!("{} ({})", escape(&config.media_type), size(config.size))));
    }
    facts.extend(parsed.subject().map(|subject| row("subject", subject.digest.to_string())));
    let mut lines = table(&facts);
    let children = match parsed {
        Parsed::Manifest(_) => "layers",
        Parsed::Index(_) => "manifests",
        Parsed::Other(_) => "content",
    };
    section(&mut lines, children, layers(parsed));
    let annotations = parsed.annotations().iter().map(|(key, value)| vec![escape(key), escape(value)]);
    section(&mut lines, "annotations", annotations.collect());
    let describe = |desc: &Descriptor| {
        vec![desc.digest.short(), escape(desc.artifact_type.as_deref().unwrap_or(&desc.media_type))]
    };
    section(&mut lines, "referrers", referrers.iter().map(describe).collect());
    lines
}

fn row(name: &str, value: String) -> Vec<String> {
    vec![name.to_owned(), value]
}

fn section(lines: &mut Vec<String>, title: &str, rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    lines.push(String::new());
    lines.push(format!("{title}:"));
    lines.extend(table(&rows).into_iter().map(|line| format!("  {line}")));
}

fn layers(parsed: &Parsed) -> Vec<Vec<String>> {
    let (skip, index) = match parsed {
        Parsed::Manifest(_) => (1, false),
        Parsed::Index(_) => (0, true),
        Parsed::Other(_) => (0, false),
    };
    let describe = |desc: &Descriptor| {
        let what = match (&desc.platform, index) {
            (Some(platform), true) => escape(&platform.to_string()),
            _ => escape(desc.title().unwrap_or("-")),
        };
        vec![desc.digest.short(), size(desc.size), escape(&desc.media_type), what]
    };
    parsed.children().into_iter().skip(skip).map(|(_, child)| describe(child)).collect()
}
