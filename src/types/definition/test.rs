//! The section `tests`: sources written out, with what they must become.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// A source, and what it must become.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestCase {
    /// What is shown, a sentence.
    pub name: String,
    /// The files of a directory, by relative path.
    pub files: BTreeMap<String, String>,
    /// The file or directory in it that is the source; the directory itself when nothing is said.
    #[serde(default)]
    pub source: Option<String>,
    /// Parameters, as text.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// The time that counts as now, in seconds since 1970.
    #[serde(default)]
    pub now: Option<i64>,
    /// Parts of the plan that must be there: objects may have other keys, lists may not have other items.
    #[serde(default)]
    pub expect: Map<String, Json>,
    /// The digest of the plan as canonical JSON, its `base` left out.
    #[serde(default)]
    pub plan_digest: Option<String>,
    /// Instead: a part of the message of the error that it must be.
    #[serde(default)]
    pub error: Option<String>,
}
