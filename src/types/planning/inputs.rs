//! What a type is given beside the source.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::oci::RefName;

/// What a type is given beside the source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Inputs {
    /// Parameters, as text: `--set key=value`.
    pub set: BTreeMap<String, String>,
    /// Annotations of the manifest; they win over those of the definition.
    pub annotations: BTreeMap<String, String>,
    /// The time that counts as now, in seconds since 1970. Nothing is dated when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<i64>,
    /// Where the artifact will go, as far as the user has said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
}

/// Where an artifact will go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reference {
    /// The repository: `registry.example/charts/web`.
    pub repository: String,
    /// The tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<RefName>,
}
