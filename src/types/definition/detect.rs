//! The section `detect`: detects sources of a type.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::many::Many;
use crate::{
    error::{Error, Result},
    glob::Globs,
    source::{Magic, relative_globs},
};

/// A detection rule; all its conditions must hold. It gives the source its form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Detect {
    /// Name of the form, such as `archive` or `tree`.
    pub form: String,
    /// Conditions for a file.
    #[serde(default)]
    pub file: Option<FileTest>,
    /// Conditions for a directory.
    #[serde(default)]
    pub dir: Option<DirTest>,
    /// Applies only if the user names the type.
    #[serde(default)]
    pub explicit: bool,
    /// Applies only if no other type fits.
    #[serde(default)]
    pub fallback: bool,
}

/// Conditions for a file; all must hold, and at least one item of each list.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileTest {
    /// File names. A malformed file with such a name is an error.
    #[serde(default)]
    pub name: Many<String>,
    /// Globs for the file name.
    #[serde(default)]
    pub glob: Many<String>,
    /// Keys of a YAML document. A value is a glob for a scalar (`*`: anything but null), or a list of globs for a list,
    /// of which every item must match one.
    #[serde(default)]
    pub yaml: Map<String, Json>,
    /// Keys of a JSON document, in the format of `yaml`.
    #[serde(default)]
    pub json: Map<String, Json>,
    /// File format by its first bytes.
    #[serde(default)]
    pub magic: Option<Magic>,
    /// Glob for an entry of a tar archive, plain or compressed.
    #[serde(default)]
    pub contains: Option<String>,
    /// Markdown with front matter that looks like a deck: several slides, or a key that `slides` knows.
    #[serde(default)]
    pub front_matter: bool,
}

/// Conditions for a directory.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DirTest {
    /// Globs, of which one must match something in the directory.
    #[serde(default)]
    pub contains: Many<String>,
}

impl Detect {
    /// Errors: neither `file` nor `dir`, or both; a malformed glob.
    pub(in crate::types) fn check(&self) -> Result<()> {
        match (&self.file, &self.dir) {
            (Some(file), None) => file.check(),
            (None, Some(dir)) => relative_globs(&dir.contains.0).map(|_| ()),
            _ => Err(Error::invalid("a rule needs either `file` or `dir`")),
        }
    }
}

impl FileTest {
    /// Errors: a malformed glob.
    fn check(&self) -> Result<()> {
        relative_globs(&self.glob.0)?;
        relative_globs(self.contains.as_slice())?;
        self.yaml.values().chain(self.json.values()).try_for_each(check_pattern)
    }
}

/// Errors: a malformed glob in the pattern for a value.
fn check_pattern(pattern: &Json) -> Result<()> {
    match pattern {
        Json::String(glob) => Globs::for_text(glob).map(|_| ()),
        Json::Array(patterns) => patterns.iter().try_for_each(check_pattern),
        _ => Ok(()),
    }
}
