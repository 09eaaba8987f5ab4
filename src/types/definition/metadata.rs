//! The sections `metadata` and `requires`: the name of a definition, and the features that it needs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The section `metadata`: names and description.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Name of the type: lower-case letters, digits and hyphens.
    #[schemars(regex(pattern = r"^[a-z0-9]+(-[a-z0-9]+)*$"))]
    pub name: String,
    /// Version of the definition, not of the artifacts.
    #[serde(default)]
    pub version: Option<String>,
    /// Other names of the type.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Description of the type, one sentence.
    #[serde(default)]
    pub description: String,
    /// Programs and versions that the definition was checked against.
    #[serde(default)]
    pub checked_against: Vec<String>,
}

/// The section `requires`: needed features, so that an old program refuses a new definition.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requires {
    /// Native probes with versions, such as `wasm/1`.
    #[serde(default)]
    pub probes: Vec<String>,
    /// Language features beyond `artifact-type/v1`.
    #[serde(default)]
    pub features: Vec<String>,
}

/// Whether `name` is valid: lower-case letters, digits and single hyphens, at most 64 bytes.
pub(in crate::types) fn is_name(name: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    name.len() <= 64 && name.split('-').all(part)
}

impl Metadata {
    /// Errors: an invalid name or alias.
    pub(in crate::types) fn check(&self) -> Result<()> {
        match std::iter::once(&self.name).chain(&self.aliases).find(|name| !is_name(name)) {
            Some(name) => Err(Error::invalid(format!(
                "`{name}` is not a valid name; use lower-case letters, digits and single hyphens, as in `helm-chart`"
            ))),
            None => Ok(()),
        }
    }
}

impl Requires {
    /// Errors: a feature that this program lacks.
    pub(in crate::types) fn check(&self) -> Result<()> {
        match self.probes.iter().map(|p| ("probe", p)).chain(self.features.iter().map(|f| ("feature", f))).next() {
            Some((what, name)) => Err(Error::unsupported(format!("the definition requires the {what} `{name}`"))),
            None => Ok(()),
        }
    }
}
