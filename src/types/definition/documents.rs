//! The section `source.documents`: files that expressions can read.

use jsonschema::{PatternOptions, Validator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{
    deck,
    many::Template,
    texts::{Part, Texts},
    visits,
};
use crate::{
    error::{Error, Result},
    source::{Scalars, Strings},
};

/// Limit of a compiled regular expression, and of what it remembers while it searches, in bytes.
pub(super) const MAX_PATTERN: usize = 256 << 10;

/// A named document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DocumentRule {
    /// Forms with this document [default: all]. In other forms it is blank.
    #[serde(default)]
    pub forms: Vec<String>,
    /// Path of the file.
    pub path: Template,
    /// Archive that holds the file.
    #[serde(default)]
    pub inside: Option<Inside>,
    /// File format.
    #[serde(default)]
    pub format: DocumentFormat,
    /// Rules for unquoted YAML scalars: `strict`, or `go-yaml`, as Go programs read them into typed fields.
    #[serde(default)]
    #[schemars(with = "ScalarsSchema")]
    pub scalars: Scalars,
    /// `printable`: in fields listed in the schema, white space becomes a space and unprintable characters are dropped.
    #[serde(default)]
    #[schemars(with = "StringsSchema")]
    pub strings: Strings,
    /// Default values of missing keys.
    #[serde(default)]
    pub defaults: Map<String, Json>,
    /// JSON Schema for the document; it also defines the names for expressions.
    #[serde(default)]
    pub schema: Option<Json>,
    /// Whether the file may be missing; the document is then blank.
    #[serde(default)]
    pub optional: bool,
}

/// An archive that holds a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inside {
    /// Forms in which the file is in the archive; in other forms it is an ordinary file.
    #[serde(default)]
    pub forms: Vec<String>,
    /// Path of the archive: a tar file, plain or compressed with gzip or zstd. `path` then names the entry.
    pub archive: Template,
    /// Number of leading path components to strip from entry names.
    #[serde(default)]
    pub strip: usize,
}

/// The format of a document.
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
    /// The schema that defines the names; for a deck, the built-in one.
    pub(in crate::types) fn shape(&self) -> Option<&Json> {
        match self.format {
            DocumentFormat::Deck => Some(deck::schema()),
            _ => self.schema.as_ref(),
        }
    }

    /// Collects the texts needed to read this document.
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

    /// The schema validator. It uses linear-time regular expressions and does not fetch references.
    ///
    /// Errors: the schema is invalid; kind `Limit` if it is too much for any document.
    pub(in crate::types) fn validator(&self) -> Result<Option<Validator>> {
        let Some(schema) = &self.schema else { return Ok(None) };
        visits::count(schema, &Json::Null)?;
        let patterns = PatternOptions::regex().size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN);
        let options = jsonschema::draft202012::options().with_pattern_options(patterns);
        let options = options.should_validate_formats(true);
        let options = options.with_format("semver", |text: &str| semver::Version::parse(text).is_ok());
        let built = options.build(schema).map(Some);
        built.map_err(|e| Error::invalid(format!("the schema is invalid: {e}").replace('\n', " ")))
    }
}
