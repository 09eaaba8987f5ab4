//! The section `index`: the artifact is an index with one member per file or directory.

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
    /// Set whose files become members; of a `dir` set, the direct children, files and directories. `config`, `layers`
    /// and `manifest` define a member: in them the set holds only the member's files, and `member` is its file or
    /// directory.
    pub each: String,
    /// Platform of a member, `os/architecture[/variant]`; blank for none.
    #[serde(default)]
    pub platform: Option<Template>,
}

impl IndexRule {
    /// Collects the texts with a meaning.
    pub(in crate::types) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.names("each", Part::Set, [&self.each]);
        texts.template("platform", &self.platform);
    }
}
