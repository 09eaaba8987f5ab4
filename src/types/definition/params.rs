//! The section `params`: typed inputs that are not in the source, given as `--set key=value`.

use std::collections::BTreeMap;

use minijinja::Value;
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{
    document::nearest,
    error::{Code, Error, Result},
    types::language::values,
};

/// Longest value of a parameter, in bytes.
const MAX_VALUE: usize = 64 << 10;

/// One parameter.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Param {
    /// Its type; `string` when nothing is said.
    #[serde(rename = "type", default)]
    pub kind: ParamType,
    /// The values it may have.
    #[serde(rename = "enum", default)]
    pub choices: Vec<String>,
    /// Its value when none is given.
    #[serde(default)]
    pub default: Option<Json>,
    /// Whether a value must be given.
    #[serde(default)]
    pub required: bool,
    /// What the text must look like.
    #[serde(default)]
    pub format: Option<ParamFormat>,
    /// A regular expression that the text must match.
    #[serde(default)]
    pub pattern: Option<String>,
    /// What it is for.
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

/// What the text of a parameter must look like.
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

impl Param {
    /// The value that this text stands for. Errors say what is expected.
    fn parse(&self, text: &str) -> Result<Json, String> {
        if text.len() > MAX_VALUE {
            return Err(format!("has {} bytes; {MAX_VALUE} are allowed", text.len()));
        }
        let value = match self.kind {
            ParamType::String => Json::String(text.into()),
            ParamType::Boolean => match text {
                "true" => Json::Bool(true),
                "false" => Json::Bool(false),
                _ => return Err("is neither `true` nor `false`".into()),
            },
            ParamType::Integer => text.parse::<i64>().map(Json::from).map_err(|_| "is not a whole number")?,
            ParamType::Number => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Json::from(number),
                _ => return Err("is not a number".into()),
            },
            ParamType::Array => text.split(',').map(str::trim).filter(|s| !s.is_empty()).collect(),
        };
        self.check(&value)?;
        Ok(value)
    }

    /// What is wrong with a value of the right type.
    fn check(&self, value: &Json) -> Result<(), String> {
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
            let regex = Regex::new(pattern).map_err(|_| format!("cannot be checked: `{pattern}` is malformed"))?;
            if !regex.is_match(text) {
                return Err(format!("does not match `{pattern}`"));
            }
        }
        Ok(())
    }

    /// What is wrong with the parameter itself.
    pub(in crate::types) fn lint(&self) -> Result<(), String> {
        if let Some(pattern) = &self.pattern {
            Regex::new(pattern).map_err(|e| format!("`pattern`: {}", e.to_string().replace('\n', " ")))?;
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
            return Err("`default` is not of the type of the parameter".into());
        }
        self.check(default).map_err(|why| format!("`default` {why}"))
    }
}

/// The value of every parameter, given or default; one that has neither is blank.
///
/// Errors: a key that is no parameter, with the nearest one; a value that does not fit; a required one missing.
pub(in crate::types) fn values(
    params: &BTreeMap<String, Param>,
    set: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Json>> {
    if let Some(key) = set.keys().find(|key| !params.contains_key(*key)) {
        let near = nearest(key, params.keys().map(String::as_str)).map(|n| format!("; did you mean `{n}`"));
        let near = near.unwrap_or_else(|| match params.is_empty() {
            true => "; the type has none".into(),
            false => format!("; there are `{}`", params.keys().cloned().collect::<Vec<_>>().join("`, `")),
        });
        let message = format!("there is no parameter `{key}`{near}");
        return Err(Error::misuse(message).with_code(Code::NoSuchParameter).with_name(key));
    }
    let mut values = BTreeMap::new();
    for (name, param) in params {
        let value = match set.get(name) {
            Some(text) => {
                param.parse(text).map_err(|why| Error::misuse(format!("parameter `{name}`: `{text}` {why}")))?
            }
            None if param.required && param.default.is_none() => {
                return Err(Error::misuse(format!("parameter `{name}` must be given: {}", param.description)));
            }
            None => param.default.clone().unwrap_or(Json::Null),
        };
        values.insert(name.clone(), value);
    }
    Ok(values)
}

/// The parameters as expressions see them.
pub(in crate::types) fn to_value(params: &BTreeMap<String, Param>, values: &BTreeMap<String, Json>) -> Value {
    Value::from_pairs(values.iter().map(|(name, value)| {
        let array = params.get(name).is_some_and(|p| p.kind == ParamType::Array);
        let schema = array.then(|| serde_json::json!({"type": "array"}));
        (name.clone(), values::view(value, schema.as_ref()))
    }))
}
