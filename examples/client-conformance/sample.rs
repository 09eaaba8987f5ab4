//! What is carried: a small container image, which every client knows, with a title on each layer for those that write
//! files.

use std::{fs, io::Write as _, net::SocketAddr, path::Path, sync::Arc};

use artifact::{
    Result,
    copy::{Options, copy},
    oci::{Descriptor, Digest, Manifest, media_type},
    serve::fault,
    store::{self, ReadStore, Store},
    stores::{
        Layout, Memory,
        registry::{self, Registry, Repository},
    },
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

use crate::client::{FILE, LAYOUT};

const TAG: &str = "v1";

pub(crate) struct Sample {
    blobs: Vec<(Descriptor, Bytes)>,
    manifest: (Descriptor, Bytes),
}

impl Sample {
    pub(crate) fn new(wanted: &fault::Sample) -> Result<Self> {
        let (mut blobs, mut diff_ids) = (Vec::new(), Vec::new());
        for n in 0..wanted.layers {
            let tar = tar(wanted.size, n as u64 + 1)?;
            diff_ids.push(Digest::of(&tar).to_string());
            let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
            gzip.write_all(&tar)?;
            let bytes = Bytes::from(gzip.finish()?);
            let mut desc = Descriptor::of("application/vnd.oci.image.layer.v1.tar+gzip", &bytes);
            let title = if n == 0 { FILE.to_owned() } else { format!("{n}-{FILE}") };
            desc.annotations.insert("org.opencontainers.image.title".into(), title);
            blobs.push((desc, bytes));
        }
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = Bytes::from(config.to_string());
        let config = (Descriptor::of("application/vnd.oci.image.config.v1+json", &config), config);
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.into()),
            artifact_type: None,
            config: config.0.clone(),
            layers: blobs.iter().map(|(desc, _)| desc.clone()).collect(),
            subject: None,
            annotations: Default::default(),
        };
        blobs.push(config);
        let bytes = Bytes::from(serde_json::to_vec(&manifest).map_err(|e| artifact::Error::invalid(e.to_string()))?);
        Ok(Self { blobs, manifest: (Descriptor::of(media_type::MANIFEST, &bytes), bytes) })
    }

    fn layers(&self) -> impl Iterator<Item = &(Descriptor, Bytes)> {
        self.blobs.iter().filter(|(desc, _)| desc.media_type.contains("layer"))
    }

    async fn in_memory(&self) -> Result<Arc<dyn ReadStore>> {
        let memory = Memory::new();
        for (desc, bytes) in &self.blobs {
            memory.push(desc, bytes).await?;
        }
        memory.publish(&self.manifest.0, &self.manifest.1, &[TAG.to_owned()]).await?;
        Ok(Arc::new(memory))
    }

    async fn carry(&self, to: Arc<dyn Store>) -> Result<()> {
        let options = Options { tags: vec![TAG.into()], ..Options::default() };
        copy(&self.in_memory().await?, TAG, &to, &options).await.map(drop)
    }

    /// Writes the file and the layout that clients push.
    pub(crate) async fn write(&self, dir: &Path) -> Result<()> {
        if let Some((_, bytes)) = self.layers().next() {
            fs::write(dir.join(FILE), bytes)?;
        }
        self.carry(Arc::new(Layout::create(dir.join(LAYOUT))?)).await
    }

    /// Brings it to a registry.
    pub(crate) async fn push(&self, registry: SocketAddr) -> Result<()> {
        self.carry(Arc::new(repository(registry)?)).await
    }

    /// Whether a client has brought all layers to this registry, under the tag.
    ///
    /// Its manifest is the client's own, if that packs files.
    pub(crate) async fn pushed(&self, registry: SocketAddr) -> bool {
        self.holds(registry).await.unwrap_or_default()
    }

    async fn holds(&self, registry: SocketAddr) -> Result<bool> {
        let repository = repository(registry)?;
        let root = repository.resolve(TAG).await?;
        let manifest = store::read_manifest(&repository, &root).await?;
        let manifest: Manifest =
            serde_json::from_slice(&manifest).map_err(|e| artifact::Error::invalid(e.to_string()))?;
        let mut known = 0;
        for desc in manifest.layers.iter().chain([&manifest.config]) {
            let bytes = store::read(&repository, desc, desc.size).await?;
            known += usize::from(self.layers().any(|(_, layer)| *layer == bytes));
        }
        Ok(known > 0 && known == manifest.layers.len())
    }

    /// Whether there is anything under the tag.
    pub(crate) async fn tagged(&self, registry: SocketAddr) -> bool {
        match repository(registry) {
            Ok(repository) => repository.resolve(TAG).await.is_ok(),
            Err(_) => false,
        }
    }

    /// Whether files with the bytes of all layers are in this directory, and nothing wrong.
    pub(crate) fn arrived(&self, dir: &Path) -> bool {
        let found: Vec<Digest> = files(dir).iter().map(|(_, bytes)| Digest::of(bytes)).collect();
        self.layers().all(|(desc, _)| found.contains(&desc.digest)) && self.nothing_wrong(dir)
    }

    /// Whether no file here goes by the name of a layer, its digest or its title, and has other bytes.
    pub(crate) fn nothing_wrong(&self, dir: &Path) -> bool {
        files(dir).iter().all(|(name, bytes)| {
            let titled = |desc: &Descriptor| desc.annotations.values().any(|title| title == name);
            let meant = |desc: &Descriptor| name == desc.digest.hex() || titled(desc);
            self.blobs.iter().all(|(desc, right)| !meant(desc) || right == bytes)
        })
    }
}

/// All files below a directory, with their names.
fn files(dir: &Path) -> Vec<(String, Bytes)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        match fs::read(&path) {
            Ok(bytes) => found.push((entry.file_name().to_string_lossy().into_owned(), bytes.into())),
            Err(_) => found.extend(files(&path)),
        }
    }
    found
}

fn repository(registry: SocketAddr) -> Result<Repository> {
    Registry::new(&registry.to_string(), &registry::Options::default())?.repository("conformance")
}

/// A tar of one file of noise, the same for the same seed.
fn tar(size: usize, seed: u64) -> Result<Vec<u8>> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    let noise: Vec<u8> = (0..size).map(|_| next()).collect();
    let mut header = tar::Header::new_ustar();
    header.set_size(size as u64);
    header.set_mode(0o644);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, "noise", noise.as_slice())?;
    Ok(archive.into_inner()?)
}
