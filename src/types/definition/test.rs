//! The section `tests`: literal sources with expected results.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// A test: a source and its expected plan or error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestCase {
    /// Name of the test, a sentence.
    pub name: String,
    /// Files by relative path.
    pub files: BTreeMap<String, String>,
    /// Path of the source among the files [default: the directory of all files].
    #[serde(default)]
    pub source: Option<String>,
    /// Parameters as text.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Time for `now`, in seconds since 1970.
    #[serde(default)]
    pub now: Option<i64>,
    /// Expected parts of the plan: objects may have more keys, lists must be equal.
    #[serde(default)]
    pub expect: Map<String, Json>,
    /// Expected digest of the plan as canonical JSON without `base`.
    #[serde(default)]
    pub plan_digest: Option<String>,
    /// Instead of a plan: part of the expected error message.
    #[serde(default)]
    pub error: Option<String>,
}
