//! The sections `metadata` and `requires`: what a definition is called, and what it needs of this program.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The section `metadata`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// The type's name: lower-case letters, digits and hyphens.
    #[schemars(regex(pattern = r"^[a-z0-9]+(-[a-z0-9]+)*$"))]
    pub name: String,
    /// Version of the definition, not of what it packs.
    #[serde(default)]
    pub version: Option<String>,
    /// Other names that the type can be called by.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// What it packs, in one sentence.
    #[serde(default)]
    pub description: String,
    /// Programs and versions that its facts were checked against.
    #[serde(default)]
    pub checked_against: Vec<String>,
}

/// The section `requires`: an old program refuses a new definition instead of packing something else.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requires {
    /// Native fact finders, each with its version: `wasm/1`.
    #[serde(default)]
    pub probes: Vec<String>,
    /// Features of the language beyond `artifact-type/v1`.
    #[serde(default)]
    pub features: Vec<String>,
}

/// Whether this is a name: lower-case letters, digits and single hyphens, at most 64 bytes.
pub(in crate::types) fn is_name(name: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    name.len() <= 64 && name.split('-').all(part)
}

impl Metadata {
    /// An error unless name and aliases are names.
    pub(in crate::types) fn check(&self) -> Result<()> {
        match std::iter::once(&self.name).chain(&self.aliases).find(|name| !is_name(name)) {
            Some(name) => Err(Error::invalid(format!("`{name}` is not a name such as `helm-chart`"))),
            None => Ok(()),
        }
    }
}

impl Requires {
    /// An error that names what this program does not have.
    pub(in crate::types) fn check(&self) -> Result<()> {
        match self.probes.iter().map(|p| ("probe", p)).chain(self.features.iter().map(|f| ("feature", f))).next() {
            Some((what, name)) => Err(Error::unsupported(format!("the definition requires the {what} `{name}`"))),
            None => Ok(()),
        }
    }
}
