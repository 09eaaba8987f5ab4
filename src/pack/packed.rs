//! The result of packing: a read-only store.

use std::{collections::HashMap, fmt, ops::Range};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde::Serialize;

use super::{MadeDocument, spool::BlobContent};
use crate::{
    blob::{ByteStream, FileSlice, first},
    error::{Error, Result},
    oci::{Annotations, Descriptor, Digest, Parsed},
    store::{Item, Name, NamePage, Presence, ReadStore, one_page},
};

/// A packed artifact: its manifests and indexes, and its blobs in place: in memory, in source files (verified as
/// unchanged on reading), in temporary files that are deleted on drop. Members of an index that are stored elsewhere
/// are not included.
#[derive(Debug)]
pub struct Packed {
    type_name: String,
    /// The documents, the root last.
    documents: Vec<PackedDocument>,
    root: Descriptor,
    blobs: HashMap<Digest, BlobContent>,
}

/// A packed manifest or index.
#[derive(Debug, Clone)]
pub struct PackedDocument {
    /// Media type, digest and size.
    pub desc: Descriptor,
    /// The bytes.
    pub bytes: Bytes,
    /// The parsed content.
    pub parsed: Parsed,
    /// The layers in plan order, if the manifest has a different order.
    planned: Option<Vec<Descriptor>>,
}

impl PackedDocument {
    /// The descriptors of the planned layers in plan order, which can differ from that of the manifest.
    #[must_use]
    pub fn layers(&self) -> &[Descriptor] {
        match (&self.planned, &self.parsed) {
            (Some(planned), _) => planned,
            (None, Parsed::Manifest(manifest)) => &manifest.layers,
            _ => &[],
        }
    }
}

impl Packed {
    pub(super) fn of(type_name: String, root: Descriptor, made: Vec<MadeDocument>) -> Self {
        let mut blobs = HashMap::new();
        blobs.insert(Digest::of(b"{}"), BlobContent::Memory(Bytes::from_static(b"{}")));
        let mut documents = Vec::with_capacity(made.len());
        for MadeDocument { desc, bytes, parsed, planned, blobs: own } in made {
            blobs.extend(own);
            blobs.insert(desc.digest.clone(), BlobContent::Memory(bytes.clone()));
            documents.push(PackedDocument { desc, bytes, parsed, planned });
        }
        Self { type_name, documents, root, blobs }
    }

    /// The descriptor of the root manifest or index.
    #[must_use]
    pub fn root(&self) -> &Descriptor {
        &self.root
    }

    /// All manifests and indexes, members before their index; the root is last.
    #[must_use]
    pub fn documents(&self) -> &[PackedDocument] {
        &self.documents
    }

    fn document(&self, digest: &Digest) -> Option<&PackedDocument> {
        self.documents.iter().find(|document| document.desc.digest == *digest)
    }

    /// The bytes of the root.
    #[must_use]
    pub fn manifest(&self) -> &Bytes {
        static NONE: Bytes = Bytes::new();
        self.documents.last().map_or(&NONE, |document| &document.bytes)
    }

    /// The parsed root.
    fn parsed(&self) -> Option<&Parsed> {
        self.documents.last().map(|document| &document.parsed)
    }

    /// The descriptor of the config in the manifest; an index has none.
    #[must_use]
    pub fn config(&self) -> Option<&Descriptor> {
        match self.parsed() {
            Some(Parsed::Manifest(manifest)) => Some(&manifest.config),
            _ => None,
        }
    }

    /// The layers of the root: see [`PackedDocument::layers`].
    #[must_use]
    pub fn layers(&self) -> &[Descriptor] {
        self.documents.last().map_or(&[], PackedDocument::layers)
    }

    /// A summary of the root, for people and programs.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let parsed = self.parsed();
        let (layers, children) = match parsed {
            Some(Parsed::Manifest(manifest)) => (manifest.layers.clone(), Vec::new()),
            Some(Parsed::Index(index)) => (Vec::new(), index.manifests.clone()),
            _ => (Vec::new(), Vec::new()),
        };
        let mut sizes: HashMap<&Digest, u64> = HashMap::new();
        for document in &self.documents {
            let below = document.parsed.children().into_iter().map(|(_, desc)| desc);
            sizes.extend(below.chain([&document.desc]).map(|desc| (&desc.digest, desc.size)));
        }
        Summary {
            digest: self.root.digest.clone(),
            size: self.root.size,
            media_type: self.root.media_type.clone(),
            artifact_type: parsed.and_then(Parsed::own_artifact_type).map(Into::into),
            total_size: sizes.values().fold(0, |sum: u64, size| sum.saturating_add(*size)),
            config: self.config().cloned(),
            layers,
            children,
            subject: parsed.and_then(Parsed::subject).cloned(),
            annotations: parsed.map(|parsed| parsed.annotations().clone()).unwrap_or_default(),
        }
    }
}

/// A summary of a packed artifact's root, with its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Digest of the manifest or index.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
    /// The artifact type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Bytes of manifests, configs and layers; equal content counts once.
    pub total_size: u64,
    /// The config of a manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Descriptor>,
    /// The layers of a manifest, in manifest order.
    pub layers: Vec<Descriptor>,
    /// The members of an index, in index order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Descriptor>,
    /// The subject of the artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Its annotations.
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
            Name::Digest(digest) if let Some(document) = self.document(digest) => Ok(document.desc.clone()),
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
        let about =
            |document: &&PackedDocument| document.parsed.subject().is_some_and(|own| own.digest == subject.digest);
        Ok(self.documents.iter().filter(about).map(|document| document.parsed.listed(&document.desc)).collect())
    }

    fn local(&self, item: &Item) -> Option<FileSlice> {
        self.blobs.get(&item.desc.digest)?.blob().local()
    }

    fn is_local_and_hashed(&self, item: &Item) -> bool {
        self.blobs.get(&item.desc.digest).is_some_and(|held| held.blob().is_local_and_hashed())
    }
}
