//! The engine: every transfer is a copy between stores. First a plan is made, which shows all effects; then gates judge
//! it; then it runs: blobs in parallel, then manifests with children first, then referrers after subjects, and names
//! last. Content that the destination has does not move.

mod blobs;
mod concurrency;
mod early_upload;
mod gate;
pub mod naming;
mod narrow;
mod plan;
mod run;
mod select;

use std::sync::Arc;

pub(crate) use self::select::here;
pub use self::{
    early_upload::EarlyUpload,
    gate::{Approved, Evidence, Gate},
    narrow::{NewIndex, PartialIndex, Selected, Selection, narrow},
    plan::{CopyPlan, Destination, DestinationPlan, PlannedName, names, plan},
    select::select,
};
use crate::{
    error::{Context as _, Result},
    graph::Root,
    oci::{Descriptor, Digest, Platform, RefName},
    progress::{Counts, Observer, Outcome},
    store::{Name, NameOutcome, ReadStore, Store, compare},
};

/// Options for copying one artifact.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Names at the destination.
    pub names: Vec<RefName>,
    /// Also copies signatures, SBOMs and all other referrers.
    pub referrers: bool,
    /// For an index, copies only the manifest for this platform.
    pub platform: Option<Platform>,
    /// In a layout or archive, unlists the manifest that a name stood for before: see
    /// [`crate::store::NameChange::replace`].
    pub replace: bool,
    /// Checks for all content, even if a name already stands for the artifact.
    pub recheck: bool,
    /// Asks a registry about every blob while planning, so that the plan gives the exact number of bytes.
    pub exact: bool,
    /// How many blobs move at a time; if `None`, 6, and up to 32 small ones if responses are slow.
    pub concurrency: Option<usize>,
    /// Uploads to the destination that started during packing.
    pub early_upload: Option<Arc<EarlyUpload>>,
    /// Receives progress events.
    pub progress: Observer,
}

/// The result of a copy.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The requested manifest.
    pub root: Descriptor,
    /// Manifests and blobs that moved.
    pub moved: usize,
    /// Bytes that moved.
    pub bytes: u64,
    /// Manifests and blobs that were already there.
    pub present: usize,
    /// Bytes that were already there.
    #[serde(skip)]
    pub present_bytes: u64,
    /// Blobs that the destination took from another repository.
    pub mounted: usize,
    /// Bytes of these.
    #[serde(skip)]
    pub mounted_bytes: u64,
    /// Bytes that an earlier transfer had already moved.
    pub resumed: u64,
    /// Retries of failed operations. This and `resumed` count events sent to [`Options::progress`]: give the registry
    /// client the same [`Observer`].
    pub retried: u64,
    /// What became of each name.
    pub names: Vec<NameReport>,
    /// The indexes that were made, with a part of the members of others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<NewIndex>,
    /// The indexes that were copied as they are, with a part of their members.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub partial: Vec<PartialIndex>,
    /// Notes about content that may be missing: see [`crate::graph::Graph::notes`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// For a plan: true if the destination was not asked about some content, so that the byte counts are upper bounds.
    #[serde(skip)]
    pub unknown: bool,
}

/// The outcome for one name.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct NameReport {
    /// The name at the destination.
    pub name: RefName,
    /// The manifest that it stood for before.
    pub from: Option<Digest>,
    /// The manifest that it stands for now.
    pub to: Digest,
    /// `new`, `moved` or `same`; `set` if the destination did not say what it stood for.
    pub outcome: &'static str,
}

impl From<&PlannedName> for NameReport {
    fn from(planned: &PlannedName) -> Self {
        let outcome = match planned.outcome() {
            NameOutcome::Same => "same",
            NameOutcome::Moved(_) => "moved",
            NameOutcome::Set => "set",
            NameOutcome::New | NameOutcome::Removed => "new",
        };
        Self { name: planned.name.clone(), from: planned.from.clone(), to: planned.to.digest.clone(), outcome }
    }
}

impl Report {
    /// A report in which nothing has been done.
    #[must_use]
    pub fn of(root: Descriptor) -> Self {
        Self {
            root,
            moved: 0,
            bytes: 0,
            present: 0,
            present_bytes: 0,
            mounted: 0,
            mounted_bytes: 0,
            resumed: 0,
            retried: 0,
            names: Vec::new(),
            indexes: Vec::new(),
            partial: Vec::new(),
            notes: Vec::new(),
            unknown: false,
        }
    }

    /// This report and that of a later copy together.
    #[must_use]
    pub fn and(mut self, later: Self) -> Self {
        self.present_bytes = self.present_bytes.saturating_add(later.present_bytes);
        self.mounted_bytes = self.mounted_bytes.saturating_add(later.mounted_bytes);
        let Self { moved, bytes, present, mounted, resumed, retried, names, indexes, partial, notes, unknown, .. } =
            later;
        self.moved = self.moved.saturating_add(moved);
        self.bytes = self.bytes.saturating_add(bytes);
        self.present = self.present.saturating_add(present);
        self.mounted = self.mounted.saturating_add(mounted);
        self.resumed = self.resumed.saturating_add(resumed);
        self.retried = self.retried.saturating_add(retried);
        self.names.extend(names);
        self.indexes.extend(indexes);
        self.partial.extend(partial);
        self.notes.extend(notes);
        self.unknown |= unknown;
        self
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
            Outcome::Present => {
                self.present += 1;
                self.present_bytes = self.present_bytes.saturating_add(desc.size);
            }
            Outcome::Mounted => {
                self.mounted += 1;
                self.mounted_bytes = self.mounted_bytes.saturating_add(desc.size);
            }
        }
    }
}

impl CopyPlan {
    /// The effects of a run, as far as they can be known in advance: content that could be mounted counts as moved.
    #[must_use]
    pub fn foresee(&self) -> Report {
        let mut report = Report::of(self.root().cloned().unwrap_or_else(Descriptor::empty));
        self.destinations().iter().for_each(|part| run::foresee(part, &mut report));
        report
    }
}

/// Copies the manifest of this name from one store to another, with all content that it points to: a plan of one
/// artifact, run without gates. [`crate::copy()`] does the same with locations.
///
/// On error no tag has moved, and content copied so far stays for the next attempt. Content that arrives with other
/// bytes than described is fetched once more.
pub async fn between(from: &Arc<dyn ReadStore>, name: &Name, to: &Arc<dyn Store>, options: &Options) -> Result<Report> {
    let found = from.resolve(name).await?;
    if let Name::Digest(asked) = name {
        compare(asked, found.digest.clone()).context(|| format!("resolve {asked} in {from}"))?;
    }
    copy_root(from, found, to, options).await
}

/// Copies a resolved manifest with all content that it points to. See [`between`].
pub async fn copy_root(
    from: &Arc<dyn ReadStore>,
    root: Descriptor,
    to: &Arc<dyn Store>,
    options: &Options,
) -> Result<Report> {
    let root = select(from, root, options.platform.as_ref()).await?;
    copy_roots(std::slice::from_ref(from), vec![Root::new(root, options.names.clone())], to, options).await
}

/// Copies manifests of these stores, each under its own names. See [`between`].
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

/// The early uploads to this destination.
fn early<'a>(to: &Arc<dyn Store>, options: &'a Options) -> Option<&'a EarlyUpload> {
    options.early_upload.as_deref().filter(|early| early.is_to(to))
}
