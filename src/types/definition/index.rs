//! The section `index`: the artifact is an index, with a member for each of some files or directories.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    many::Template,
    texts::{Part, Texts},
};

/// The section `index`. Without it, the artifact is a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IndexRule {
    /// One member for each file of this set, or, where the set is a `dir`, for each file and directory that lies in that.
    /// `config`, `layers` and `manifest` say what a member is: there, the set holds what belongs to it, and its file or
    /// directory is `member`.
    pub each: String,
    /// The platform that a member is for, `os/architecture[/variant]`; blank for none.
    #[serde(default)]
    pub platform: Option<Template>,
}

impl IndexRule {
    /// The texts that mean something.
    pub(in crate::types) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.names("each", Part::Set, [&self.each]);
        texts.template("platform", &self.platform);
    }
}
