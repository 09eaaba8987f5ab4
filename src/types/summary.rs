//! What a type takes, makes, accepts and unpacks, in words for people.
//!
//! The words are those of the definition; templates and expressions stay as they are written. How they are laid out is
//! not decided here.

use serde_json::Value as Json;

use super::{
    artifact_type::ArtifactType,
    definition::{
        Definition,
        accept::{Accept, OtherLayers, Role},
        config::Config,
        layers::Layer,
        many::Template,
        params::{Param, ParamFormat, ParamType},
        unpack::Rule,
    },
};
use crate::oci::media_type;

/// A section of a summary.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Section {
    /// What the rows are: `takes`, `parameters`, `makes`, `layers`, `accepts` or `unpacks`.
    pub title: &'static str,
    /// A name and what there is to say about it, one fact a line. A name may be in several rows.
    pub rows: Vec<(String, String)>,
}

impl ArtifactType {
    /// What this type takes, makes, accepts and unpacks, in words for people. Sections without content are left out.
    #[must_use]
    pub fn summary(&self) -> Vec<Section> {
        let definition = self.definition();
        let sections = [
            ("takes", takes(definition)),
            ("parameters", definition.params.iter().map(|(name, param)| (name.clone(), param.summary())).collect()),
            ("makes", makes(definition)),
            ("layers", definition.layers.items.iter().map(|layer| (layer.id.clone(), layer.summary())).collect()),
            ("accepts", accepts(&definition.accept)),
            ("unpacks", unpacks(definition)),
        ];
        let sections = sections.into_iter().filter(|(_, rows)| !rows.is_empty());
        sections.map(|(title, rows)| Section { title, rows }).collect()
    }
}

fn takes(definition: &Definition) -> Vec<(String, String)> {
    let rule = definition.detect.iter().map(|rule| {
        let only = match (rule.explicit, rule.fallback) {
            (true, _) => ", only if the type is named",
            (_, true) => ", only if no other type fits",
            _ => "",
        };
        (rule.form.clone(), format!("{}{only}", rule.describe()))
    });
    rule.collect()
}

fn makes(definition: &Definition) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    if let Some(index) = &definition.index {
        rows.push(("index".into(), format!("one manifest for each member of `{}`", index.each)));
    }
    rows.extend(definition.manifest.artifact_type.iter().map(|Template(text)| ("artifact type".into(), text.clone())));
    rows.extend(definition.config.0.iter().map(|config| ("config".into(), config.summary())));
    rows
}

fn accepts(accept: &Accept) -> Vec<(String, String)> {
    let claims = accept.claims().into_iter().map(|(what, text)| (what.to_owned(), text.to_owned()));
    let annotations = accept.annotations.iter().map(|(key, glob)| ("annotation".into(), format!("{key}={glob}")));
    let roles = accept.layers.iter().map(|(name, role)| (format!("layer `{name}`"), role.summary()));
    let others = match accept.other_layers {
        _ if accept.layers.is_empty() => None,
        OtherLayers::Ignore => Some("are left out"),
        OtherLayers::Keep => Some("are kept"),
        OtherLayers::Error => Some("are an error"),
    };
    let others = others.map(|what| ("other layers".to_owned(), what.to_owned()));
    claims.chain(annotations).chain(roles).chain(others).collect()
}

fn unpacks(definition: &Definition) -> Vec<(String, String)> {
    let (native, tree) = (&definition.unpack.native, &definition.unpack.tree);
    let rows = |view: &'static str, rules: &[Rule]| -> Vec<(String, String)> {
        rules.iter().map(|rule| (view.to_owned(), rule.summary())).collect()
    };
    match (native.is_empty(), tree.is_empty()) {
        (true, true) => vec![("native, tree".into(), "all layers with a title\nfile or directory: the title".into())],
        (true, false) => rows("native, tree", tree),
        (false, true) => rows("native, tree", native),
        (false, false) => [rows("native", native), rows("tree", tree)].concat(),
    }
}

