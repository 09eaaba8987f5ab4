//! The inputs of a type besides the source.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::oci::RefName;

/// The inputs of a type besides the source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Inputs {
    /// Parameters as text: `--set key=value`.
    pub set: BTreeMap<String, String>,
    /// Annotations of the manifest; they override those of the definition.
    pub annotations: BTreeMap<String, String>,
    /// The current time in seconds since 1970; if `None`, nothing is dated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<i64>,
    /// The destination, if the user gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
}

/// The destination of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reference {
    /// The repository: `registry.example/charts/web`.
    pub repository: String,
    /// The tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<RefName>,
}
