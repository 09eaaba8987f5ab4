//! A store of one's own: content in one flat directory, and an artifact copied into it.
//!
//! A store answers seven questions, and a session of it four: find, hand out, take in, and make it all visible at once.
//! Walking the artifact, running transfers side by side and giving up in good order are the engine's part, so every
//! store has them. At the end it sits the exam that every store sits.
//!
//!     cargo run --example custom_store [DIRECTORY]

#![allow(clippy::print_stdout)]

use std::{
    fmt,
    io::Write as _,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use artifact::{
    Context, Error, Kind, Result,
    blob::{Blob, ByteStream, FileSlice},
    copy,
    error::Context as _,
    exam::{BEHAVIOURS, Candidate},
    location,
    oci::{Descriptor, Digest, Parsed, Role, Tag, json::Encoding},
    progress::Outcome,
    push,
    store::{
        Abilities, Committed, Home, Intent, Item, Name, NameChange, NameOutcome, NamePage, Presence, ReadStore,
        Session, Store, one_page, verified,
    },
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{TryStreamExt as _, stream::BoxStream};

/// `HEX.blob` is content, `HEX.manifest` the descriptor of content that is a manifest, `NAME.tag` the descriptor that
/// a tag points at.
#[derive(Clone)]
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
        let tag: Tag = name.parse()?;
        Ok(self.0.join(format!("{tag}.tag")))
    }

    /// Removes content, and with a manifest the tags that stand for it.
    fn remove(&self, desc: &Descriptor) -> Result<()> {
        for tag in self.list(".tag")? {
            let path = self.tag_file(&tag)?;
            if read_descriptor(&path)?.digest == desc.digest {
                std::fs::remove_file(path)?;
            }
        }
        if self.manifest(&desc.digest).exists() {
            std::fs::remove_file(self.manifest(&desc.digest))?;
        }
        std::fs::remove_file(self.blob(&desc.digest))?;
        Ok(())
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
    async fn resolve(&self, name: &Name) -> Result<Descriptor> {
        match name {
            Name::Digest(digest) => read_descriptor(&self.manifest(digest)),
            Name::Ref(name) if name.parse::<Tag>().is_ok() => read_descriptor(&self.tag_file(name)?),
            name => Err(Error::not_found(format!("`{name}` in {self}"))),
        }
    }

    /// Unverified, as the trait says: whoever reads wraps this in the one verifying reader.
    async fn fetch(&self, item: &Item, range: Range<u64>) -> Result<ByteStream> {
        let path = self.blob(&item.desc.digest);
        let end = range.end.min(path.metadata().context(|| format!("{} in {self}", item.desc.digest))?.len());
        FileSlice { path, offset: range.start, len: end.saturating_sub(range.start) }.open(0).await
    }

    async fn has(&self, items: &[Item]) -> Result<Vec<Presence>> {
        let presence = |Item { desc, role }: &Item| match self.blob(&desc.digest).metadata() {
            Ok(meta) if *role == Role::Blob || self.manifest(&desc.digest).exists() => Presence::here(meta.len()),
            _ => Presence::Absent,
        };
        Ok(items.iter().map(presence).collect())
    }

    fn names(&self) -> BoxStream<'_, Result<NamePage>> {
        one_page(async {
            let names = self.list(".tag")?.iter().map(|tag| tag.parse()).collect::<Result<_>>()?;
            Ok(NamePage { names, ..NamePage::default() })
        })
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
    /// Nothing out of the ordinary: content comes under its digest, and names of any number of artifacts at a time.
    fn abilities(&self) -> Abilities {
        let mut abilities = Abilities::default();
        (abilities.any_media_type, abilities.deletes) = (true, true);
        abilities
    }

    async fn begin(&self, intent: Intent) -> Result<Arc<dyn Session>> {
        Ok(Arc::new(Writing { store: self.clone(), intent, staged: Mutex::new(Some(Staged::default())) }))
    }
}

/// One writing. Content is there under its digest as it comes; descriptors of manifests and tags, by which it is found,
/// with `commit`.
struct Writing {
    store: Flat,
    intent: Intent,
    /// `None` when the writing is over.
    staged: Mutex<Option<Staged>>,
}

#[derive(Default)]
struct Staged {
    manifests: Vec<Descriptor>,
    names: Vec<NameChange>,
}

impl Writing {
    /// Notes what `commit` is to do.
    fn note(&self, note: impl FnOnce(&mut Staged)) -> Result<()> {
        let mut staged = self.staged.lock().unwrap_or_else(PoisonError::into_inner);
        staged.as_mut().map(note).ok_or_else(ended)
    }
}

fn ended() -> Error {
    Error::new(Kind::Internal, "the session has already ended")
}

#[async_trait]
impl Session for Writing {
    /// Under its final name there is only ever verified content: a temporary file is renamed with the last byte.
    async fn put(&self, desc: &Descriptor, blob: &dyn Blob, _mount_from: &[Home]) -> Result<Outcome> {
        if self.store.blob(&desc.digest).metadata().is_ok_and(|meta| meta.len() == desc.size) {
            return Ok(Outcome::Present);
        }
        let mut file = tempfile::NamedTempFile::new_in(&self.store.0)?;
        let mut bytes = verified(desc, blob.open(0).await?);
        while let Some(chunk) = bytes.try_next().await? {
            file.write_all(&chunk)?;
        }
        file.as_file().sync_all()?;
        file.persist(self.store.blob(&desc.digest)).map_err(|e| e.error)?;
        Ok(Outcome::Moved)
    }

    async fn manifest(&self, desc: &Descriptor, bytes: &Bytes) -> Result<Outcome> {
        Parsed::read(&desc.media_type, bytes)?;
        let outcome = self.put(desc, bytes, &[]).await?;
        self.note(|staged| staged.manifests.push(desc.bare()))?;
        Ok(outcome)
    }

    fn name(&self, change: NameChange) -> Result<()> {
        self.store.tag_file(&change.name)?;
        self.note(|staged| staged.names.push(change))
    }

    /// Looks at everything that could stand in the way, and only then changes anything.
    async fn commit(&self) -> Result<Committed> {
        let staged = self.staged.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Staged { manifests, names } = staged.ok_or_else(ended)?;
        let (flat, mut found) = (&self.store, Vec::new());
        for Item { desc, .. } in self.intent.items.iter().chain(&self.intent.removals) {
            flat.blob(&desc.digest).metadata().context(|| format!("{} in {flat}", desc.digest))?;
        }
        for NameChange { name, to, expect, .. } in &names {
            let now = read_descriptor(&flat.tag_file(name)?).ok().map(|desc| desc.digest);
            expect.check(name, now.as_ref())?;
            match to {
                Some(desc) if manifests.iter().any(|new| new.digest == desc.digest) => {}
                Some(desc) => drop(read_descriptor(&flat.manifest(&desc.digest))?),
                None if now.is_none() => return Err(Error::not_found(format!("tag `{name}` in {flat}"))),
                None => {}
            }
            found.push(now);
        }
        for desc in &manifests {
            write_descriptor(&flat.manifest(&desc.digest), desc)?;
        }
        let mut committed = Committed::default();
        for (NameChange { name, to, .. }, now) in names.iter().zip(found) {
            match to {
                Some(desc) => write_descriptor(&flat.tag_file(name)?, &read_descriptor(&flat.manifest(&desc.digest))?)?,
                None => std::fs::remove_file(flat.tag_file(name)?)?,
            }
            let outcome = NameOutcome::of(now.as_ref(), to.as_ref().map(|desc| &desc.digest));
            committed.names.push((name.clone(), outcome));
        }
        for Item { desc, .. } in &self.intent.removals {
            flat.remove(desc)?;
        }
        Ok(committed)
    }
}

/// Every behaviour gets an empty store.
async fn sit_the_exam() -> Result<()> {
    for behaviour in BEHAVIOURS {
        let dir = tempfile::tempdir()?;
        let flat = Flat(dir.path().to_owned());
        let candidate = Candidate::new(Arc::new(flat.clone()), move || Arc::new(flat.clone())).keeping(dir);
        println!("{}: {}", behaviour.name, behaviour.run(candidate).await);
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let kept = std::env::args_os().nth(1).map(PathBuf::from);
    let scratch = tempfile::tempdir()?;
    let dir = kept.unwrap_or_else(|| scratch.path().join("flat"));
    std::fs::create_dir_all(&dir)?;

    // An artifact, where locations lead: they are for the stores that come with the library.
    let (context, note) = (Context::new(scratch.path()), scratch.path().join("note.txt"));
    std::fs::write(&note, "buy milk\n")?;
    let layout = format!("oci:{}:v1", scratch.path().join("layout").display());
    push(&note, &layout, &context, &push::Options::default()).await?;

    // Any other store takes part in a copy as itself.
    let from = location::open(&layout, &context).await?;
    let to: Arc<dyn Store> = Arc::new(Flat(dir.clone()));
    let options = copy::Options { names: vec!["v1".parse()?], ..Default::default() };
    let report = copy::between(&from.store, &from.location.name(), &to, &options).await?;
    println!("{}: {} moved, {} bytes", report.root.digest, report.moved, report.bytes);

    let again = copy::between(&from.store, &from.location.name(), &to, &options).await?;
    println!("again: {} moved, {} present", again.moved, again.present);
    for (extension, what) in [(".blob", "content"), (".manifest", "manifests"), (".tag", "tags")] {
        println!("{} {what}", Flat(dir.clone()).list(extension)?.len());
    }
    sit_the_exam().await
}
