//! A plan becomes blobs and a manifest: [`Packed`], a read-only store whose blobs stay where they are.
//!
//! Each source file is read once: a raw layer for its digest, a member of a tar for the tar, its compression and both
//! digests in one pass. Nothing of the environment gets into the bytes: the same plan over the same files has the same
//! digest everywhere.

mod check;
mod layer;
mod packed;
mod quote;
mod spool;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;

use crate::{
    ahead::Ahead,
    error::{Context as _, Error, Kind, Result},
    oci::{Descriptor, Digest, MAX_MANIFEST, Manifest, media_type},
    plan::{Content, EntryKind, Order, Plan},
    progress::{Event, Observer},
};
use layer::{Made, Workshop};
pub use packed::{Packed, Summary};
use spool::Held;

/// How a plan is packed; nothing here shows in the digests.
#[derive(Debug, Clone)]
pub struct Options {
    /// A directory for temporary files: archives that are too large for memory, until the [`Packed`] is dropped.
    pub scratch: PathBuf,
    /// How many threads read, hash and compress.
    pub threads: usize,
    /// Where large files leave for while they are hashed.
    pub ahead: Option<Arc<Ahead>>,
    /// Who is told what happens.
    pub progress: Observer,
}

impl Options {
    /// As many threads as the machine runs at a time.
    pub fn new(scratch: impl Into<PathBuf>) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { scratch: scratch.into(), threads, ahead: None, progress: Observer::default() }
    }
}

