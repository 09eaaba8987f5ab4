//! The section `params`: typed inputs that are not in the source, given as `--set key=value`.

use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::documents::MAX_PATTERN;
use crate::document::nearest;

/// One parameter.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Param {
    /// Type [default: `string`].
    #[serde(rename = "type", default)]
    pub kind: ParamType,
    /// Allowed values.
    #[serde(rename = "enum", default)]
    pub choices: Vec<String>,
    /// Default value.
    #[serde(default)]
    pub default: Option<Json>,
    /// Whether the user must give a value.
    #[serde(default)]
    pub required: bool,
    /// Required format of the text.
    #[serde(default)]
    pub format: Option<ParamFormat>,
    /// A regular expression that the text must match.
    #[serde(default)]
    pub pattern: Option<String>,
    /// Purpose, shown to users.
    #[serde(default)]
    pub description: String,
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParamType {
    /// Text.
    #[default]
    String,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A list of strings, separated by commas.
    Array,
}

/// The required format of a parameter's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ParamFormat {
    /// RFC 3339: `2026-11-22T10:00:00Z`.
    DateTime,
    /// Semantic versioning 2.0.
    Semver,
    /// A media type without parameters.
    MediaType,
}

fn compiled(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN).build()
}

impl Param {
    /// Checks a value of the right type.
    pub(in crate::types) fn check(&self, value: &Json) -> Result<(), String> {
        let texts: Vec<&str> = match value {
            Json::Array(items) => items.iter().filter_map(Json::as_str).collect(),
            other => other.as_str().into_iter().collect(),
        };
        for text in texts {
            self.check_text(text)?;
        }
        Ok(())
    }

    fn check_text(&self, text: &str) -> Result<(), String> {
        if !self.choices.is_empty() && !self.choices.iter().any(|c| c == text) {
            let near = nearest(text, self.choices.iter().map(String::as_str));
            let near = near.map(|n| format!("; did you mean `{n}`")).unwrap_or_default();
            return Err(format!("is not one of `{}`{near}", self.choices.join("`, `")));
        }
        let fits = match self.format {
            Some(ParamFormat::DateTime) => text.parse::<jiff::Timestamp>().is_ok(),
            Some(ParamFormat::Semver) => semver::Version::parse(text).is_ok(),
            Some(ParamFormat::MediaType) => crate::oci::media_type::is_valid(text),
            None => true,
        };
        if !fits {
            let example = match self.format {
                Some(ParamFormat::DateTime) => "a time such as `2026-11-22T10:00:00Z`",
                Some(ParamFormat::Semver) => "a semantic version such as `1.2.3`",
                _ => "a media type such as `application/vnd.example.v1`",
            };
            return Err(format!("is not {example}"));
        }
        if let Some(pattern) = &self.pattern {
            let regex =
                compiled(pattern).map_err(|_| format!("cannot be checked: the pattern `{pattern}` is malformed"))?;
            if !regex.is_match(text) {
                return Err(format!("does not match `{pattern}`"));
            }
        }
        Ok(())
    }

    /// Checks the parameter itself.
    pub(in crate::types) fn lint(&self) -> Result<(), String> {
        if let Some(pattern) = &self.pattern {
            compiled(pattern).map_err(|e| format!("`pattern`: {}", e.to_string().replace('\n', " ")))?;
        }
        let Some(default) = &self.default else { return Ok(()) };
        let fits = match self.kind {
            ParamType::String => default.is_string(),
            ParamType::Boolean => default.is_boolean(),
            ParamType::Integer => default.is_i64(),
            ParamType::Number => default.is_number(),
            ParamType::Array => default.as_array().is_some_and(|a| a.iter().all(Json::is_string)),
        };
        if !fits {
            return Err("`default` does not have the parameter's type".into());
        }
        self.check(default).map_err(|why| format!("`default` {why}"))
    }
}
