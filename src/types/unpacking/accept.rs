//! The section `accept`: which manifests are of this type, and what is wrong with those that claim to be.

use std::collections::BTreeMap;

use globset::Glob;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    oci::{Annotations, Descriptor, Manifest, Parsed, media_type},
    types::definition::{many::Many, texts::Texts},
};

/// The section `accept`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Accept {
    /// Artifact types of such manifests.
    #[serde(default)]
    pub artifact_types: Many<String>,
    /// Media types of their configs.
    #[serde(default)]
    pub config: Many<String>,
    /// Annotations of such manifests, values as globs: the last way to know one.
    #[serde(default)]
    pub annotations: Annotations,
    /// The roles that layers have; a layer has the first role that fits.
    #[serde(default)]
    pub layers: BTreeMap<String, Role>,
    /// What becomes of layers without a role.
    #[serde(default)]
    pub other_layers: OtherLayers,
    /// Older shapes: read, never written.
    #[serde(default)]
    pub also: Vec<Accept>,
}

/// The role of a layer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Role {
    /// Media types of such layers; any when there are none.
    #[serde(default)]
    pub media_types: Many<String>,
    /// Annotations that such layers have.
    #[serde(default)]
    pub annotation: Annotations,
    /// How many there are: `1`, `0..1`, `1..`; any number when nothing is said.
    #[serde(default)]
    pub count: Count,
}

/// What becomes of layers without a role.
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

/// A number, or a range whose end may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    least: usize,
    most: Option<usize>,
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Shape;
        impl serde::de::Visitor<'_> for Shape {
            type Value = Count;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number, or a range such as `0..1` or `1..`")
            }

            fn visit_u64<E: serde::de::Error>(self, n: u64) -> std::result::Result<Count, E> {
                let n = usize::try_from(n).map_err(E::custom)?;
                Ok(Count { least: n, most: Some(n) })
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<Count, E> {
                Count::read(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }
        from.deserialize_any(Shape)
    }
}

impl Serialize for Count {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl JsonSchema for Count {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "a number, or a range such as `0..1` or `1..`",
            "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": r"^\d+(\.\.\d*)?$" }],
        })
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.most {
            Some(most) if most == self.least => write!(f, "{most}"),
            Some(most) => write!(f, "{}..{most}", self.least),
            None => write!(f, "{}..", self.least),
        }
    }
}

impl Count {
    fn read(text: &str) -> Option<Self> {
        match text.split_once("..") {
            None => text.parse().ok().map(|n| Self { least: n, most: Some(n) }),
            Some((least, "")) => least.parse().ok().map(|least| Self { least, most: None }),
            Some((least, most)) => Some(Self { least: least.parse().ok()?, most: Some(most.parse().ok()?) }),
        }
    }

    fn allows(self, n: usize) -> bool {
        n >= self.least && self.most.is_none_or(|most| n <= most)
    }
}

impl Role {
    fn fits(&self, layer: &Descriptor) -> bool {
        let kind = self.media_types.is_empty() || self.media_types.0.contains(&layer.media_type);
        kind && self.annotation.iter().all(|(k, v)| layer.annotations.get(k) == Some(v))
    }

    /// Whether a layer of this role says by itself which type the artifact is of: by a media type that is nobody else's.
    fn tells(&self, layer: &Descriptor) -> bool {
        let own = |m: &str| m.starts_with("application/vnd.") && !m.starts_with("application/vnd.oci.");
        self.fits(layer) && self.media_types.0.iter().any(|m| own(m) && *m == layer.media_type)
    }
}

/// By what a manifest was recognised, the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// Its artifact type.
    ArtifactType,
    /// The media type of its config.
    Config,
    /// The media types of its layers.
    Layers,
    /// Its annotations.
    Annotations,
}

/// What tells the type of a manifest or of an index, which has no config and no layers.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    artifact_type: Option<&'a str>,
    annotations: &'a Annotations,
    manifest: Option<&'a Manifest>,
}

impl<'a> From<&'a Manifest> for Identity<'a> {
    fn from(manifest: &'a Manifest) -> Self {
        let artifact_type = manifest.artifact_type.as_deref();
        Self { artifact_type, annotations: &manifest.annotations, manifest: Some(manifest) }
    }
}

