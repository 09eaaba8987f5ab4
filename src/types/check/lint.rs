//! Errors and warnings about a definition, found without a source.

use super::{names, placed::Placed};
use crate::{
    document::nearest,
    error::Result,
    oci::media_type,
    types::{
        definition::{
            Definition,
            detect::Detect,
            texts::{Part, Text},
        },
        language::{expr::Engine, syntax::is_template},
    },
};

/// Limit of sets, of documents, of parts, of variables and of parameters: each is read while those before it are at hand.
const MAX_PARTS: usize = 500;

/// An error or warning about a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The place: `file:line:column`.
    pub place: String,
    /// Whether it is an error, which makes the definition invalid.
    pub error: bool,
    /// The message.
    pub message: String,
}

/// All findings about a definition. Errors: it cannot be parsed.
pub fn lint(text: &str, origin: &str) -> Result<Vec<Finding>> {
    let placed = Placed::read(text, origin)?;
    let mut findings = errors(&placed, &Engine::new());
    findings.extend(warnings(&placed));
    Ok(findings)
}

/// The errors in a definition. Afterwards `engine` holds its compiled expressions.
pub(in crate::types) fn errors(placed: &Placed, engine: &Engine) -> Vec<Finding> {
    let definition = &placed.definition;
    let mut found = Vec::new();
    basics(definition, &mut found);
    sections(definition, &mut found);
    references(definition, &mut found);
    literals(definition, &mut found);
    found.extend(names::check(definition, engine));
    placed_findings(placed, found, true)
}

fn placed_findings(placed: &Placed, found: Vec<(String, String)>, error: bool) -> Vec<Finding> {
    let finding =
        |(pointer, message): (String, String)| Finding { place: placed.document.place(&pointer), error, message };
    found.into_iter().map(finding).collect()
}

type Found = Vec<(String, String)>;

fn put_error(found: &mut Found, pointer: impl Into<String>, result: Result<()>) {
    if let Err(error) = result {
        found.push((pointer.into(), error.message().to_owned()));
    }
}

fn basics(definition: &Definition, found: &mut Found) {
    if definition.kind != "ArtifactType" {
        found.push(("/kind".into(), "`kind` must be `ArtifactType`".into()));
    }
    put_error(found, "/metadata/name", definition.metadata.check());
    put_error(found, "/requires", definition.requires.check());
    put_error(found, "/accept/annotations", definition.accept.check());
    for (name, param) in &definition.params {
        if let Err(why) = param.lint() {
            found.push((format!("/params/{name}"), why));
        }
    }
    for (i, rule) in definition.detect.iter().enumerate() {
        put_error(found, format!("/detect/{i}"), rule.check());
    }
}

fn parts(definition: &Definition, found: &mut Found) {
    let source = &definition.source;
    let (sets, documents) = (source.sets.len(), source.documents.len());
    for (at, count) in [
        ("/source/sets", sets),
        ("/source/documents", documents),
        ("/source/parts", source.parts.len()),
        ("/vars", definition.vars.len()),
        ("/params", definition.params.len()),
    ] {
        if count > MAX_PARTS {
            found.push((at.into(), format!("there are {count}; the limit is {MAX_PARTS}")));
        }
    }
}

fn sections(definition: &Definition, found: &mut Found) {
    parts(definition, found);
    for (name, set) in &definition.source.sets {
        put_error(found, format!("/source/sets/{name}"), set.check());
    }
    for (name, parts) in &definition.source.parts {
        put_error(found, format!("/source/parts/{name}"), parts.check());
    }
    for (name, document) in &definition.source.documents {
        let at = format!("/source/documents/{name}");
        if names::RESERVED.contains(&name.as_str()) {
            found.push((at.clone(), format!("a document cannot have the reserved name `{name}`")));
        }
        put_error(found, format!("{at}/schema"), document.validator().map(drop));
    }
    for (i, layer) in definition.layers.items.iter().enumerate() {
        put_error(found, format!("/layers/items/{i}"), layer.check());
    }
    for (i, config) in definition.config.0.iter().enumerate() {
        put_error(found, definition.config_at(i), config.check());
    }
    for (view, rules) in [("native", &definition.unpack.native), ("tree", &definition.unpack.tree)] {
        for (i, rule) in rules.iter().enumerate() {
            put_error(found, format!("/unpack/{view}/{i}"), rule.check());
        }
    }
}

/// Checks the names of sets, documents, forms and roles that other sections define.
fn references(definition: &Definition, found: &mut Found) {
    for (at, text) in definition.all_texts() {
        let Text::Name(part, name) = text else { continue };
        let (what, known) = defined(definition, part);
        if !known.contains(&name) {
            let near = nearest(name, known).map(|n| format!("; did you mean `{n}`")).unwrap_or_default();
            found.push((at, format!("{what} `{name}` does not exist{near}")));
        }
    }
}

