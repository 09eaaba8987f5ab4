//! Packs a plan into blobs, manifests and indexes: [`Packed`], a read-only store whose blobs stay in place.
//!
//! Each source file is read once: a raw layer for its digest; a tar member for the tar, its compression and both
//! digests in one pass. The bytes do not depend on the environment: a plan over equal files has the same digest
//! everywhere.

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

/// Options for packing; none affects digests.
#[derive(Debug, Clone)]
pub struct Options {
    /// Directory for temporary files: archives too large for memory, kept until the [`Packed`] is dropped.
    pub scratch: PathBuf,
    /// Number of threads that read, hash and compress.
    pub threads: usize,
    /// Receiver of files during hashing.
    pub outlet: Option<Arc<dyn Outlet>>,
    /// Observer of progress.
    pub progress: Observer,
}

impl Options {
    /// Options with one thread per CPU.
    pub fn new(scratch: impl Into<PathBuf>) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { scratch: scratch.into(), threads, outlet: None, progress: Observer::default() }
    }
}

/// Packs a plan: reads and hashes all files, compresses, fills in quotes and writes manifests and indexes.
///
/// Errors: a malformed plan or an invalid quote (`Invalid`); two layers or two members of an archive with one name, two
/// members of an index with one platform (`Exists`); a file outside the source (`Escape`), missing (`NotFound`) or
/// changed during reading (`Changed`); a manifest larger than 4 MiB (`Limit`); a full disk (`NoSpace`). Dropping the
/// future stops the work.
pub async fn pack(plan: &Plan, options: &Options) -> Result<Packed> {
    pack_owned(plan.clone(), options).await
}

/// Packs a plan and frees it early, since it can be large.
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

/// A packed manifest or index with its blobs.
#[derive(Debug)]
struct MadeDocument {
    desc: Descriptor,
    bytes: Bytes,
    parsed: Parsed,
    /// The layers in plan order, if the manifest has a different order.
    planned: Option<Vec<Descriptor>>,
    blobs: Vec<(Digest, BlobContent)>,
}

impl MadeDocument {
    /// Errors: larger than registries accept.
    fn of(media_type: &str, bytes: Vec<u8>, parsed: Parsed) -> Result<Self> {
        fits(bytes.len() as u64, "")?;
        let bytes = Bytes::from(bytes);
        Ok(Self { desc: Descriptor::of(media_type, &bytes), bytes, parsed, planned: None, blobs: Vec::new() })
    }
}

/// Errors: a manifest of so many bytes, or of `at_least` so many, is larger than registries accept.
fn fits(len: u64, at_least: &str) -> Result<()> {
    if len <= MAX_MANIFEST {
        return Ok(());
    }
    let message = format!("the manifest has {at_least}{len} bytes; registries accept at most {MAX_MANIFEST}");
    Err(Error::limit(message).with_code(Code::ManifestTooLarge))
}

/// Packs a manifest, or an index after its members. Returns its descriptor and adds all documents to `made`.
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

/// Reports the expected reads; changed files are noticed later.
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

/// Determines the reads of a manifest without a figure from its planner.
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