impl<'a> From<&'a Parsed> for Identity<'a> {
    fn from(document: &'a Parsed) -> Self {
        match document {
            Parsed::Manifest(manifest) => Self::from(&**manifest),
            _ => Self {
                artifact_type: document.own_artifact_type(),
                annotations: document.annotations(),
                manifest: None,
            },
        }
    }
}

impl Accept {
    /// The texts that mean something.
    pub(in crate::types) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.media_types("artifactTypes", &self.artifact_types);
        texts.media_types("config", &self.config);
        texts.part("layers", |texts| {
            for (name, role) in &self.layers {
                texts.part(name, |texts| texts.media_types("mediaTypes", &role.media_types));
            }
        });
    }

    /// By what this manifest or index is of this type, if it is.
    pub(in crate::types) fn recognises(&self, identity: Identity<'_>) -> Option<Evidence> {
        let Identity { manifest, .. } = identity;
        let own = [
            (Evidence::ArtifactType, self.by_artifact_type(identity.artifact_type)),
            (Evidence::Config, manifest.is_some_and(|manifest| self.by_config(manifest))),
            (Evidence::Layers, manifest.is_some_and(|manifest| self.by_layers(manifest))),
            (Evidence::Annotations, self.by_annotations(identity.annotations)),
        ];
        let own = own.into_iter().find(|(_, yes)| *yes).map(|(evidence, _)| evidence);
        own.into_iter().chain(self.also.iter().filter_map(|a| a.recognises(identity))).min()
    }

    fn by_artifact_type(&self, artifact_type: Option<&str>) -> bool {
        artifact_type.is_some_and(|t| self.artifact_types.0.iter().any(|own| own == t))
    }

    fn by_config(&self, manifest: &Manifest) -> bool {
        let kind = &manifest.config.media_type;
        kind != media_type::EMPTY && self.config.0.contains(kind)
    }

    fn by_layers(&self, manifest: &Manifest) -> bool {
        manifest.layers.iter().any(|layer| self.layers.values().any(|role| role.tells(layer)))
            && self.layers.values().all(|r| r.count.allows(manifest.layers.iter().filter(|l| r.fits(l)).count()))
    }

    fn by_annotations(&self, annotations: &Annotations) -> bool {
        let matches = |(key, glob): (&String, &String)| {
            let glob = Glob::new(glob).map(|g| g.compile_matcher());
            annotations.get(key).is_some_and(|value| glob.is_ok_and(|g| g.is_match(value)))
        };
        !self.annotations.is_empty() && self.annotations.iter().all(matches)
    }

    /// The role of every layer, in their order. Errors (kind `Mismatch`): a role has too many or too few layers, or a
    /// layer has none where that is an error.
    pub(in crate::types) fn roles<'a>(&'a self, manifest: &Manifest) -> Result<Vec<Option<&'a str>>> {
        let main = self.assign(manifest);
        if main.is_ok() {
            return main;
        }
        self.also.iter().find_map(|older| older.assign(manifest).ok()).map_or(main, Ok)
    }

    fn assign<'a>(&'a self, manifest: &Manifest) -> Result<Vec<Option<&'a str>>> {
        let role_of = |layer: &Descriptor| self.layers.iter().find(|(_, r)| r.fits(layer)).map(|(n, _)| n.as_str());
        let roles: Vec<_> = manifest.layers.iter().map(role_of).collect();
        for (name, role) in &self.layers {
            let count = roles.iter().filter(|r| **r == Some(name)).count();
            if !role.count.allows(count) {
                let message =
                    format!("the manifest has {count} layers of the role `{name}`; {} are expected", role.count);
                return Err(Error::mismatch(message));
            }
        }
        let stranger = manifest.layers.iter().zip(&roles).find(|(_, role)| role.is_none());
        if let (OtherLayers::Error, Some((layer, _))) = (self.other_layers, stranger) {
            let kind = &layer.media_type;
            return Err(Error::mismatch(format!("a layer of type `{kind}` does not belong into the artifact")));
        }
        Ok(roles)
    }

    /// Everything that manifests are recognised by, older shapes included.
    pub(in crate::types) fn claims(&self) -> Vec<(&'static str, &str)> {
        let types = self.artifact_types.0.iter().map(|t| ("artifact type", t.as_str()));
        let configs = self.config.0.iter().map(|c| ("config", c.as_str()));
        types.chain(configs).chain(self.also.iter().flat_map(Self::claims)).collect()
    }
}
