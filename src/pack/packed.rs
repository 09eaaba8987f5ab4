//! What packing gives: a store that is read only.

use std::{collections::HashMap, fmt, ops::Range};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde::Serialize;

use super::spool::Held;
use crate::{
    blob::{ByteStream, FileSlice, first},
    error::{Error, Result},
    oci::{Annotations, Descriptor, Digest, Manifest},
    store::{Item, Name, NamePage, Presence, ReadStore, one_page},
};

/// A packed artifact: its manifest, and its blobs where they lie: in memory, in source files (verified to be unchanged
/// when they are read again), in temporary files that are deleted when this is dropped.
#[derive(Debug)]
pub struct Packed {
    pub(super) type_name: String,
    pub(super) root: Descriptor,
    pub(super) bytes: Bytes,
    pub(super) manifest: Manifest,
    /// The layers in the order of the plan, where the manifest has another one.
    pub(super) planned: Option<Vec<Descriptor>>,
    pub(super) blobs: HashMap<Digest, Held>,
}

impl Packed {
    /// The descriptor of the manifest.
    #[must_use]
    pub fn root(&self) -> &Descriptor {
        &self.root
    }

    /// The bytes of the manifest.
    #[must_use]
    pub fn manifest(&self) -> &Bytes {
        &self.bytes
    }

    /// The descriptor of the config, as it stands in the manifest.
    #[must_use]
    pub fn config(&self) -> &Descriptor {
        &self.manifest.config
    }

    /// The descriptors of the planned layers, in the order of the plan; the manifest may have another order.
    #[must_use]
    pub fn layers(&self) -> &[Descriptor] {
        self.planned.as_deref().unwrap_or(&self.manifest.layers)
    }

    /// What was packed, for people and programs.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let Manifest { artifact_type, config, layers, subject, annotations, .. } = self.manifest.clone();
        let mut sizes: HashMap<&Digest, u64> = layers.iter().map(|desc| (&desc.digest, desc.size)).collect();
        sizes.insert(&config.digest, config.size);
        let total_size = self.root.size.saturating_add(sizes.values().sum());
        Summary {
            digest: self.root.digest.clone(),
            size: self.root.size,
            media_type: self.root.media_type.clone(),
            artifact_type,
            total_size,
            config,
            layers,
            subject,
            annotations,
        }
    }
}

/// What was packed: the manifest in short, with its own digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Digest of the manifest.
    pub digest: Digest,
    /// Size of the manifest in bytes.
    pub size: u64,
    /// Media type of the manifest.
    pub media_type: String,
    /// Type of the artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Bytes of manifest, config and layers, each content once.
    pub total_size: u64,
    /// The config.
    pub config: Descriptor,
    /// The layers, in the order of the manifest.
    pub layers: Vec<Descriptor>,
    /// What the artifact is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Annotations of the manifest.
    #[serde(skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

impl fmt::Display for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "packed {}", self.type_name)
    }
}

#[async_trait]
impl ReadStore for Packed {
    async fn resolve(&self, name: &Name) -> Result<Descriptor> {
        match name {
            Name::Only => Ok(self.root.clone()),
            Name::Digest(digest) if *digest == self.root.digest => Ok(self.root.clone()),
            name => Err(Error::not_found(format!("`{name}` is not in {self}"))),
        }
    }

    async fn fetch(&self, item: &Item, range: Range<u64>) -> Result<ByteStream> {
        let digest = &item.desc.digest;
        let held = self.blobs.get(digest).ok_or_else(|| Error::not_found(format!("{digest} is not in {self}")))?;
        Ok(first(held.blob().open(range.start).await?, range.end.saturating_sub(range.start)))
    }

    async fn has(&self, items: &[Item]) -> Result<Vec<Presence>> {
        let held = |item: &Item| self.blobs.get(&item.desc.digest).map(|held| held.blob().size());
        Ok(items.iter().map(|item| held(item).map_or(Presence::Absent, Presence::here)).collect())
    }

    fn names(&self) -> BoxStream<'_, Result<NamePage>> {
        one_page(async { Ok(NamePage::default()) })
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        let about = self.manifest.subject.as_ref().is_some_and(|own| own.digest == subject.digest);
        let artifact_type = self.manifest.artifact_type.clone().or(Some(self.manifest.config.media_type.clone()));
        let annotations = self.manifest.annotations.clone();
        Ok(Vec::from_iter(about.then(|| Descriptor { artifact_type, annotations, ..self.root.clone() })))
    }

    fn local(&self, item: &Item) -> Option<FileSlice> {
        self.blobs.get(&item.desc.digest)?.blob().local()
    }

    fn at_hand(&self, item: &Item) -> bool {
        self.blobs.get(&item.desc.digest).is_some_and(|held| held.blob().at_hand())
    }
}
