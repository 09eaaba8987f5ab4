//! A plan becomes blobs, manifests and indexes: [`Packed`], a read-only store whose blobs stay where they are.
//!
//! Each source file is read once: a raw layer for its digest, a member of a tar for the tar, its compression and both
//! digests in one pass. Nothing of the environment gets into the bytes: the same plan over the same files has the same
//! digest everywhere.

mod check;
mod index;
mod layer;
mod manifest;
mod outlet;
mod packed;
mod quote;
mod spool;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::{
    error::{Code, Error, Result},
    oci::{Descriptor, Digest, MAX_MANIFEST, Parsed},
    plan::{Content, Document, EntryKind, ManifestPlan, Plan, Reads},
    progress::{Event, Observer},
};
use layer::Packing;
pub use outlet::{Leaving, Outlet};
pub use packed::{Packed, PackedDocument, Summary};
use spool::BlobContent;

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

/// Packs a plan: reads and hashes all files, compresses, fills in quotes and writes manifests and indexes.
///
/// Errors: a plan that is malformed, or quotes what is not there (`Invalid`); two layers or two members of an archive
/// with one name, two members of an index for one platform (`Exists`); a file that is outside the source (`Escape`),
/// missing (`NotFound`) or changes while it is read (`Changed`); a manifest of more than 4 MiB (`Limit`); a full disk
/// (`NoSpace`). Dropping the future stops the work.
pub async fn pack(plan: &Plan, options: &Options) -> Result<Packed> {
    pack_owned(plan.clone(), options).await
}

/// The same for a plan that nobody needs any more: it may be large.
pub(crate) async fn pack_owned(plan: Plan, options: &Options) -> Result<Packed> {
    let stop = Arc::new(AtomicBool::new(false));
    let _guard = StopOnDrop(Arc::clone(&stop));
    pack_until(plan, options, stop).await
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn pack_until(plan: Plan, options: &Options, stop: Arc<AtomicBool>) -> Result<Packed> {
    let packing = Arc::new(Packing::new(&plan.base, options, stop));
    let checked = {
        let packing = Arc::clone(&packing);
        layer::working(move || {
            check::document(&plan.root)?;
            announce(&plan, &packing.options.progress);
            Ok(plan)
        })
    };
    let plan = checked.await?;
    let mut made = Vec::new();
    let root = document(&packing, plan.root, &mut made).await?;
    Ok(Packed::of(plan.type_name, root, made))
}

/// A manifest or index that is packed, with the blobs that it points at.
#[derive(Debug)]
struct MadeDocument {
    desc: Descriptor,
    bytes: Bytes,
    parsed: Parsed,
    /// The layers in the order of the plan, where the manifest has another one.
    planned: Option<Vec<Descriptor>>,
    blobs: Vec<(Digest, BlobContent)>,
}

impl MadeDocument {
    /// Errors: it has more bytes than registries take.
    fn of(media_type: &str, bytes: Vec<u8>, parsed: Parsed) -> Result<Self> {
        if bytes.len() as u64 > MAX_MANIFEST {
            let message = format!("the manifest has {} bytes; registries take at most {MAX_MANIFEST}", bytes.len());
            return Err(Error::limit(message).with_code(Code::ManifestTooLarge));
        }
        let bytes = Bytes::from(bytes);
        Ok(Self { desc: Descriptor::of(media_type, &bytes), bytes, parsed, planned: None, blobs: Vec::new() })
    }
}

/// Packs a manifest, or an index after its members. Gives its descriptor; `made` gets all of it, members first.
fn document<'a>(
    packing: &'a Arc<Packing>,
    planned: Document,
    made: &'a mut Vec<MadeDocument>,
) -> BoxFuture<'a, Result<Descriptor>> {
    Box::pin(async move {
        let document = match planned {
            Document::Manifest(planned) => manifest::pack(packing, *planned).await?,
            Document::Index(planned) => index::pack(packing, *planned, made).await?,
        };
        let desc = document.desc.clone();
        made.push(document);
        Ok(desc)
    })
}

/// Tells how much will be read: what changes meanwhile is noticed later.
fn announce(plan: &Plan, progress: &Observer) {
    if !progress.listens() {
        return;
    }
    let mut all = Reads::default();
    for manifest in plan.manifests() {
        all += manifest.reads.unwrap_or_else(|| on_disk(manifest, &plan.base));
    }
    let Reads { files, bytes } = all;
    progress.tell(Event::Packing { files, bytes });
}

/// What will be read for a manifest whose planner did not say.
fn on_disk(manifest: &ManifestPlan, base: &Path) -> Reads {
    let mut reads = Reads::default();
    let mut add = |path: &Path| reads.file(std::fs::metadata(base.join(path)).map_or(0, |meta| meta.len()));
    for part in manifest.layers.iter().chain([&manifest.config]) {
        match &part.content {
            Content::File(path) => add(path),
            Content::Tar { entries, .. } => entries.iter().for_each(|entry| match &entry.kind {
                EntryKind::File(path) => add(path),
                EntryKind::Directory | EntryKind::Text(_) | EntryKind::Symlink(_) => {}
            }),
            Content::Empty {} | Content::Text(_) | Content::Json { .. } => {}
        }
    }
    reads
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Part;

    #[tokio::test]
    async fn packing_stops_when_nobody_waits_for_it() {
        let part = |media_type: &str, content| Part {
            id: String::new(),
            media_type: media_type.into(),
            content,
            annotations: Default::default(),
        };
        let layers = vec![part("a/b", Content::Text("text".into()))];
        let manifest = ManifestPlan { layers, ..ManifestPlan::of(part("a/b", Content::Empty {})) };
        let plan = Plan {
            type_name: "test".into(),
            base: PathBuf::new(),
            root: manifest.into(),
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
