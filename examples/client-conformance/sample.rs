//! What is carried: a small container image, which every client knows, with a title on each layer for those that write
//! files.

use std::{fs, io::Write as _, net::SocketAddr, path::Path, sync::Arc};

use artifact::{
    Result,
    copy::{self, Options},
    fault,
    oci::{Descriptor, Digest, Index, Manifest, media_type},
    store::{self, Intent, Item, NameChange, ReadStore, Store},
    stores::{
        Layout, Memory,
        registry::{self, Registry, Repository},
    },
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

use crate::client::{FILE, LAYOUT};

const TAG: &str = "v1";

/// What a client carries, and what is about it.
pub(crate) struct Sample {
    main: Artifact,
    /// What [`Self::main`] is about.
    subject: Option<Artifact>,
    referrers: Vec<Artifact>,
}

/// Blobs, and the manifest that lists them.
struct Artifact {
    blobs: Vec<(Descriptor, Bytes)>,
    manifest: (Descriptor, Bytes),
}

impl Artifact {
    /// A container image of so many layers.
    fn image(wanted: &fault::Sample, about: Option<&Descriptor>) -> Result<Self> {
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
        Self::new(None, config, blobs, about)
    }

    /// A small artifact of this text.
    fn small(text: &str, about: Option<&Descriptor>) -> Result<Self> {
        let text = Bytes::from(text.to_owned());
        let layer = (Descriptor::of("application/vnd.example.note.layer.v1+txt", &text), text);
        let config = (Descriptor::empty(), Bytes::from_static(b"{}"));
        Self::new(Some("application/vnd.example.note.v1"), config, vec![layer], about)
    }

    fn new(
        artifact_type: Option<&str>,
        config: (Descriptor, Bytes),
        mut blobs: Vec<(Descriptor, Bytes)>,
        about: Option<&Descriptor>,
    ) -> Result<Self> {
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.into()),
            artifact_type: artifact_type.map(Into::into),
            config: config.0.clone(),
            layers: blobs.iter().map(|(desc, _)| desc.clone()).collect(),
            subject: about.map(Descriptor::bare),
            annotations: Default::default(),
        };
        blobs.push(config);
        let bytes = json(&manifest)?;
        Ok(Self { blobs, manifest: (Descriptor::of(media_type::MANIFEST, &bytes), bytes) })
    }

    async fn put(&self, to: &dyn Store, tag: Option<&str>) -> Result<()> {
        let write = store::begin(to, Intent::default()).await?;
        for (desc, bytes) in &self.blobs {
            write.puts().put(desc, bytes, &[]).await?;
        }
        let (desc, bytes) = &self.manifest;
        write.puts().manifest(desc, bytes).await?;
        tag.into_iter().try_for_each(|tag| write.name(NameChange::set(tag.parse()?, desc.bare())))?;
        write.commit().await.map(drop)
    }
}

impl Sample {
    pub(crate) fn new(wanted: &fault::Sample) -> Result<Self> {
        let subject = wanted.subject.then(|| Artifact::small("what it is about", None)).transpose()?;
        let main = Artifact::image(wanted, subject.as_ref().map(|subject| &subject.manifest.0))?;
        let about = Some(&main.manifest.0);
        let referrers = (0..wanted.referrers).map(|n| Artifact::small(&format!("note {n}"), about));
        Ok(Self { referrers: referrers.collect::<Result<_>>()?, main, subject })
    }

    fn layers(&self) -> impl Iterator<Item = &(Descriptor, Bytes)> {
        self.main.blobs.iter().filter(|(desc, _)| desc.media_type.contains("layer"))
    }

    /// What must arrive, whatever the client makes of the rest.
    fn content(&self) -> impl Iterator<Item = &(Descriptor, Bytes)> {
        self.layers().chain(self.referrers.iter().flat_map(|note| note.blobs.iter().chain([&note.manifest])))
    }

    async fn in_memory(&self) -> Result<Arc<dyn ReadStore>> {
        let memory = Memory::new();
        self.main.put(&memory, Some(TAG)).await?;
        for note in &self.referrers {
            note.put(&memory, None).await?;
        }
        Ok(Arc::new(memory))
    }

    async fn carry(&self, to: Arc<dyn Store>, referrers: bool) -> Result<()> {
        let options = Options { names: vec![TAG.parse()?], referrers, ..Options::default() };
        copy::between(&self.in_memory().await?, &TAG.parse()?, &to, &options).await.map(drop)
    }

