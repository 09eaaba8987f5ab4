//! The section `detect`: how sources of a type are told from others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::many::Many;
use crate::{
    error::{Error, Result},
    source::Magic,
};

/// A way to know a source; all that it says must hold. It names the form that the source then has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Detect {
    /// The form: `archive`, `tree`.
    pub form: String,
    /// The source is a file.
    #[serde(default)]
    pub file: Option<FileTest>,
    /// The source is a directory.
    #[serde(default)]
    pub dir: Option<DirTest>,
    /// Only when the user names the type.
    #[serde(default)]
    pub explicit: bool,
    /// Only when no other type fits.
    #[serde(default)]
    pub fallback: bool,
}

/// What is asked of a file; all of it must hold, of each list one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileTest {
    /// Its name is one of these. A file of this name that cannot be read as what it should be is an error.
    #[serde(default)]
    pub name: Many<String>,
    /// Its name matches one of these globs.
    #[serde(default)]
    pub glob: Many<String>,
    /// It is a YAML document with these keys. A value is a glob that a scalar matches (`*`: anything but null), or a list
    /// of globs: a list of which every item matches one.
    #[serde(default)]
    pub yaml: Map<String, Json>,
    /// The same for JSON.
    #[serde(default)]
    pub json: Map<String, Json>,
    /// What it is by its first bytes.
    #[serde(default)]
    pub magic: Option<Magic>,
    /// It is a tar archive, plain or compressed, that holds an entry which matches this glob.
    #[serde(default)]
    pub contains: Option<String>,
    /// It is Markdown with front matter.
    #[serde(default)]
    pub front_matter: bool,
}

/// What is asked of a directory.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DirTest {
    /// It holds something that one of these globs matches.
    #[serde(default)]
    pub contains: Many<String>,
}

impl Detect {
    /// An error unless the rule is for files or for directories.
    pub(in crate::types) fn check(&self) -> Result<()> {
        match self.file.is_some() == self.dir.is_some() {
            true => Err(Error::invalid("a rule has either `file` or `dir`")),
            false => Ok(()),
        }
    }
}
