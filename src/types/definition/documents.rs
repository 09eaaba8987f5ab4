//! The section `source.documents`: files that are read, not only packed.

use jsonschema::{PatternOptions, Validator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{
    deck,
    many::Template,
    texts::{Part, Texts},
};
use crate::{
    error::{Error, Result},
    source::{Scalars, Strings},
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

    /// What checks the document by its schema: it runs linear regular expressions and fetches nothing.
    ///
    /// Errors: the schema is malformed.
    pub(in crate::types) fn validator(&self) -> Result<Option<Validator>> {
        let Some(schema) = &self.schema else { return Ok(None) };
        let options = jsonschema::draft202012::options().with_pattern_options(PatternOptions::regex());
        let options = options.should_validate_formats(true);
        let options = options.with_format("semver", |text: &str| semver::Version::parse(text).is_ok());
        let built = options.build(schema).map(Some);
        built.map_err(|e| Error::invalid(format!("the schema is malformed: {e}").replace('\n', " ")))
    }
}
