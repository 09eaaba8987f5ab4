//! A plug-in: an artifact type that is a program. It prints a plan as JSON (`artifact-plan/v1`), and that is all.
//!
//! A definition is enough for most types; this one looks into its files, which takes code: the config quotes the first line
//! of each note and counts its words. The structs of [`artifact::plan`] are a convenience here. A plug-in in another
//! language prints the same JSON.
//!
//!     cargo run --example artifact-type-notes examples/notes

use std::{io::Write as _, path::Path};

use artifact::{
    Error, Kind, Result,
    error::Context as _,
    oci::{annotation, json::Encoding},
    plan::{API_VERSION, Content, ManifestPlan, Part, Plan, Quote, Quoted, ReferencePlan},
};
use serde_json::{Value, json};

/// The names of the notes, sorted: the same directory makes the same plan everywhere.
fn notes(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in dir.read_dir().context(|| format!("cannot list `{}`", dir.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.ends_with(".txt").then_some(name));
    }
    names.sort();
    Ok(names)
}

/// What the config says about one note. Its digest is not known yet, so it is a quote of the layer.
fn describe(dir: &Path, name: &str, layer: usize) -> Result<Value> {
    let text = std::fs::read_to_string(dir.join(name)).context(|| format!("cannot read `{name}`"))?;
    Ok(json!({
        "title": text.lines().next().unwrap_or(name),
        "words": text.split_whitespace().count(),
        "digest": Quote { layer, value: Quoted::Digest }.to_value(),
    }))
}

/// One layer for one note; the title is the name that it gets when it is unpacked.
fn layer(name: &str) -> Part {
    Part {
        id: "note".into(),
        media_type: "text/plain".into(),
        content: Content::File(name.into()),
        annotations: [(annotation::TITLE.to_owned(), json!(name))].into(),
    }
}

fn plan(dir: &Path) -> Result<Plan> {
    let dir = dir.canonicalize().context(|| format!("cannot find `{}`", dir.display()))?;
    let names = notes(&dir)?;
    let described: Vec<_> =
        names.iter().enumerate().map(|(index, name)| describe(&dir, name, index)).collect::<Result<_>>()?;
    let config = Content::Json { value: json!({ "notes": described }), encoding: Encoding::Canonical };
    Ok(Plan {
        api_version: API_VERSION.into(),
        type_name: "notes".into(),
        config: Part {
            id: "config".into(),
            media_type: "application/vnd.example.notes.config.v1+json".into(),
            content: config,
            annotations: [].into(),
        },
        layers: names.iter().map(|name| layer(name)).collect(),
        manifest: ManifestPlan {
            artifact_type: Some("application/vnd.example.notes.v1".into()),
            ..ManifestPlan::default()
        },
        reference: ReferencePlan::default(),
        warnings: Vec::new(),
        base: dir,
    })
}

fn main() -> Result<()> {
    let usage = || Error::invalid("usage: artifact-type-notes DIRECTORY");
    let dir = std::env::args_os().nth(1).ok_or_else(usage)?;
    let text = serde_json::to_string_pretty(&plan(Path::new(&dir))?);
    let text = text.map_err(|e| Error::caused(Kind::Internal, "cannot print the plan", e))?;
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
