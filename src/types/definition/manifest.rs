//! The section `manifest`: the artifact type, and annotations as ordered blocks of which a later one wins.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{
    many::{Expression, Template},
    texts::Texts,
};
use crate::{oci::json::Encoding, plan::EncodingSchema};

/// The section `manifest`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManifestRule {
    /// The artifact type; blank leaves it out.
    #[serde(default)]
    pub artifact_type: Option<Template>,
    /// `omit` leaves out the manifest's own `mediaType`, as Helm does.
    #[serde(default)]
    pub media_type: Option<Omit>,
    /// How the manifest becomes bytes.
    #[serde(default)]
    #[schemars(with = "EncodingSchema")]
    pub json: Encoding,
    /// Blocks of annotations, applied in order. Those that the user gives come last, unless a block merges
    /// `cli.annotations`.
    #[serde(default)]
    pub annotations: Vec<Block>,
}

/// The word `omit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Omit {
    /// Leave it out.
    Omit,
}

/// A block of annotations: first `merge`, then `set`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Block {
    /// Whether the block counts.
    #[serde(default)]
    pub when: Option<Expression>,
    /// Whether blank values are left out.
    #[serde(default)]
    pub omit_blank: bool,
    /// Take all entries of this map.
    #[serde(default)]
    pub merge: Option<Expression>,
    /// Annotations, strings or typed values.
    #[serde(default)]
    pub set: Map<String, Json>,
}

impl ManifestRule {
    /// The texts that are evaluated.
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
