//! A plug-in: an artifact type that is a program. It gets the path of the source as its argument and what the user gave
//! beside it as JSON on standard input, and prints a plan as JSON (`artifact-plan/v1`).
//!
//! A definition is enough for most types; this one looks into its files, which takes code: the config quotes the first line
//! of each note and counts its words. The structs of [`artifact::plan`] are a convenience here. A plug-in in another
//! language prints the same JSON.
//!
//!     cargo run --example artifact-type-notes examples/notes
//!     PATH=$PATH:$PWD/target/debug/examples artifact plan --type notes examples/notes

use std::{
    io::{IsTerminal as _, Read as _, Write as _},
    path::Path,
};

use artifact::{
    Error, Kind, Result,
    error::Context as _,
    oci::{annotation, json::Encoding},
    plan::{API_VERSION, Content, ManifestPlan, Part, Plan, Quote, Quoted, ReferencePlan},
    types::Inputs,
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

/// Nothing, when somebody tries the program by hand.
fn inputs() -> Result<Inputs> {
    let mut text = String::new();
    if !std::io::stdin().is_terminal() {
        std::io::stdin().read_to_string(&mut text)?;
    }
    if text.is_empty() {
        return Ok(Inputs::default());
    }
    serde_json::from_str(&text).map_err(|e| Error::caused(Kind::Invalid, "malformed inputs", e))
}

fn plan(dir: &Path, inputs: &Inputs) -> Result<Plan> {
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
            annotations: inputs.annotations.iter().map(|(key, value)| (key.clone(), json!(value))).collect(),
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
    let text = serde_json::to_string_pretty(&plan(Path::new(&dir), &inputs()?)?);
    let text = text.map_err(|e| Error::caused(Kind::Internal, "cannot print the plan", e))?;
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
