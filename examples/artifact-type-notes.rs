//! A plug-in: an artifact type that is a program. It is asked what it is, for a plan of a source, and which files a manifest
//! becomes, and answers with JSON (`artifact-plan/v1`, `artifact-types/plan.md`).
//!
//! A definition is enough for most types; this one looks into its files, which takes code: the config quotes the first line
//! of each note and counts its words. What the library has for plans and for reading a source is a convenience here. A plug-in
//! in another language prints the same JSON.
//!
//!     cargo run --example artifact-type-notes plan examples/notes
//!     PATH=$PATH:$PWD/target/debug/examples artifact plan --type notes examples/notes

use std::io::{IsTerminal as _, Read as _, Write as _};

use artifact::{
    Error, Kind, Result,
    error::Context as _,
    oci::{Descriptor, Manifest, annotation, json::Encoding},
    plan::{API_VERSION, Action, Content, ManifestPlan, Part, Plan, Quote, Quoted, ReferencePlan, Step, Unpacking},
    source::{Listing, Source},
    types::plugin::{About, PlanQuestion, UnpackQuestion},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

const ARTIFACT_TYPE: &str = "application/vnd.example.notes.v1";

/// Most bytes of a note.
const LARGEST: u64 = 1 << 20;

/// The names of the notes, sorted: the same directory makes the same plan everywhere. A link, or a name that not every
/// machine can have, is an error.
fn notes(source: &Source) -> Result<Vec<String>> {
    let found = match source.file() {
        Some(file) => vec![source.resolve(file)?],
        None => source.expand(&["*.txt".into()], &Listing::default())?,
    };
    Ok(found.into_iter().map(|note| note.path).collect())
}

/// What the config says about one note. Its digest is not known yet, so it is a quote of the layer.
fn describe(source: &Source, name: &str, layer: usize) -> Result<Value> {
    let text = source.read(name, LARGEST)?;
    let text = String::from_utf8_lossy(&text);
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

/// What is asked; a question without inputs, when somebody tries the program by hand.
fn question<T: DeserializeOwned>() -> Result<T> {
    let mut text = String::new();
    if !std::io::stdin().is_terminal() {
        std::io::stdin().read_to_string(&mut text)?;
    }
    if text.is_empty() {
        text = json!({ "apiVersion": API_VERSION, "inputs": {} }).to_string();
    }
    artifact::plan::parse(text.as_bytes()).context(|| "malformed question")
}

/// What this type is.
fn about() -> About {
    About {
        api_version: API_VERSION.into(),
        name: "notes".into(),
        description: "Notes, one layer each, with a list of what they say".into(),
        artifact_types: vec![ARTIFACT_TYPE.into()],
        unpacks: true,
    }
}

/// Every note under its name, in a directory.
fn unpack(manifest: &Manifest) -> Unpacking {
    let step = |layer: &Descriptor| {
        let path = format!("notes/{}", layer.title().unwrap_or("untitled.txt"));
        Step { blob: layer.clone(), path, action: Action::Write { mode: 0o644 } }
    };
    Unpacking { steps: manifest.layers.iter().map(step).collect(), warnings: Vec::new() }
}

fn plan(source: &Source) -> Result<Plan> {
    let names = notes(source)?;
    let described: Vec<_> =
        names.iter().enumerate().map(|(index, name)| describe(source, name, index)).collect::<Result<_>>()?;
    let config = Content::Json { value: json!({ "notes": described }), encoding: Encoding::Canonical };
    let config = Part {
        id: "config".into(),
        media_type: "application/vnd.example.notes.config.v1+json".into(),
        content: config,
        annotations: [].into(),
    };
    let manifest = ManifestPlan {
        layers: names.iter().map(|name| layer(name)).collect(),
        artifact_type: Some(ARTIFACT_TYPE.into()),
        ..ManifestPlan::of(config)
    };
    Ok(Plan {
        type_name: "notes".into(),
        root: manifest.into(),
        reference: ReferencePlan::default(),
        warnings: Vec::new(),
        // The source, wherever it is.
        base: ".".into(),
    })
}

fn print(answer: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(answer).map_err(|e| Error::caused(Kind::Internal, "cannot print", e))?;
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["describe"] => print(&about()),
        ["plan", source] => question::<PlanQuestion>().and_then(|_| print(&plan(&Source::open(source)?)?)),
        ["unpack"] => question().and_then(|question: UnpackQuestion| print(&unpack(&question.manifest))),
        _ => Err(Error::invalid("usage: artifact-type-notes describe | plan SOURCE | unpack")),
    }
}