impl Param {
    fn summary(&self) -> String {
        let kind = match self.kind {
            ParamType::String => "string",
            ParamType::Boolean => "boolean: `true` or `false`",
            ParamType::Integer => "integer",
            ParamType::Number => "number",
            ParamType::Array => "array: `A,B`",
        };
        let format = self.format.map(|format| match format {
            ParamFormat::DateTime => "a time such as `2026-11-22T10:00:00Z`".to_owned(),
            ParamFormat::Semver => "a semantic version".to_owned(),
            ParamFormat::MediaType => "a media type".to_owned(),
        });
        let choices = (!self.choices.is_empty()).then(|| format!("one of `{}`", self.choices.join("`, `")));
        let pattern = self.pattern.as_ref().map(|pattern| format!("matches `{pattern}`"));
        let default = match &self.default {
            Some(default) => Some(format!("default `{}`", as_given(default))),
            None => self.required.then(|| "required".to_owned()),
        };
        let facts = [Some(kind.to_owned()), format, choices, pattern, default];
        let facts = facts.into_iter().flatten().collect::<Vec<_>>().join("; ");
        if self.description.is_empty() { facts } else { format!("{}\n{facts}", self.description) }
    }
}

/// A default as it would be given on the command line.
fn as_given(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(items) => items.iter().map(as_given).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

impl Config {
    fn summary(&self) -> String {
        let given = self.media_type.as_ref().map_or(media_type::EMPTY, |Template(text)| text);
        format!("{}{}", if self.empty { media_type::EMPTY } else { given }, in_forms(&self.forms))
    }
}

impl Layer {
    /// The content and its forms; then condition, media type, title.
    fn summary(&self) -> String {
        let sets = |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let each = sets(&self.each.0);
        let content = match (&self.raw, &self.tar, &self.text) {
            (Some(set), ..) => format!("the file of `{set}`"),
            (_, Some(tar), _) => format!("a tar of `{}`", tar.set),
            (.., Some(_)) => "a text".into(),
            _ => "the file".into(),
        };
        let content = match (each.is_empty(), content.as_str()) {
            (true, _) => content,
            (_, "the file") => format!("each file of {each}"),
            _ => format!("{content}, for each file of {each}"),
        };
        let default = match (&self.tar, &self.text) {
            (Some(_), _) => "that of an OCI tar layer",
            (_, Some(_)) => "text/plain",
            _ => "that of the file's name",
        };
        let media_type = self.media_type.as_ref().map_or(default, |Template(text)| text);
        let mut facts = vec![format!("{content}{}", in_forms(&self.forms))];
        facts.extend(self.when.as_ref().map(|when| format!("if: {}", when.0)));
        facts.push(format!("media type: {media_type}"));
        facts.extend(self.compress.as_ref().map(|Template(text)| format!("compression: {text}")));
        facts.extend(self.title.as_ref().map(|Template(text)| format!("title: {text}")));
        facts.join("\n")
    }
}

fn in_forms(forms: &[String]) -> String {
    if forms.is_empty() { String::new() } else { format!(" ({})", forms.join(", ")) }
}

impl Role {
    fn summary(&self) -> String {
        let number = match self.count.to_string().as_str() {
            "0.." => "any number".to_owned(),
            count => count.to_owned(),
        };
        let types = self.media_types.0.iter().cloned();
        let annotations = self.annotation.iter().map(|(key, value)| format!("{key}={value}"));
        [number].into_iter().chain(types).chain(annotations).collect::<Vec<_>>().join("\n")
    }
}

impl Rule {
    fn summary(&self) -> String {
        let what = match self.layer.as_deref() {
            None => "the config".to_owned(),
            Some("*") => "all layers".to_owned(),
            Some(role) => format!("layer `{role}`"),
        };
        let text = |template: &Option<Template>| template.as_ref().map_or(".", |Template(text)| text).to_owned();
        let deed = match &self.extract {
            Some(extract) => format!("{what}, extracted\ndirectory: {}", text(&extract.to)),
            None => format!("{what}\nfile: {}", text(&self.write)),
        };
        self.when.iter().fold(deed, |deed, when| format!("{deed}\nif: {}", when.0))
    }
}
