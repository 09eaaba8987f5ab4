//! The section `source.documents`: files that are read, not only packed.

use jsonschema::PatternOptions;
use minijinja::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::reading::Reading;
use crate::{
    error::{Error, Kind, Result},
    source::{self, Document, Options, Scalars, Strings},
    types::{
        definition::{
            many::Template,
            texts::{Part, Texts},
        },
        language::values,
        probe::deck,
    },
};

/// A named document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DocumentRule {
    /// The forms that have it; all when nothing is said. In the others it is blank.
    #[serde(default)]
    pub forms: Vec<String>,
    /// Its file.
    pub path: Template,
    /// Take the file from inside an archive.
    #[serde(default)]
    pub inside: Option<Inside>,
    /// How it is written.
    #[serde(default)]
    pub format: DocumentFormat,
    /// What unquoted scalars of YAML mean: `strict`, or `go-yaml` as Go programs read them into typed fields.
    #[serde(default)]
    #[schemars(with = "ScalarsSchema")]
    pub scalars: Scalars,
    /// `printable`: white space becomes a space and what does not print is dropped, in the fields the schema lists.
    #[serde(default)]
    #[schemars(with = "StringsSchema")]
    pub strings: Strings,
    /// Values of keys that are missing.
    #[serde(default)]
    pub defaults: Map<String, Json>,
    /// JSON Schema that it must satisfy, and that says which names expressions may use.
    #[serde(default)]
    pub schema: Option<Json>,
    /// Whether the file may be missing; the document is then blank.
    #[serde(default)]
    pub optional: bool,
}

/// An archive to look into.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inside {
    /// The forms in which the file lies in the archive; in the others it is an ordinary file.
    #[serde(default)]
    pub forms: Vec<String>,
    /// The archive: a tar, plain or compressed with gzip or zstd. `path` is then the entry.
    pub archive: Template,
    /// How many leading components of the names of entries are dropped.
    #[serde(default)]
    pub strip: usize,
}

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DocumentFormat {
    /// YAML 1.2.
    #[default]
    Yaml,
    /// JSON.
    Json,
    /// Markdown slides with front matter.
    Deck,
}

/// The schema of [`Scalars`].
#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(dead_code)]
enum ScalarsSchema {
    Strict,
    GoYaml,
}

/// The schema of [`Strings`].
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code)]
enum StringsSchema {
    Keep,
    Printable,
}

/// A document that was read.
#[derive(Debug, Clone)]
pub(super) struct Read {
    pub(super) value: Json,
    /// Where its parts are; decks have none.
    pub(super) document: Option<Document>,
}

impl DocumentRule {
    /// The schema that says which names there are: the deck's own, for a deck.
    pub(in crate::types) fn shape(&self) -> Option<&Json> {
        match self.format {
            DocumentFormat::Deck => Some(deck::schema()),
            _ => self.schema.as_ref(),
        }
    }

    /// The texts that must be known before this document is.
    pub(in crate::types) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.names("forms", Part::Form, &self.forms);
        texts.template("path", &self.path);
        if let Some(inside) = &self.inside {
            texts.part("inside", |texts| {
                texts.names("forms", Part::Form, &inside.forms);
                texts.template("archive", &inside.archive);
            });
        }
    }

    /// Reads the document; `None` when this form has none, or when it is optional and not there.
    pub(super) fn read(&self, reading: &Reading<'_>) -> Result<Option<Read>> {
        if !self.forms.is_empty() && !self.forms.contains(&reading.form) {
            return Ok(None);
        }
        let path = reading.text(&self.path)?;
        if self.format == DocumentFormat::Deck {
            let read = deck::read(&path, reading).map(|value| Some(Read { value, document: None }));
            return read.or_else(|e| if self.optional && e.kind() == Kind::NotFound { Ok(None) } else { Err(e) });
        }
        let bytes = match self.bytes(&path, reading) {
            Err(e) if self.optional && e.kind() == Kind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        let format = if self.format == DocumentFormat::Json { source::Format::Json } else { source::Format::Yaml };
        let options = Options {
            format,
            scalars: self.scalars,
            strings: self.strings,
            schema: self.schema.as_ref(),
            ..Options::default()
        };
        let document = Document::parse(&bytes, &path, &options)?;
        let mut value = document.value.clone();
        self.fill(&mut value);
        if self.scalars == Scalars::GoYaml {
            sort_free(&mut value, self.schema.as_ref());
        }
        self.validate(&value, &document)?;
        Ok(Some(Read { value, document: Some(document) }))
    }

    /// What expressions see.
    pub(super) fn to_value(&self, read: Option<&Read>) -> Value {
        match (read, self.shape()) {
            (Some(read), shape) => values::view(&read.value, shape),
            (None, Some(shape)) => values::blank(Some(shape)),
            (None, None) => values::blank(Some(&serde_json::json!({"type": "object"}))),
        }
    }

    fn bytes(&self, path: &str, reading: &Reading<'_>) -> Result<Vec<u8>> {
        match &self.inside {
            Some(inside) if inside.forms.is_empty() || inside.forms.contains(&reading.form) => {
                let archive = reading.source.archive(&reading.text(&inside.archive)?, inside.strip)?;
                archive.read(path, source::DOCUMENT_LIMIT)
            }
            _ => reading.source.read(path, source::DOCUMENT_LIMIT),
        }
    }

    fn fill(&self, value: &mut Json) {
        let Some(map) = value.as_object_mut() else { return };
        for (key, default) in &self.defaults {
            if map.get(key).is_none_or(|v| v.is_null() || v == "") {
                map.insert(key.clone(), default.clone());
            }
        }
    }

    fn validate(&self, value: &Json, document: &Document) -> Result<()> {
        let Some(schema) = &self.schema else { return Ok(()) };
        let validator = compile(schema)?;
        match validator.iter_errors(value).next() {
            None => Ok(()),
            Some(error) => {
                let pointer = error.instance_path().to_string();
                let mut message = error.to_string().replace('\n', " ");
                if message.len() > 300 {
                    let cut = (0..=300).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
                    message.truncate(cut);
                    message.push('…');
                }
                let field = if pointer.is_empty() { String::new() } else { format!("`{pointer}`: ") };
                Err(Error::invalid(format!("{field}{message}")).context(document.place(&pointer)))
            }
        }
    }
}

/// Sorts the keys of maps whose keys the schema does not list: such a map is a Go map, and Go writes those sorted.
fn sort_free(value: &mut Json, schema: Option<&Json>) {
    match value {
        Json::Array(items) => {
            let schema = schema.and_then(|s| s.get("items"));
            items.iter_mut().for_each(|item| sort_free(item, schema));
        }
        Json::Object(map) => {
            let listed = schema.and_then(|s| s.get("properties"));
            if listed.is_none() {
                map.sort_keys();
            }
            for (key, value) in map {
                sort_free(value, listed.and_then(|l| l.get(key)));
            }
        }
        _ => {}
    }
}

/// A validator that runs linear regular expressions and fetches nothing.
pub(in crate::types) fn compile(schema: &Json) -> Result<jsonschema::Validator> {
    let mut options = jsonschema::draft202012::options().with_pattern_options(PatternOptions::regex());
    options =
        options.should_validate_formats(true).with_format("semver", |text: &str| semver::Version::parse(text).is_ok());
    options.build(schema).map_err(|e| Error::invalid(format!("the schema is malformed: {e}").replace('\n', " ")))
}
