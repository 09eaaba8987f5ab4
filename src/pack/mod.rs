//! A plan becomes blobs and a manifest: [`Packed`], a read-only store whose blobs stay where they are.
//!
//! Each source file is read once: a raw layer for its digest, a member of a tar for the tar, its compression and both
//! digests in one pass. Nothing of the environment gets into the bytes: the same plan over the same files has the same
//! digest everywhere.

mod check;
mod layer;
mod outlet;
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
    error::{Code, Context as _, Error, Result},
    oci::{Annotations, Descriptor, Digest, MAX_MANIFEST, Manifest, media_type},
    plan::{Content, EntryKind, Order, Part, Plan},
    progress::{Event, Observer},
};
use layer::{Made, Workshop};
pub use outlet::{Leaving, Outlet};
pub use packed::{Packed, Summary};
use spool::Held;

/// How a plan is packed; nothing here shows in the digests.
#[derive(Debug, Clone)]
pub struct Options {
    /// A directory for temporary files: archives that are too large for memory, until the [`Packed`] is dropped.
    pub scratch: PathBuf,
    /// How many threads read, hash and compress.
    pub threads: usize,
    /// What takes files while they are hashed.
    pub outlet: Option<Arc<dyn Outlet>>,
    /// Who is told what happens.
    pub progress: Observer,
}

impl Options {
    /// As many threads as the machine runs at a time.
    pub fn new(scratch: impl Into<PathBuf>) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { scratch: scratch.into(), threads, outlet: None, progress: Observer::default() }
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
    pack_until(plan.clone(), options, stop).await
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn pack_until(plan: Plan, options: &Options, stop: Arc<AtomicBool>) -> Result<Packed> {
    let workshop = Arc::new(Workshop::new(&plan.base, options, stop));
    let plan = {
        let workshop = Arc::clone(&workshop);
        layer::working(move || {
            check::plan(&plan)?;
            announce(&plan, &workshop.options.progress);
            Ok(plan)
        })
    };
    let mut plan = plan.await?;
    // There may be very many, which go as soon as their descriptors say it all.
    let parts = Arc::new(std::mem::take(&mut plan.layers));
    let mut layers = layer::all(&workshop, &parts).await?;
    let rest = move || {
        let annotations: Vec<_> =
            parts.iter().map(|part| quote::annotations(&part.annotations, &layers)).collect::<Result<_>>()?;
        for (made, annotations) in layers.iter_mut().zip(annotations) {
            made.desc.annotations = annotations;
        }
        check::titles(layers.iter().map(|made| made.desc.title()))?;
        drop(parts);
        let config = config(&workshop, &plan.config, &layers).context(|| "config")?;
        let annotations = quote::annotations(&plan.manifest.annotations, &layers)?;
        finish(&plan, annotations, layers, config)
    };
    layer::working(rest).await
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
fn config(workshop: &Workshop, part: &Part, layers: &[Made]) -> Result<Made> {
    let mut made = match &part.content {
        Content::Json { value, encoding } => {
            Made::of(&part.media_type, encoding.encode(&quote::fill(value, layers)?)?.into())
        }
        _ => layer::one(workshop, part, workshop.threads())?,
    };
    made.desc.annotations = quote::annotations(&part.annotations, layers)?;
    Ok(made)
}

/// The layers in the order of the manifest, and in that of the plan where it is another one.
fn ordered(planned: Vec<Descriptor>, order: Order) -> (Vec<Descriptor>, Option<Vec<Descriptor>>) {
    if planned.is_empty() {
        // The schema of the image specification wants at least one layer (manifest.md, "Guidance for an Empty
        // Descriptor").
        return (vec![Descriptor::empty()], Some(planned));
    }
    if order != Order::Digest {
        return (planned, None);
    }
    let mut sorted = planned.clone();
    sorted.sort_by(|a, b| a.digest.cmp(&b.digest));
    (sorted, Some(planned))
}

fn finish(plan: &Plan, annotations: Annotations, layers: Vec<Made>, config: Made) -> Result<Packed> {
    let wanted = &plan.manifest;
    let (mut blobs, mut descriptors) = (HashMap::new(), Vec::with_capacity(layers.len()));
    blobs.insert(Digest::of(b"{}"), Held::Memory(Bytes::from_static(b"{}")));
    for made in layers {
        blobs.insert(made.desc.digest.clone(), made.held);
        descriptors.push(made.desc);
    }
    blobs.insert(config.desc.digest.clone(), config.held);
    let (layers, planned) = ordered(descriptors, wanted.order);
    let manifest = Manifest {
        schema_version: 2,
        media_type: (!wanted.omit_media_type).then(|| media_type::MANIFEST.into()),
        artifact_type: wanted.artifact_type.clone(),
        config: config.desc,
        layers,
        subject: wanted.subject.clone(),
        annotations,
    };
    let bytes = Bytes::from(wanted.encoding.encode(&manifest)?);
    if bytes.len() as u64 > MAX_MANIFEST {
        let message = format!("the manifest has {} bytes; registries take at most {MAX_MANIFEST}", bytes.len());
        return Err(Error::limit(message).with_code(Code::ManifestTooLarge));
    }
    let root = Descriptor::of(media_type::MANIFEST, &bytes);
    blobs.insert(root.digest.clone(), Held::Memory(bytes.clone()));
    Ok(Packed { type_name: plan.type_name.clone(), root, bytes, manifest, planned, blobs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{API_VERSION, ManifestPlan};

    #[tokio::test]
    async fn packing_stops_when_nobody_waits_for_it() {
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
        assert!(pack_until(plan.clone(), &options, Arc::clone(&stop)).await.is_ok());
        drop(StopOnDrop(Arc::clone(&stop)));
        let error = pack_until(plan, &options, stop).await.unwrap_err();
        assert!(error.to_string().contains("packing was stopped"), "{error}");
    }
}
