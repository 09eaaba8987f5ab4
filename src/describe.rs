//! The description of an artifact as one value, for a terminal, JSON or a web page.

use std::collections::HashSet;

use serde::Serialize;

use crate::{
    copy,
    error::Result,
    graph,
    oci::{Annotations, Descriptor, Digest, Parsed, Platform, Tag},
    store::{self, ReadStore},
    types::{ArtifactType, Catalog, Evidence},
};

/// The description of an artifact.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Description {
    /// Digest of its manifest or index.
    pub digest: Digest,
    /// Media type of the manifest or index.
    pub media_type: String,
    /// Size of the manifest or index, in bytes.
    pub size: u64,
    /// The platform, if its descriptor gives one.
    pub platform: Option<Box<Platform>>,
    /// Annotations of the manifest or index.
    pub annotations: Annotations,
    /// The artifact type, else the media type of the config.
    pub artifact_type: Option<String>,
    /// Name of the definition that recognises it.
    #[serde(rename = "type")]
    pub type_name: Option<String>,
    /// The evidence for that, in words.
    pub why: Option<String>,
    /// The subject.
    pub subject: Option<Descriptor>,
    /// The config.
    pub config: Option<Content>,
    /// The layers in order; for an unknown kind of manifest, all content that it refers to.
    pub layers: Vec<Content>,
    /// The manifests of an index, in order.
    pub children: Vec<Content>,
    /// The members of an index that a copy left out, so that the store does not have them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<Digest>,
    /// The referrers.
    pub referrers: Vec<Content>,
    /// The manifests that cosign keeps about it under tags.
    pub companions: Vec<Companion>,
    /// Violations of its type, and facts that could not be determined.
    pub warnings: Vec<String>,
}

/// Content of an artifact: its descriptor, role and file name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Content {
    /// The descriptor.
    #[serde(flatten)]
    pub descriptor: Descriptor,
    /// The role in the type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The file name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// A manifest that cosign keeps about another under a tag.
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

/// Describes the artifact with this descriptor: reads its manifest and lists its referrers. That they cannot be listed is
/// a warning of the description.
///
/// Errors: kind `NotFound` if it does not exist; a malformed manifest.
pub async fn describe(store: &dyn ReadStore, root: &Descriptor, catalog: &Catalog) -> Result<Description> {
    let bytes = store::read_manifest(store, root).await?;
    let parsed = Parsed::read(&root.media_type, &bytes)?;
    let mut description = Description::of(root, &parsed, catalog);
    description.left_out = left_out(store, root, &parsed).await?;
    let (referrers, companions) = tokio::join!(store.referrers(root), graph::companions(store, &root.digest));
    match referrers {
        Ok(found) => description.referrers = found.iter().map(|desc| Content::of(desc, None)).collect(),
        Err(e) => description.warnings.push(format!("cannot list the referrers: {e}")),
    }
    match companions {
        Ok(found) => {
            let companion = |(tag, descriptor)| Companion { tag, descriptor };
            description.companions = found.into_iter().map(companion).collect();
        }
        Err(e) => description.warnings.push(format!("cannot list the manifests that cosign keeps about it: {e}")),
    }
    Ok(description)
}

/// The members of an index that a copy left out.
async fn left_out(store: &dyn ReadStore, root: &Descriptor, parsed: &Parsed) -> Result<Vec<Digest>> {
    let Parsed::Index(index) = parsed else { return Ok(Vec::new()) };
    let here = copy::here(store, root, index.manifests.iter().collect()).await?;
    let here: HashSet<&Digest> = here.into_iter().map(|member| &member.digest).collect();
    let all = index.manifests.iter().map(|member| &member.digest);
    Ok(all.filter(|digest| !here.contains(*digest)).cloned().collect())
}

impl Description {
    /// Describes a document, with its type from the catalog.
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

    /// Describes a document without a catalog.
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
            left_out: Vec::new(),
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

/// The evidence for a type in words.
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
