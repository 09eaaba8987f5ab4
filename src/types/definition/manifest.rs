//! The section `manifest`: the artifact type, and annotations in blocks, of which later ones override earlier ones.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{
    many::{Expression, Template},
    texts::Texts,
};
use crate::{oci::json::Encoding, plan::EncodingSchema};

/// The section `manifest`: artifact type and annotations.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManifestRule {
    /// Artifact type; blank omits it.
    #[serde(default)]
    pub artifact_type: Option<Template>,
    /// `omit` omits the manifest's own `mediaType`, as Helm does.
    #[serde(default)]
    pub media_type: Option<Omit>,
    /// JSON encoding of the manifest.
    #[serde(default)]
    #[schemars(with = "EncodingSchema")]
    pub json: Encoding,
    /// Blocks of annotations, applied in order. The user's annotations come last, unless a block merges
    /// `cli.annotations`.
    #[serde(default)]
    pub annotations: Vec<Block>,
}

/// The word `omit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Omit {
    /// Omit the key.
    Omit,
}

/// A block of annotations: first `merge`, then `set`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Block {
    /// Condition for the block.
    #[serde(default)]
    pub when: Option<Expression>,
    /// Whether to omit blank values.
    #[serde(default)]
    pub omit_blank: bool,
    /// Map whose entries become annotations.
    #[serde(default)]
    pub merge: Option<Expression>,
    /// Annotations, strings or typed values.
    #[serde(default)]
    pub set: Map<String, Json>,
}

impl ManifestRule {
    /// Collects the evaluated texts.
    pub(in crate::types) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.media_type("artifactType", self.artifact_type.as_ref());
        texts.part("annotations", |texts| {
            for (i, block) in self.annotations.iter().enumerate() {
                texts.part(i, |texts| {
                    texts.expression("when", &block.when);
                    texts.expression("merge", &block.merge);
                    texts.values("set", &block.set);
                });
            }
        });
    }
}