    /// Writes the file and the layout that clients push.
    pub(crate) async fn write(&self, dir: &Path) -> Result<()> {
        if let Some((_, bytes)) = self.layers().next() {
            fs::write(dir.join(FILE), bytes)?;
        }
        let layout = Layout::create(dir.join(LAYOUT))?;
        // Not on the list of the layout: some clients push all that is.
        if let Some(subject) = &self.subject {
            subject.put(&layout, None).await?;
        }
        self.carry(Arc::new(layout), false).await
    }

    /// Brings it to a registry, with the list of what is about it that clients keep where a registry keeps none.
    pub(crate) async fn push(&self, registry: SocketAddr) -> Result<()> {
        self.carry(Arc::new(repository(registry)?), true).await?;
        if self.referrers.is_empty() {
            return Ok(());
        }
        let list = json(&Index::of(self.referrers.iter().map(|note| note.manifest.0.clone()).collect()))?;
        let tag = fallback(&self.main.manifest.0);
        let list = Artifact { blobs: Vec::new(), manifest: (Descriptor::of(media_type::INDEX, &list), list) };
        list.put(&repository(registry)?, Some(&tag)).await
    }

    /// Whether a client has brought all layers to this registry, under the tag; and has listed the manifest, where it is
    /// about another one.
    ///
    /// Its manifest is the client's own, if that packs files.
    pub(crate) async fn pushed(&self, registry: SocketAddr) -> bool {
        self.holds(registry).await.unwrap_or_default()
    }

    async fn holds(&self, registry: SocketAddr) -> Result<bool> {
        let repository = repository(registry)?;
        let root = repository.resolve(&TAG.parse()?).await?;
        let manifest = store::read_manifest(&repository, &root).await?;
        let manifest: Manifest =
            serde_json::from_slice(&manifest).map_err(|e| artifact::Error::invalid(e.to_string()))?;
        let mut known = 0;
        for desc in manifest.layers.iter().chain([&manifest.config]) {
            let bytes = store::read(&repository, &Item::blob(desc.clone()), desc.size).await?;
            known += usize::from(self.layers().any(|(_, layer)| *layer == bytes));
        }
        let Some(subject) = &self.subject else { return Ok(known > 0 && known == manifest.layers.len()) };
        let list = repository.resolve(&fallback(&subject.manifest.0).parse()?).await?;
        let list = store::read_manifest(&repository, &list).await?;
        let list: Index = serde_json::from_slice(&list).map_err(|e| artifact::Error::invalid(e.to_string()))?;
        Ok(known == manifest.layers.len() && list.manifests.iter().any(|member| member.digest == root.digest))
    }

    /// Whether there is anything under the tag.
    pub(crate) async fn tagged(&self, registry: SocketAddr) -> bool {
        match (repository(registry), TAG.parse()) {
            (Ok(repository), Ok(tag)) => repository.resolve(&tag).await.is_ok(),
            _ => false,
        }
    }

    /// Whether files with the bytes of all layers are in this directory, and nothing wrong.
    pub(crate) fn arrived(&self, dir: &Path) -> bool {
        let found: Vec<Digest> = files(dir).iter().map(|(_, bytes)| Digest::of(bytes)).collect();
        self.content().all(|(desc, _)| found.contains(&desc.digest)) && self.nothing_wrong(dir)
    }

    /// Whether no file here goes by the name of a layer, its digest or its title, and has other bytes.
    pub(crate) fn nothing_wrong(&self, dir: &Path) -> bool {
        files(dir).iter().all(|(name, bytes)| {
            let titled = |desc: &Descriptor| desc.annotations.values().any(|title| title == name);
            let meant = |desc: &Descriptor| *name == desc.digest.hex() || titled(desc);
            self.content().chain(&self.main.blobs).all(|(desc, right)| !meant(desc) || right == bytes)
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

/// The tag of the list of what is about a manifest (distribution-spec, "Referrers Tag Schema").
fn fallback(about: &Descriptor) -> String {
    about.digest.to_string().replace(':', "-")
}

fn json(document: &impl serde::Serialize) -> Result<Bytes> {
    serde_json::to_vec(document).map(Bytes::from).map_err(|e| artifact::Error::invalid(e.to_string()))
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
