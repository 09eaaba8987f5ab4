//! The section `accept`: recognises manifests of this type, and checks their layers.

use crate::{
    error::{Error, Result},
    glob::{Effort, Globs},
    oci::{Annotations, Descriptor, Manifest, Parsed, media_type},
    types::definition::accept::{Accept, OtherLayers, Role},
};

impl Role {
    fn fits(&self, layer: &Descriptor) -> bool {
        let kind = self.media_types.is_empty() || self.media_types.0.contains(&layer.media_type);
        kind && self.annotation.iter().all(|(k, v)| layer.annotations.get(k) == Some(v))
    }

    /// Whether a layer of this role identifies the artifact's type, by a vendor's media type.
    fn tells(&self, layer: &Descriptor) -> bool {
        let own = |m: &str| m.starts_with("application/vnd.") && !m.starts_with("application/vnd.oci.");
        self.fits(layer) && self.media_types.0.iter().any(|m| own(m) && *m == layer.media_type)
    }
}

/// The evidence by which a manifest was recognised, strongest first.
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

/// The parts that identify the type of a manifest, or of an index, which has no config and no layers.
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
    /// The evidence that this manifest or index has this type, if any.
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
            // A checked definition has none that is malformed, or that takes long.
            let effort = Effort::new(u64::MAX);
            let fits = |value: &String| Globs::for_text(glob).and_then(|glob| glob.matches(value, &effort));
            annotations.get(key).is_some_and(|value| fits(value).unwrap_or(false))
        };
        !self.annotations.is_empty() && self.annotations.iter().all(matches)
    }

    /// The role of every layer, in layer order. Errors (kind `Mismatch`): too many or too few layers of a role; a layer
    /// without a role, if that is an error.
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
                let message = format!("layers of the role `{name}`: expected {}, found {count}", role.count);
                return Err(Error::mismatch(message));
            }
        }
        let stranger = manifest.layers.iter().zip(&roles).find(|(_, role)| role.is_none());
        if let (OtherLayers::Error, Some((layer, _))) = (self.other_layers, stranger) {
            let kind = &layer.media_type;
            return Err(Error::mismatch(format!("unexpected layer of type `{kind}`")));
        }
        Ok(roles)
    }
}