/// Packs a plan: reads and hashes all files, compresses, fills in quotes and writes the manifest.
///
/// Errors: a plan that is malformed, or quotes what is not there (`Invalid`); two layers or two members of an archive
/// with one name (`Exists`); a file that is outside the source (`Escape`), missing (`NotFound`) or changes while it is
/// read (`Changed`); a manifest of more than 4 MiB (`Limit`); a full disk (`NoSpace`). Dropping the future stops
/// the work.
pub async fn pack(plan: &Plan, options: &Options) -> Result<Packed> {
    let stop = Arc::new(AtomicBool::new(false));
    let _guard = StopOnDrop(Arc::clone(&stop));
    let (plan, options) = (plan.clone(), options.clone());
    let work = tokio::task::spawn_blocking(move || pack_now(&plan, &options, &stop));
    work.await.map_err(|e| Error::caused(Kind::Internal, "a packing thread failed", e))?
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn pack_now(plan: &Plan, options: &Options, stop: &AtomicBool) -> Result<Packed> {
    check::plan(plan)?;
    let workshop = Workshop::new(&plan.base, options, stop);
    announce(plan, &options.progress);
    let mut layers = layer::all(&workshop, &plan.layers, options.threads.max(1))?;
    let annotations: Vec<_> =
        plan.layers.iter().map(|part| quote::annotations(&part.annotations, &layers)).collect::<Result<_>>()?;
    for (made, annotations) in layers.iter_mut().zip(annotations) {
        made.desc.annotations = annotations;
    }
    check::titles(layers.iter().map(|made| made.desc.title()))?;
    let config = config(&workshop, plan, &layers, options.threads.max(1)).context(|| "config")?;
    let manifest = manifest(plan, config.desc.clone(), &layers)?;
    finish(plan, manifest, layers, config)
}

/// Tells how much will be read: what changes meanwhile is noticed later.
fn announce(plan: &Plan, progress: &Observer) {
    if !progress.listens() {
        return;
    }
    let (mut files, mut bytes) = (0, 0_u64);
    let mut add = |path: &Path| {
        files += 1;
        bytes = bytes.saturating_add(std::fs::metadata(plan.base.join(path)).map_or(0, |meta| meta.len()));
    };
    for part in plan.layers.iter().chain([&plan.config]) {
        match &part.content {
            Content::File(path) => add(path),
            Content::Tar { entries, .. } => entries.iter().for_each(|entry| match &entry.kind {
                EntryKind::File(path) => add(path),
                EntryKind::Directory | EntryKind::Text(_) | EntryKind::Symlink(_) => {}
            }),
            Content::Empty {} | Content::Text(_) | Content::Json { .. } => {}
        }
    }
    progress.tell(Event::Packing { files, bytes });
}

/// The config blob; only a JSON config may hold quotes.
fn config(workshop: &Workshop<'_>, plan: &Plan, layers: &[Made], threads: usize) -> Result<Made> {
    let part = &plan.config;
    let mut made = match &part.content {
        Content::Json { value, encoding } => {
            Made::of(&part.media_type, encoding.encode(&quote::fill(value, layers)?)?.into())
        }
        _ => layer::one(workshop, part, threads)?,
    };
    made.desc.annotations = quote::annotations(&part.annotations, layers)?;
    Ok(made)
}

fn manifest(plan: &Plan, config: Descriptor, layers: &[Made]) -> Result<Manifest> {
    let wanted = &plan.manifest;
    let annotations = quote::annotations(&wanted.annotations, layers)?;
    let mut layers: Vec<Descriptor> = layers.iter().map(|made| made.desc.clone()).collect();
    if wanted.order == Order::Digest {
        layers.sort_by(|a, b| a.digest.cmp(&b.digest));
    }
    if layers.is_empty() {
        // The schema of the image specification wants at least one layer (manifest.md, "Guidance for an Empty
        // Descriptor").
        layers.push(Descriptor::empty());
    }
    Ok(Manifest {
        schema_version: 2,
        media_type: (!wanted.omit_media_type).then(|| media_type::MANIFEST.into()),
        artifact_type: wanted.artifact_type.clone(),
        config,
        layers,
        subject: wanted.subject.clone(),
        annotations,
    })
}

fn finish(plan: &Plan, manifest: Manifest, layers: Vec<Made>, config: Made) -> Result<Packed> {
    let bytes = Bytes::from(plan.manifest.encoding.encode(&manifest)?);
    if bytes.len() as u64 > MAX_MANIFEST {
        let message = format!("the manifest has {} bytes; registries take at most {MAX_MANIFEST}", bytes.len());
        return Err(Error::limit(message));
    }
    let root = Descriptor::of(media_type::MANIFEST, &bytes);
    let descriptors = layers.iter().map(|made| made.desc.clone()).collect();
    let mut blobs: HashMap<Digest, Held> = HashMap::new();
    blobs.insert(Digest::of(b"{}"), Held::Memory(Bytes::from_static(b"{}")));
    for made in layers.into_iter().chain([config]) {
        blobs.insert(made.desc.digest, made.held);
    }
    blobs.insert(root.digest.clone(), Held::Memory(bytes.clone()));
    Ok(Packed { type_name: plan.type_name.clone(), root, bytes, manifest, layers: descriptors, blobs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{API_VERSION, ManifestPlan, Part};

    #[test]
    fn packing_stops_when_nobody_waits_for_it() {
        let part = |media_type: &str, content| Part {
            id: String::new(),
            media_type: media_type.into(),
            content,
            annotations: Default::default(),
        };
        let plan = Plan {
            api_version: API_VERSION.into(),
            type_name: "test".into(),
            base: PathBuf::new(),
            config: part("a/b", Content::Empty {}),
            layers: vec![part("a/b", Content::Text("text".into()))],
            manifest: ManifestPlan::default(),
            reference: Default::default(),
            warnings: Vec::new(),
        };
        let options = Options::new(".");
        let stop = Arc::new(AtomicBool::new(false));
        assert!(pack_now(&plan, &options, &stop).is_ok());
        drop(StopOnDrop(Arc::clone(&stop)));
        let error = pack_now(&plan, &options, &stop).unwrap_err();
        assert!(error.to_string().contains("packing was stopped"), "{error}");
    }
}
