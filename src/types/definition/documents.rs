//! The section `source.documents`: files that expressions can read.

use jsonschema::{PatternOptions, Validator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{
    deck,
    many::Template,
    sets::SetLimits,
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
    /// Set that the file must be in, in the forms of the set: ignore rules may leave it out.
    #[serde(default)]
    pub set: Option<String>,
    /// File format.
    #[serde(default)]
    pub format: DocumentFormat,
    /// Rules for unquoted YAML scalars: `strict`, or `go-yaml`, as Go programs read them into typed fields.
    #[serde(default)]
    #[schemars(with = "ScalarsSchema")]
    pub scalars: Scalars,
    /// `printable`: in fields listed in the schema, white space becomes a space and unprintable characters are dropped,
    /// except where the schema has `x-verbatim: true`.
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
    /// Forms in which a key may come again, and a second document, with a warning: as in Go, the last key and the first
    /// document count. In a part that is in an archive, they always may.
    #[serde(default)]
    pub repeated: Vec<String>,
    /// Size limit in bytes [default: 1048576].
    #[serde(default)]
    pub limit: Option<u64>,
    /// Only checked: the document is blank in expressions.
    #[serde(default)]
    pub check_only: bool,
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
    /// Size limits of the content.
    #[serde(default)]
    pub limits: SetLimits,
}

impl Inside {
    /// Collects the texts needed to open this archive.
    pub(in crate::types) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.names("forms", Part::Form, &self.forms);
        texts.template("archive", &self.archive);
    }
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
            texts.part("inside", |texts| inside.texts(texts));
        }
        texts.names("set", Part::Set, &self.set);
        texts.names("repeated", Part::Form, &self.repeated);
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
        let options = options.with_format("version", is_version);
        let built = options.build(schema).map(Some);
        built.map_err(|e| Error::invalid(format!("the schema is invalid: {e}").replace('\n', " ")))
    }
}

/// Whether this is a version as Helm reads one: as a semantic version, but with an optional `v` and without the rules
/// about what is missing behind the first number and about leading zeros. Numbers have 64 bits.
fn is_version(text: &str) -> bool {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
    let (numbers, before) = text.split_once('-').map_or((text, None), |(text, before)| (text, Some(before)));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let padded = |part: &str| part.len() > 1 && part.starts_with('0') && digits(part);
    numbers.split('.').count() <= 3
        && numbers.split('.').all(|part| digits(part) && part.parse::<u64>().is_ok())
        && before.is_none_or(|before| before.split('.').all(|part| word(part) && !padded(part)))
        && build.is_none_or(|build| build.split('.').all(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_may_be_short_and_may_not_break_the_rules_of_its_parts() {
        for (text, yes) in [
            ("1", true),
            ("v1.2", true),
            ("01.002.3", true),
            ("1.2.3-alpha.1+build.5", true),
            ("1.2.3+001", true),
            ("1.2-rc-1", true),
            ("1.2.3--", true),
            ("18446744073709551615.0.0", true),
            ("18446744073709551616.0.0", false),
            ("1.2.3-01", false),
            ("1.2.3-a..b", false),
            ("1.2.3-", false),
            ("1.2.3+", false),
            ("1.2.3+a_b", false),
            ("1.2.3.4", false),
            ("1.", false),
            ("V1", false),
            ("latest", false),
            ("1.2.3 ", false),
            ("", false),
        ] {
            assert_eq!(is_version(text), yes, "{text}");
        }
    }
}
