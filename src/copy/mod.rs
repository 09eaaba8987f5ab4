//! The engine: everything that moves is a copy between stores. First a plan is made, which shows what will be done;
//! gates judge it; then it runs. Blobs in parallel, then manifests children first, referrers after subjects, names
//! last; nothing that a destination has is moved.

mod blobs;
mod concurrency;
mod early_upload;
mod gate;
pub mod naming;
mod plan;
mod run;

use std::sync::Arc;

pub use self::{
    early_upload::EarlyUpload,
    gate::{Approved, Evidence, Gate},
    plan::{CopyPlan, Destination, Part, PlannedName, names, plan},
};
use crate::{
    error::{Code, Context as _, Error, Result},
    graph::Root,
    oci::{Descriptor, Digest, Platform, RefName},
    progress::{Counts, Observer, Outcome},
    store::{Name, NameOutcome, ReadStore, Store, compare},
};

/// What a copy does beyond carrying one artifact.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Names at the destination.
    pub names: Vec<RefName>,
    /// Whether signatures, SBOMs and whatever else refers to the artifact come along.
    pub referrers: bool,
    /// Of an index, only the manifest for this platform.
    pub platform: Option<Platform>,
    /// What a name of a layout or archive stood for leaves its list: see [`crate::store::NameChange::replace`].
    pub replace: bool,
    /// Looks for all content, also where a name says that it is there.
    pub recheck: bool,
    /// Asks a registry about every blob while planning, so that the bytes of the plan are exact.
    pub exact: bool,
    /// How many blobs move at a time; without it 6, and up to 32 small ones where answers take long.
    pub concurrency: Option<usize>,
    /// What left for the destination while it was packed.
    pub early_upload: Option<Arc<EarlyUpload>>,
    /// Who is told what happens.
    pub progress: Observer,
}

/// What a copy did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The manifest that was asked for.
    pub root: Descriptor,
    /// Manifests and blobs that moved.
    pub moved: usize,
    /// Bytes that moved.
    pub bytes: u64,
    /// Manifests and blobs that were there already.
    pub present: usize,
    /// Blobs that the destination took from a neighbour.
    pub mounted: usize,
    /// Bytes that did not have to move again, because an earlier transfer had moved them.
    pub resumed: u64,
    /// How often something that had failed was tried again. Here and in `resumed` counts what is told to
    /// [`Options::progress`]: give a registry's client the same [`Observer`].
    pub retried: u64,
    /// What became of each name.
    pub names: Vec<NameReport>,
    /// What may be missing: see [`crate::graph::Graph::notes`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Of a plan: some content was not asked about, so that the bytes are at most these.
    #[serde(skip)]
    pub unknown: bool,
}

/// What became of a name.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct NameReport {
    /// The name at the destination.
    pub name: RefName,
    /// What it stood for before.
    pub from: Option<Digest>,
    /// What it stands for now.
    pub to: Digest,
    /// `new`, `moved` or `same`.
    pub outcome: &'static str,
}

impl From<&PlannedName> for NameReport {
    fn from(planned: &PlannedName) -> Self {
        let outcome = match planned.outcome() {
            NameOutcome::Same => "same",
            NameOutcome::Moved(_) => "moved",
            _ => "new",
        };
        Self { name: planned.name.clone(), from: planned.from.clone(), to: planned.to.digest.clone(), outcome }
    }
}

impl Report {
    /// A report of nothing done.
    #[must_use]
    pub fn of(root: Descriptor) -> Self {
        Self {
            root,
            moved: 0,
            bytes: 0,
            present: 0,
            mounted: 0,
            resumed: 0,
            retried: 0,
            names: Vec::new(),
            notes: Vec::new(),
            unknown: false,
        }
    }

    fn with(self, Counts { resumed, retried }: Counts) -> Self {
        Self { resumed, retried, ..self }
    }

    fn count(&mut self, desc: &Descriptor, outcome: Outcome) {
        match outcome {
            Outcome::Moved => {
                self.moved += 1;
                self.bytes = self.bytes.saturating_add(desc.size);
            }
            Outcome::Present => self.present += 1,
            Outcome::Mounted => self.mounted += 1,
        }
    }
}

impl CopyPlan {
    /// What a run would do, as far as it can be known without trying: content that could be mounted counts as moved.
    #[must_use]
    pub fn foresee(&self) -> Report {
        let mut report = Report::of(self.root().cloned().unwrap_or_else(Descriptor::empty));
        self.parts().iter().for_each(|part| run::foresee(part, &mut report));
        report
    }
}

/// Copies what this name stands for from one store to another, with all that it points at: a plan of one artifact, run
/// without a gate. [`crate::copy()`] does so with locations.
///
/// On an error no tag has moved, and what was copied so far stays for the next attempt. Content that arrives with other
/// bytes than described is fetched once more.
pub async fn between(from: &Arc<dyn ReadStore>, name: &Name, to: &Arc<dyn Store>, options: &Options) -> Result<Report> {
    let found = from.resolve(name).await?;
    if let Name::Digest(asked) = name {
        compare(asked, found.digest.clone()).context(|| format!("resolve {asked} in {from}"))?;
    }
    copy_root(from, found, to, options).await
}

/// Copies a manifest that was resolved already, with all that it points at. See [`between`].
pub async fn copy_root(
    from: &Arc<dyn ReadStore>,
    root: Descriptor,
    to: &Arc<dyn Store>,
    options: &Options,
) -> Result<Report> {
    let root = select(from, root, options.platform.as_ref()).await?;
    copy_roots(std::slice::from_ref(from), vec![Root::new(root, options.names.clone())], to, options).await
}

/// Copies manifests that these stores have, each under its own names. See [`between`].
pub async fn copy_roots(
    from: &[Arc<dyn ReadStore>],
    roots: Vec<Root>,
    to: &Arc<dyn Store>,
    options: &Options,
) -> Result<Report> {
    to.intend();
    let destination = Destination { store: Arc::clone(to), roots };
    let plan = plan(from, vec![destination], options).await?;
    plan.approve(&[]).await?.run(options).await
}

/// What is on its way to this destination.
fn early<'a>(to: &Arc<dyn Store>, options: &'a Options) -> Option<&'a EarlyUpload> {
    options.early_upload.as_deref().filter(|early| early.is_to(to))
}

/// Of an index, the manifest for this platform; anything else as it is. Error kind `NotFound` when there is none.
pub async fn select(from: &Arc<dyn ReadStore>, root: Descriptor, platform: Option<&Platform>) -> Result<Descriptor> {
    let Some(platform) = platform else { return Ok(root) };
    if !crate::oci::media_type::is_index(&root.media_type) {
        return Ok(root);
    }
    let bytes = crate::store::read_manifest(from.as_ref(), &root).await?;
    let index = crate::oci::Parsed::read(&root.media_type, &bytes)?;
    let children: Vec<_> = index.children().into_iter().map(|(_, child)| child).collect();
    let found = children.iter().find(|child| child.platform.as_deref().is_some_and(|own| own.satisfies(platform)));
    found.copied().cloned().ok_or_else(|| {
        let there = children.iter().filter_map(|child| Some(child.platform.as_ref()?.to_string())).collect::<Vec<_>>();
        let there = if there.is_empty() { "none".into() } else { there.join(", ") };
        let message = format!("no manifest for platform {platform} in {}; there are: {there}", root.digest);
        Error::not_found(message).with_code(Code::NoSuchPlatform).with_name(platform).with_digest(&root.digest)
    })
}
