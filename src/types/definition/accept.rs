//! The section `accept`: recognises manifests of this type.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{count::Count, many::Many, texts::Texts};
use crate::{
    error::{Error, Result},
    glob::Globs,
    oci::Annotations,
};

/// Limit for the globs of a definition, in steps for each character. Annotations have at most 4 MiB, so that they are
/// compared in a second.
const MAX_COST: usize = 64;

/// The section `accept`: recognises manifests of this type.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Accept {
    /// Artifact types of the manifests.
    #[serde(default)]
    pub artifact_types: Many<String>,
    /// Media types of the configs.
    #[serde(default)]
    pub config: Many<String>,
    /// Annotations of the manifests, values as globs; used only if nothing else identifies a manifest.
    #[serde(default)]
    pub annotations: Annotations,
    /// Roles of layers; a layer has the first role that fits.
    #[serde(default)]
    pub layers: BTreeMap<String, Role>,
    /// Treatment of layers without a role.
    #[serde(default)]
    pub other_layers: OtherLayers,
    /// Older formats: read, never written.
    #[serde(default)]
    pub also: Vec<Accept>,
}

/// The role of a layer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Role {
    /// Media types of the layers [default: any].
    #[serde(default)]
    pub media_types: Many<String>,
    /// Annotations of the layers.
    #[serde(default)]
    pub annotation: Annotations,
    /// Number of layers: `1`, `0..1`, `1..` [default: any].
    #[serde(default)]
    pub count: Count,
}

/// Treatment of layers without a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OtherLayers {
    /// They are not unpacked.
    #[default]
    Ignore,
    /// They are unpacked under their titles.
    Keep,
    /// They are an error.
    Error,
}

impl Accept {
    /// Collects the texts with a meaning.
    pub(in crate::types) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.media_types("artifactTypes", &self.artifact_types);
        texts.media_types("config", &self.config);
        texts.part("layers", |texts| {
            for (name, role) in &self.layers {
                texts.part(name, |texts| texts.media_types("mediaTypes", &role.media_types));
            }
        });
    }

    /// Errors: a malformed glob, or globs that are too long.
    pub(in crate::types) fn check(&self) -> Result<()> {
        match self.cost()? {
            0..=MAX_COST => Ok(()),
            _ => Err(Error::limit("the globs of `annotations` are too many or too long")),
        }
    }

    fn cost(&self) -> Result<usize> {
        let own = self.annotations.values().map(|glob| Globs::for_text(glob).map(|globs| globs.cost()));
        own.chain(self.also.iter().map(Self::cost)).sum()
    }

    /// All evidence for this type, older formats included.
    pub(in crate::types) fn claims(&self) -> Vec<(&'static str, &str)> {
        let types = self.artifact_types.0.iter().map(|t| ("artifact type", t.as_str()));
        let configs = self.config.0.iter().map(|c| ("config", c.as_str()));
        types.chain(configs).chain(self.also.iter().flat_map(Self::claims)).collect()
    }
}
