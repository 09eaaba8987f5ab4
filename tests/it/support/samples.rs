//! Small artifacts, and the way that they get into a store.

use std::sync::Arc;

use artifact::{
    Result,
    oci::{Descriptor, Digest, Index, Manifest, Parsed, media_type},
    store::{Intent, Item, NameChange, ReadStore, Store, Write, begin},
    stores::Memory,
};
use bytes::Bytes;

use super::writing::end;

/// An artifact in memory: manifests children first, the root last.
#[derive(Clone, Default)]
pub(crate) struct Sample {
    pub(crate) blobs: Vec<(Descriptor, Bytes)>,
    pub(crate) manifests: Vec<(Descriptor, Bytes)>,
}

pub(crate) const TYPE: &str = "application/vnd.test.v1";
pub(crate) const LAYER: &str = "text/plain";

impl Sample {
    /// An artifact of an empty config and these layers.
    pub(crate) fn of(layers: &[&[u8]]) -> Self {
        Self::new(layers, None)
    }

    /// An artifact about another one.
    pub(crate) fn about(subject: &Descriptor, layer: &[u8]) -> Self {
        Self::new(&[layer], Some(subject.bare()))
    }

    fn new(layers: &[&[u8]], subject: Option<Descriptor>) -> Self {
        let layers = layers.iter().map(|bytes| (Descriptor::of(LAYER, bytes), Bytes::copy_from_slice(bytes)));
        Self::with_layers(layers.collect(), subject)
    }

    /// An artifact of these layers, described by any algorithm.
    pub(crate) fn with_layers(layers: Vec<(Descriptor, Bytes)>, subject: Option<Descriptor>) -> Self {
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.into()),
            artifact_type: Some(TYPE.into()),
            config: Descriptor::empty(),
            layers: layers.iter().map(|(desc, _)| desc.clone()).collect(),
            subject,
            annotations: [("org.example.note".to_owned(), "sample".to_owned())].into(),
        };
        let bytes = Bytes::from(serde_json::to_vec(&manifest).unwrap());
        let mut blobs = vec![(Descriptor::empty(), Bytes::from_static(b"{}"))];
        blobs.extend(layers);
        Self { blobs, manifests: vec![(Descriptor::of(media_type::MANIFEST, &bytes), bytes)] }
    }

    /// An index of other artifacts.
    pub(crate) fn index(children: &[Self]) -> Self {
        let index = Index::of(children.iter().map(|child| child.root().clone()).collect());
        let bytes = Bytes::from(serde_json::to_vec(&index).unwrap());
        let mut all = Self::default();
        for child in children {
            all.blobs.extend(child.blobs.iter().cloned());
            all.manifests.extend(child.manifests.iter().cloned());
        }
        all.manifests.push((Descriptor::of(media_type::INDEX, &bytes), bytes));
        all
    }

    pub(crate) fn root(&self) -> &Descriptor {
        &self.manifests.last().unwrap().0
    }

    pub(crate) fn layer(&self) -> &(Descriptor, Bytes) {
        self.blobs.last().unwrap()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &(Descriptor, Bytes)> {
        self.blobs.iter().chain(&self.manifests)
    }

    /// A store that holds this and nothing else, its root tagged.
    pub(crate) async fn in_memory(&self, tags: &[&str]) -> Arc<dyn ReadStore> {
        let memory: Arc<dyn Store> = Arc::new(Memory::new());
        deliver(&memory, self, tags).await.unwrap();
        memory
    }

    /// All that storing this artifact under these tags changes.
    pub(crate) fn intent(&self, tags: &[&str]) -> Intent {
        let mut items: Vec<Item> = Vec::new();
        let blobs = self.blobs.iter().map(|(desc, _)| Item::blob(desc.bare()));
        for item in blobs.chain(self.manifests.iter().map(|(desc, _)| Item::manifest(desc.bare()))) {
            if !items.contains(&item) {
                items.push(item);
            }
        }
        let about = self.manifests.iter().map(|(desc, bytes)| (desc, Parsed::read(&desc.media_type, bytes).unwrap()));
        let about = about.filter(|(_, parsed)| parsed.subject().is_some());
        let mut listed: Vec<Descriptor> = about.map(|(desc, parsed)| parsed.listed(desc)).collect();
        if tags.is_empty() && listed.iter().all(|desc| desc.digest != self.root().digest) {
            listed.push(self.root().bare());
        }
        Intent { items, listed, names: self.names(tags), removals: Vec::new() }
    }

    /// These tags, set on its root.
    pub(crate) fn names(&self, tags: &[&str]) -> Vec<NameChange> {
        tags.iter().map(|tag| NameChange::set(*tag, self.root().bare())).collect()
    }

    /// Puts all of it, blobs first.
    pub(crate) async fn put_into(&self, write: &Write) -> Result<()> {
        let puts = write.puts();
        for (desc, bytes) in &self.blobs {
            puts.put(desc, bytes, &[]).await?;
        }
        for (desc, bytes) in &self.manifests {
            puts.manifest(desc, bytes).await?;
        }
        Ok(())
    }
}

pub(crate) fn names(tags: &[&str]) -> Vec<String> {
    tags.iter().map(|tag| (*tag).to_owned()).collect()
}

/// Stores a sample the way that a copy does: all of it is announced, blobs, manifests, names, and then it commits.
pub(crate) async fn deliver(store: &Arc<dyn Store>, sample: &Sample, tags: &[&str]) -> Result<()> {
    let write = begin(store.as_ref(), sample.intent(tags)).await?;
    let put = sample.put_into(&write).await;
    let named = put.and_then(|()| sample.names(tags).into_iter().try_for_each(|change| write.name(change)));
    end(write, named).await
}

/// Bytes that do not repeat, the same for the same seed.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Text of a small vocabulary in an order without a short period, the same for the same seed: it compresses, but not to
/// nothing.
pub(crate) fn words(len: usize, seed: u64) -> Vec<u8> {
    let (mut state, mut text) = (seed, Vec::with_capacity(len + 16));
    while text.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.extend_from_slice(format!("word{} ", (state >> 33) % 5000).as_bytes());
    }
    text.truncate(len);
    text
}

/// An image layout with one small runnable image, tagged `v1`.
pub(crate) fn image(dir: &std::path::Path) {
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let put = |media_type: &str, bytes: &[u8]| {
        std::fs::write(blobs.join(Digest::of(bytes).hex()), bytes).unwrap();
        serde_json::to_value(Descriptor::of(media_type, bytes)).unwrap()
    };
    let layer = [0; 1024];
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer)]},
    });
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::MANIFEST,
        "config": put(media_type::IMAGE_CONFIG, config.to_string().as_bytes()),
        "layers": [put(media_type::LAYER_TAR, &layer)],
    });
    let mut root = put(media_type::MANIFEST, manifest.to_string().as_bytes());
    root["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": "v1"});
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [root]});
    std::fs::write(dir.join("index.json"), index.to_string()).unwrap();
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}
