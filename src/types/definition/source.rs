//! The section `source`: the files that are read.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{documents::DocumentRule, parts::PartsRule, sets::FileSet, texts::Texts};

/// The section `source`: the files that are read.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceRule {
    /// Named sets of files.
    #[serde(default)]
    pub sets: BTreeMap<String, FileSet>,
    /// Documents, which expressions can read.
    #[serde(default)]
    pub documents: BTreeMap<String, DocumentRule>,
    /// Parts that are sources of the same type.
    #[serde(default)]
    pub parts: BTreeMap<String, PartsRule>,
}

impl SourceRule {
    /// Collects the evaluated texts.
    pub(in crate::types) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.part("sets", |texts| {
            self.sets.iter().for_each(|(name, set)| texts.part(name, |texts| set.texts(texts)));
        });
        texts.part("documents", |texts| {
            self.documents.iter().for_each(|(name, document)| texts.part(name, |texts| document.texts(texts)));
        });
        texts.part("parts", |texts| {
            self.parts.iter().for_each(|(name, parts)| texts.part(name, |texts| parts.texts(texts)));
        });
    }
}
