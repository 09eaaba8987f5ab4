//! A store of one's own: content in one flat directory, and an artifact copied into it.
//!
//! The two traits ask for little: find, hand out, take in, tag. Walking the artifact, running transfers side by side
//! and moving the tag last are the engine's part, so every store has them.
//!
//!     cargo run --example custom_store [DIRECTORY]

#![allow(clippy::print_stdout)]

use std::{
    fmt,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use artifact::{
    Error, Kind, Result,
    blob::{Blob, ByteStream, FileSlice},
    copy,
    error::Context as _,
    oci::{Annotations, Descriptor, Digest, Manifest, Parsed, annotation, json::Encoding, media_type},
    store::{ReadStore, Store, verified},
    stores::Memory,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;

/// `HEX.blob` is content, `HEX.manifest` the descriptor of content that is a manifest, `NAME.tag` the descriptor that
/// a tag points at.
struct Flat(PathBuf);

impl Flat {
    fn blob(&self, digest: &Digest) -> PathBuf {
        self.0.join(format!("{}.blob", digest.hex()))
    }

    fn manifest(&self, digest: &Digest) -> PathBuf {
        self.0.join(format!("{}.manifest", digest.hex()))
    }

    /// A tag becomes a file name, so it must be one.
    fn tag_file(&self, name: &str) -> Result<PathBuf> {
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if !plain || name.is_empty() {
            return Err(Error::invalid(format!("`{}` is not a tag", name.escape_debug())));
        }
        Ok(self.0.join(format!("{name}.tag")))
    }

    /// The names of files with this extension, without it, sorted.
    fn list(&self, extension: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in self.0.read_dir()? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            names.extend(name.strip_suffix(extension).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }
}

fn read_descriptor(path: &Path) -> Result<Descriptor> {
    let text = std::fs::read(path).context(|| format!("cannot read `{}`", path.display()))?;
    serde_json::from_slice(&text).map_err(|e| Error::caused(Kind::Invalid, format!("`{}`", path.display()), e))
}

fn write_descriptor(path: &Path, desc: &Descriptor) -> Result<()> {
    std::fs::write(path, Encoding::Compact.encode(desc)?).context(|| format!("cannot write `{}`", path.display()))
}

impl fmt::Display for Flat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flat:{}", self.0.display())
    }
}

#[async_trait]
impl ReadStore for Flat {
    async fn resolve(&self, name: &str) -> Result<Descriptor> {
        match name.parse::<Digest>() {
            Ok(digest) => read_descriptor(&self.manifest(&digest)),
            Err(_) => read_descriptor(&self.tag_file(name)?),
        }
    }

    /// Unverified, as the trait says: whoever reads wraps this in the one verifying reader.
    async fn fetch(&self, desc: &Descriptor, from: u64) -> Result<ByteStream> {
        FileSlice { path: self.blob(&desc.digest), offset: 0, len: desc.size }.open(from).await
    }

    async fn size(&self, digest: &Digest) -> Result<u64> {
        Ok(self.blob(digest).metadata().context(|| format!("{digest} in {self}"))?.len())
    }

    async fn tags(&self) -> Result<Vec<String>> {
        self.list(".tag")
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        let mut found = Vec::new();
        for hex in self.list(".manifest")? {
            let desc = read_descriptor(&self.0.join(format!("{hex}.manifest")))?;
            let parsed = Parsed::read(&desc.media_type, &std::fs::read(self.blob(&desc.digest))?)?;
            if parsed.subject().is_some_and(|s| s.digest == subject.digest) {
                let (kind, annotations) = (parsed.artifact_type().map(Into::into), parsed.annotations().clone());
                found.push(Descriptor { artifact_type: kind, annotations, ..desc });
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl Store for Flat {
    async fn contains(&self, desc: &Descriptor) -> Result<bool> {
        let known = !media_type::points(&desc.media_type) || self.manifest(&desc.digest).exists();
        Ok(known && self.blob(&desc.digest).exists())
    }

    /// Under its final name there is only ever verified content: a temporary file is renamed with the last byte.
    async fn push(&self, desc: &Descriptor, blob: &dyn Blob) -> Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
        let mut bytes = verified(desc, blob.open(0).await?);
        while let Some(chunk) = bytes.try_next().await? {
            file.write_all(&chunk)?;
        }
        file.persist(self.blob(&desc.digest)).map_err(|e| e.error)?;
        if media_type::points(&desc.media_type) {
            write_descriptor(&self.manifest(&desc.digest), &desc.bare())?;
        }
        Ok(())
    }

    async fn tag(&self, name: &str, desc: &Descriptor) -> Result<()> {
        write_descriptor(&self.tag_file(name)?, &read_descriptor(&self.manifest(&desc.digest))?)
    }

    async fn untag(&self, name: &str) -> Result<()> {
        std::fs::remove_file(self.tag_file(name)?).context(|| format!("tag `{name}` in {self}"))
    }

    async fn delete(&self, desc: &Descriptor) -> Result<()> {
        for tag in self.tags().await? {
            if self.resolve(&tag).await?.digest == desc.digest {
                self.untag(&tag).await?;
            }
        }
        if media_type::points(&desc.media_type) {
            std::fs::remove_file(self.manifest(&desc.digest)).context(|| format!("{} in {self}", desc.digest))?;
        }
        std::fs::remove_file(self.blob(&desc.digest)).context(|| format!("{} in {self}", desc.digest))
    }
}

/// A store with one artifact in it, made by hand: one note as its only layer, and nothing to configure.
async fn a_note() -> Result<Memory> {
    let (store, note) = (Memory::new(), Bytes::from_static(b"buy milk\n"));
    let mut layer = Descriptor::of("text/plain", &note);
    layer.annotations.insert(annotation::TITLE.into(), "note.txt".into());
    store.push(&layer, &note).await?;
    store.push(&Descriptor::empty(), &Bytes::from_static(b"{}")).await?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::MANIFEST.into()),
        artifact_type: Some("application/vnd.example.note.v1".into()),
        config: Descriptor::empty(),
        layers: vec![layer],
        subject: None,
        annotations: Annotations::new(),
    };
    let bytes = Bytes::from(Encoding::Go.encode(&manifest)?);
    store.publish(&Descriptor::of(media_type::MANIFEST, &bytes), &bytes, &["v1".into()]).await?;
    Ok(store)
}

#[tokio::main]
async fn main() -> Result<()> {
    let kept = std::env::args_os().nth(1).map(PathBuf::from);
    let scratch = tempfile::tempdir()?;
    let dir = kept.unwrap_or_else(|| scratch.path().to_owned());
    std::fs::create_dir_all(&dir)?;

    let from: Arc<dyn ReadStore> = Arc::new(a_note().await?);
    let to: Arc<dyn Store> = Arc::new(Flat(dir.clone()));
    let options = copy::Options { tags: vec!["v1".into()], ..Default::default() };
    let report = copy(&from, "v1", &to, &options).await?;
    println!("{}: {} moved, {} bytes", report.root.digest, report.moved, report.bytes);

    let again = copy(&from, "v1", &to, &options).await?;
    println!("again: {} moved, {} present", again.moved, again.present);
    for (extension, what) in [(".blob", "content"), (".manifest", "manifests"), (".tag", "tags")] {
        println!("{} {what}", Flat(dir.clone()).list(extension)?.len());
    }
    Ok(())
}