/// The word for a kind of part, and the defined names.
fn defined(definition: &Definition, part: Part) -> (&'static str, Vec<&str>) {
    match part {
        Part::Set => ("the set", definition.source.sets.keys().map(String::as_str).collect()),
        Part::Document => ("the document", definition.source.documents.keys().map(String::as_str).collect()),
        Part::Form => ("the form", definition.forms()),
        Part::Role => ("the role", definition.accept.layers.keys().map(String::as_str).chain(["*"]).collect()),
    }
}

/// The literal media types.
fn media_types(definition: &Definition) -> impl Iterator<Item = (String, &str)> {
    definition.all_texts().filter_map(|(at, text)| match text {
        Text::MediaType(own) if !is_template(own) => Some((at, own)),
        _ => None,
    })
}

fn literals(definition: &Definition, found: &mut Found) {
    for (at, media_type) in media_types(definition) {
        if !media_type::is_valid(media_type) {
            found.push((at, format!("`{media_type}` is not a media type (RFC 6838)")));
        }
    }
}

fn warnings(placed: &Placed) -> Vec<Finding> {
    let definition = &placed.definition;
    let mut found = Vec::new();
    for (at, media_type) in media_types(definition) {
        if media_type.contains("/x-") || media_type.contains("/x.") {
            found.push((at, format!("`{media_type}` is unregistered; use a `vnd.` name")));
        }
    }
    unreachable(definition, &mut found);
    unpackable(definition, &mut found);
    produced(definition, &mut found);
    placed_findings(placed, found, false)
}

/// Warns of unreachable forms: their rule repeats the conditions of an earlier one.
fn unreachable(definition: &Definition, found: &mut Found) {
    for (i, rule) in definition.detect.iter().enumerate() {
        let above = definition.detect.iter().take(i);
        let same =
            |other: &&Detect| (&other.file, &other.dir) == (&rule.file, &rule.dir) && other.explicit <= rule.explicit;
        if above.filter(|o| o.fallback == rule.fallback).any(|o| same(&o)) {
            found.push((
                format!("/detect/{i}"),
                format!("the form `{}` is unreachable: an earlier rule has the same conditions", rule.form),
            ));
        }
    }
    if definition.detect.is_empty() {
        found.push(("".into(), "`detect` is missing: no source can have this type".into()));
    }
}

/// Warns of layers that are packed but never unpacked.
fn unpackable(definition: &Definition, found: &mut Found) {
    let unpack = &definition.unpack;
    let rules = || unpack.native.iter().chain(&unpack.tree).filter_map(|r| r.layer.as_deref());
    for (i, layer) in definition.layers.items.iter().enumerate() {
        let has_rules = rules().next().is_some();
        let taken = rules().any(|r| r == "*" || r == layer.id);
        let titled = layer.title.is_some() || layer.annotations.contains_key(crate::oci::annotation::TITLE);
        if (has_rules && !taken) || (!has_rules && !titled) {
            found.push((format!("/layers/items/{i}"), format!("no rule in `unpack` covers the layer `{}`", layer.id)));
        }
    }
}

/// Warns of media types that are packed but not recognised.
fn produced(definition: &Definition, found: &mut Found) {
    let accept = &definition.accept;
    let literal = |m: &str| !is_template(m);
    if let Some(own) = definition.manifest.artifact_type.as_ref().filter(|t| literal(&t.0))
        && !accept.artifact_types.0.contains(&own.0)
    {
        found.push(("/manifest/artifactType".into(), format!("`accept` does not list the artifact type `{}`", own.0)));
    }
    for (i, config) in definition.config.0.iter().enumerate() {
        let own = config.media_type.as_ref().filter(|m| literal(&m.0));
        if let Some(own) = own.filter(|own| !accept.config.0.contains(&own.0)) {
            found.push((
                format!("{}/mediaType", definition.config_at(i)),
                format!("`accept` does not list the config media type `{}`", own.0),
            ));
        }
    }
    for (i, layer) in definition.layers.items.iter().enumerate().filter(|_| !accept.layers.is_empty()) {
        let own = layer.media_type.as_ref().filter(|m| literal(&m.0));
        let knows = |own: &str| {
            accept.layers.values().any(|r| r.media_types.is_empty() || r.media_types.0.iter().any(|m| m == own))
        };
        if let Some(own) = own.filter(|own| !knows(&own.0)) {
            found.push((
                format!("/layers/items/{i}/mediaType"),
                format!("no role of `accept` covers the layer media type `{}`", own.0),
            ));
        }
    }
}
