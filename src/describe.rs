//! What an artifact is, as one value: for those who look at it, on a terminal, as JSON, or on a page.

use serde::Serialize;

use crate::{
    error::{Context as _, Result},
    graph,
    oci::{Annotations, Descriptor, Digest, Parsed, Platform, Tag},
    store::{self, ReadStore},
    types::{ArtifactType, Catalog, Evidence},
};

/// What an artifact is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Description {
    /// Digest of its manifest or index.
    pub digest: Digest,
    /// Media type of that.
    pub media_type: String,
    /// Size of that, in bytes.
    pub size: u64,
    /// The platform that it is for, where whoever points at it says so.
    pub platform: Option<Box<Platform>>,
    /// Annotations of the manifest or index.
    pub annotations: Annotations,
    /// The artifact type that it gives, else the media type of its config.
    pub artifact_type: Option<String>,
    /// The definition that knows it.
    #[serde(rename = "type")]
    pub type_name: Option<String>,
    /// By what that knows it.
    pub why: Option<String>,
    /// What it is about.
    pub subject: Option<Descriptor>,
    /// Its config.
    pub config: Option<Content>,
    /// Its layers, in their order; of a manifest that is not known here, all that it points at.
    pub layers: Vec<Content>,
    /// The manifests of an index, in their order.
    pub children: Vec<Content>,
    /// The manifests that refer to it.
    pub referrers: Vec<Content>,
    /// What cosign keeps about it under tags of its own.
    pub companions: Vec<Companion>,
    /// What is not as its type says, and what could not be asked.
    pub warnings: Vec<String>,
}

/// Content of an artifact: how it is described, and what it is there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Content {
    /// How it is described.
    #[serde(flatten)]
    pub descriptor: Descriptor,
    /// Its role in the type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The name of the file that it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// A manifest that cosign keeps about another one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Companion {
    /// Its tag.
    pub tag: Tag,
    /// The manifest.
    #[serde(flatten)]
    pub descriptor: Descriptor,
}

impl Content {
    fn of(desc: &Descriptor, role: Option<&str>) -> Self {
        let title = desc.title().map(str::to_owned);
        Self { descriptor: desc.clone(), role: role.map(str::to_owned), title }
    }
}

/// What a store has under this descriptor: reads its manifest, and asks what there is about it.
///
/// Errors: kind `NotFound` when it is not there; a malformed manifest; what refers to it cannot be asked.
pub async fn describe(store: &dyn ReadStore, root: &Descriptor, catalog: &Catalog) -> Result<Description> {
    let bytes = store::read_manifest(store, root).await?;
    let parsed = Parsed::read(&root.media_type, &bytes)?;
    let mut description = Description::of(root, &parsed, catalog);
    let (referrers, companions) = tokio::join!(store.referrers(root), graph::companions(store, &root.digest));
    let referrers = referrers.context(|| format!("list the referrers of {}", root.digest))?;
    description.referrers = referrers.iter().map(|desc| Content::of(desc, None)).collect();
    match companions {
        Ok(found) => {
            let companion = |(tag, descriptor)| Companion { tag, descriptor };
            description.companions = found.into_iter().map(companion).collect();
        }
        Err(e) => description.warnings.push(format!("whether cosign keeps something about it was not answered: {e}")),
    }
    Ok(description)
}

impl Description {
    /// What a document says of itself, and what the types that are known say of it.
    #[must_use]
    pub fn of(root: &Descriptor, parsed: &Parsed, catalog: &Catalog) -> Self {
        let mut description = Self::bare(root, parsed);
        if let Some((kind, evidence)) = catalog.recognise(parsed) {
            description.type_name = Some(kind.name().to_owned());
            description.why = Some(because(evidence, parsed));
            description.name_roles(&kind, parsed);
        }
        description
    }

    /// What a document says of itself.
    #[must_use]
    pub fn bare(root: &Descriptor, parsed: &Parsed) -> Self {
        let all = parsed.children().into_iter().map(|(_, desc)| Content::of(desc, None));
        let (config, layers, children) = match parsed {
            Parsed::Manifest(manifest) => {
                (Some(Content::of(&manifest.config, None)), all.skip(1).collect(), Vec::new())
            }
            Parsed::Index(_) => (None, Vec::new(), all.collect()),
            Parsed::Other(_) => (None, all.collect(), Vec::new()),
        };
        Self {
            digest: root.digest.clone(),
            media_type: root.media_type.clone(),
            size: root.size,
            platform: root.platform.clone(),
            annotations: parsed.annotations().clone(),
            artifact_type: parsed.artifact_type().map(Into::into),
            type_name: None,
            why: None,
            subject: parsed.subject().cloned(),
            config,
            layers,
            children,
            referrers: Vec::new(),
            companions: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn name_roles(&mut self, kind: &ArtifactType, parsed: &Parsed) {
        let manifest = match parsed {
            Parsed::Manifest(manifest) => manifest,
            Parsed::Index(index) => return self.warnings.extend(kind.flaws(index)),
            Parsed::Other(_) => return,
        };
        match kind.roles(manifest) {
            Ok(roles) => {
                for (layer, role) in self.layers.iter_mut().zip(roles) {
                    layer.role = role.map(str::to_owned);
                }
            }
            Err(e) => self.warnings.push(e.to_string()),
        }
    }
}

/// By what a type knows a manifest or index, in words.
fn because(evidence: Evidence, parsed: &Parsed) -> String {
    let kind = parsed.artifact_type().unwrap_or_default();
    match evidence {
        Evidence::ArtifactType => format!("artifact type `{kind}`"),
        Evidence::Config => match parsed {
            Parsed::Manifest(manifest) => format!("config `{}`", manifest.config.media_type),
            _ => "its config".to_owned(),
        },
        Evidence::Layers => "the media types of its layers".to_owned(),
        Evidence::Annotations => "its annotations".to_owned(),
    }
}
