//! The plan of a copy: its content and origins, what the destinations lack, and which names will stand for which
//! manifest.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    Options, early,
    gate::{Approved, Gate, judge},
};
use crate::{
    error::{Error, Kind, Result},
    graph::{Entry, Graph, Root},
    oci::{Descriptor, Digest, RefName},
    store::{Expect, Item, NameChange, NameOutcome, Presence, ReadStore, Store},
};

/// How many names are resolved at a time.
const QUESTIONS: usize = 32;
/// How many items are queried at a destination at a time.
const AT_ONCE: usize = 4096;
/// How many destinations are planned at a time.
const PARALLEL: usize = 8;

/// A store to write to, and the manifests that it is to receive.
#[derive(Clone)]
pub struct Destination {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Manifests and their names there.
    pub roots: Vec<Root>,
}

/// A planned copy. Nothing has been written yet.
#[derive(Debug)]
pub struct CopyPlan {
    pub(super) parts: Vec<DestinationPlan>,
    /// Content read by gates, not fetched again.
    pub(super) evidence: HashMap<Digest, Bytes>,
}

/// The plan for one destination.
pub struct DestinationPlan {
    pub(super) to: Arc<dyn Store>,
    /// All roots, including those that are already complete.
    pub(super) roots: Vec<Root>,
    /// The content that may have to be copied.
    pub(super) graph: Graph,
    /// Roots whose names show that they are there with all content.
    pub(super) complete: Vec<Descriptor>,
    /// Presence of the content of the graph: manifests in their order, then blobs.
    pub(super) presence: Vec<Presence>,
    pub(super) names: Vec<PlannedName>,
}

/// A name at a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedName {
    /// The name.
    pub name: RefName,
    /// The manifest that it stands for now, if any.
    pub from: Option<Digest>,
    /// The reason if the destination refused to say what it stands for; then `from` is `None`.
    pub refused: Option<String>,
    /// The manifest that it will stand for.
    pub to: Descriptor,
    /// See [`NameChange::replace`].
    pub replace: bool,
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination").field("store", &self.store.to_string()).field("roots", &self.roots).finish()
    }
}

impl fmt::Debug for DestinationPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DestinationPlan")
            .field("to", &self.to.to_string())
            .field("graph", &self.graph)
            .finish_non_exhaustive()
    }
}

impl PlannedName {
    /// The outcome for this name.
    #[must_use]
    pub fn outcome(&self) -> NameOutcome {
        match self.refused {
            Some(_) => NameOutcome::Set,
            None => NameOutcome::of(self.from.as_ref(), Some(&self.to.digest)),
        }
    }

    /// A note for a report, if the destination refused to say what it stands for.
    pub(super) fn note(&self, to: &dyn Store) -> Option<String> {
        let why = self.refused.as_ref()?;
        Some(format!("cannot tell what `{}` stood for in {to}: {why}", self.name))
    }

    /// The change for a session; `None` if there is nothing to do.
    pub(super) fn change(&self) -> Option<NameChange> {
        (self.outcome() != NameOutcome::Same).then(|| NameChange {
            name: self.name.clone(),
            to: Some(self.to.bare()),
            expect: Expect::Any,
            replace: self.replace,
        })
    }
}

/// Plans a copy of content in these stores. The roots say which stores have them; the nearest comes first.
///
/// A local destination is asked about everything; a registry about names and manifests, and about blobs only with
/// [`Options::exact`] or if a manifest is there without its name. If a name in a registry stands for the manifest, all
/// content is there, since registries refuse incomplete manifests; this shortcut is not taken for referrers or with
/// [`Options::recheck`].
///
/// Errors: those of [`Graph::of`]; a destination that fails.
pub async fn plan(from: &[Arc<dyn ReadStore>], destinations: Vec<Destination>, options: &Options) -> Result<CopyPlan> {
    let planning: Vec<_> =
        destinations.into_iter().map(|destination| DestinationPlan::plan(from, destination, options)).collect();
    let parts: Vec<DestinationPlan> = stream::iter(planning).buffered(PARALLEL).try_collect().await?;
    if parts.iter().all(|part| part.roots.is_empty()) {
        return Err(Error::invalid("nothing to copy"));
    }
    Ok(CopyPlan { parts, evidence: HashMap::new() })
}

impl CopyPlan {
    /// The plans, one per destination.
    #[must_use]
    pub fn destinations(&self) -> &[DestinationPlan] {
        &self.parts
    }

    /// The first requested manifest.
    #[must_use]
    pub fn root(&self) -> Option<&Descriptor> {
        self.parts.iter().flat_map(|part| &part.roots).map(|root| &root.desc).next()
    }

    /// Lets each gate read the content that it requests and judge the plan; only a plan approved by all gates can run.
    ///
    /// Errors: a gate refuses; requested content cannot be read or exceeds 64 MiB; a local destination has damaged
    /// content that a gate would rely on.
    pub async fn approve(self, gates: &[&dyn Gate]) -> Result<Approved> {
        judge(self, gates).await
    }
}

impl DestinationPlan {
    async fn plan(from: &[Arc<dyn ReadStore>], destination: Destination, options: &Options) -> Result<Self> {
        let Destination { store: to, roots } = destination;
        let names = ask_names(&to, &roots, options).await?;
        let trusts_names = to.abilities().refuses_incomplete && !options.referrers && !options.recheck;
        let complete = if trusts_names { complete(&to, &roots, &names).await? } else { Vec::new() };
        let there: HashSet<&Digest> = complete.iter().map(|desc| &desc.digest).collect();
        let open = roots.iter().filter(|root| !there.contains(&root.desc.digest)).cloned().collect();
        let graph = without_missing_elsewhere(walk(from, &to, open, options.referrers).await?).await?;
        let presence = ask_presence(&to, &graph, options).await?;
        fit(&to, &graph, &presence)?;
        // Companions get their names before the artifact does.
        let mut planned = ask_names(&to, &graph.companions, options).await?;
        let known: HashSet<(RefName, Digest)> =
            planned.iter().map(|name| (name.name.clone(), name.to.digest.clone())).collect();
        // It may also have been requested by its own name.
        planned.extend(names.into_iter().filter(|name| !known.contains(&(name.name.clone(), name.to.digest.clone()))));
        let names = planned;
        Ok(Self { to, roots, graph, complete, presence, names })
    }

    /// The destination store.
    #[must_use]
    pub fn destination(&self) -> &Arc<dyn Store> {
        &self.to
    }

    /// The content that may have to be copied.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// All content and its presence at the destination.
    pub fn items(&self) -> impl Iterator<Item = (Item, Presence)> {
        self.graph.items().zip(self.presence.iter().copied())
    }

    /// All names, changed or not.
    #[must_use]
    pub fn names(&self) -> &[PlannedName] {
        &self.names
    }

    /// Notes about what may be missing, and what the destination did not say.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        let refused = self.names.iter().filter_map(|name| name.note(self.to.as_ref()));
        self.graph.notes.iter().cloned().chain(refused)
    }

    /// The manifests that will get a new name.
    pub(super) fn named_anew(&self) -> HashSet<&Digest> {
        let anew = self.names.iter().filter(|planned| planned.outcome() != NameOutcome::Same);
        anew.map(|planned| &planned.to.digest).collect()
    }

    /// Number of manifests and blobs.
    pub(super) fn len(&self) -> usize {
        self.graph.len().saturating_add(self.complete.len())
    }
}

/// Reads all manifests. If a local store has one, it is not fetched from farther away.
async fn walk(from: &[Arc<dyn ReadStore>], to: &Arc<dyn Store>, roots: Vec<Root>, referrers: bool) -> Result<Graph> {
    if to.abilities().refuses_incomplete {
        return Graph::of(from, roots, referrers).await;
    }
    let mut stores = vec![Arc::clone(to) as Arc<dyn ReadStore>];
    stores.extend(from.iter().cloned());
    // The destination is the nearest origin of everything.
    let behind = |root: Root| match root.origins.as_slice() {
        [] => root,
        own => Root { origins: [0].into_iter().chain(own.iter().map(|at| at.saturating_add(1))).collect(), ..root },
    };
    Graph::of(&stores, roots.into_iter().map(behind).collect(), referrers).await
}

/// Leaves out layers that may be elsewhere by their licence, if no store has them, with notes. Manifests may refer to such
/// layers without their being there.
async fn without_missing_elsewhere(mut graph: Graph) -> Result<Graph> {
    let mut missing = BTreeSet::new();
    for blob in graph.blobs.iter().filter(|blob| blob.elsewhere) {
        let (item, mut there) = (Item::blob(blob.desc()), false);
        for store in graph.origins(&blob.origins) {
            let presence = store.has(std::slice::from_ref(&item)).await?;
            there |= presence.iter().any(|presence| *presence != Presence::Absent);
        }
        if !there {
            missing.insert(blob.digest.clone());
        }
    }
    graph.blobs.retain(|blob| !missing.contains(&blob.digest));
    let note = |digest| format!("left out layer {digest}: by its licence it is elsewhere, and no store here has it");
    graph.notes.extend(missing.iter().map(note));
    Ok(graph)
}

/// The names for these manifests, and what each stands for now.
///
/// Errors: the store fails.
pub async fn names(to: &Arc<dyn Store>, roots: &[Root]) -> Result<Vec<PlannedName>> {
    ask_names(to, roots, &Options::default()).await
}

/// What a name stands for at a destination.
#[derive(Debug, Clone)]
pub(super) enum Standing {
    Nothing,
    For(Descriptor),
    /// The destination does not say, for this reason.
    Refused(String),
}

/// Asks a destination what a name stands for. A refusal is an answer: the question only saves work, and writing the name
/// shows whether that is allowed, too.
///
/// Errors: all but a refusal (kinds `Unauthorized`, `Denied`, `Invalid`, `Unsupported`) and a failure of the registry itself
/// (`Unavailable`).
pub(super) async fn standing(to: &dyn Store, name: &RefName) -> Result<Standing> {
    match to.resolve(&name.clone().into()).await {
        Ok(found) => Ok(Standing::For(found)),
        Err(e) if e.kind() == Kind::NotFound => Ok(Standing::Nothing),
        // A layout may list a name twice, which setting it repairs.
        Err(e)
            if matches!(
                e.kind(),
                Kind::Invalid | Kind::Unauthorized | Kind::Denied | Kind::Unavailable | Kind::Unsupported
            ) =>
        {
            Ok(Standing::Refused(e.to_string()))
        }
        Err(e) => Err(e),
    }
}

/// Resolves all names, many at a time.
async fn ask_names(to: &Arc<dyn Store>, roots: &[Root], options: &Options) -> Result<Vec<PlannedName>> {
    let ask = |name: RefName, desc: Descriptor| async move {
        let asked = early(to, options).and_then(|early| early.standing(&name));
        let found = match asked {
            Some(found) => found,
            None => standing(to.as_ref(), &name).await?,
        };
        let (from, refused) = match found {
            Standing::Nothing => (None, None),
            Standing::For(desc) => (Some(desc.digest), None),
            Standing::Refused(why) => (None, Some(why)),
        };
        Ok(PlannedName { name, from, refused, to: desc, replace: options.replace })
    };
    let all: Vec<_> =
        roots.iter().flat_map(|root| root.names.iter().map(|tag| ask(tag.clone(), root.desc.bare()))).collect();
    stream::iter(all).buffered(QUESTIONS).try_collect().await
}

/// The roots that a registry has with all content: their names stand for them, or they have no name and exist under
/// their digests.
async fn complete(to: &Arc<dyn Store>, roots: &[Root], names: &[PlannedName]) -> Result<Vec<Descriptor>> {
    let untagged = roots.iter().filter(|root| root.names.is_empty());
    let untagged: Vec<Item> = untagged.map(|root| Item::manifest(root.desc.bare())).collect();
    let presence = if untagged.is_empty() { Vec::new() } else { to.has(&untagged).await? };
    let there = untagged.iter().zip(presence).filter(|(item, presence)| presence.fits(&item.desc));
    let there: HashSet<&Digest> = there.map(|(item, _)| &item.desc.digest).collect();
    let same = names.iter().filter(|planned| planned.outcome() == NameOutcome::Same);
    let same: HashSet<(&str, &Digest)> = same.map(|planned| (planned.name.as_str(), &planned.to.digest)).collect();
    let is_complete = |root: &&Root| match root.names.as_slice() {
        [] => there.contains(&root.desc.digest),
        tags => tags.iter().all(|tag| same.contains(&(tag.as_str(), &root.desc.digest))),
    };
    Ok(roots.iter().filter(is_complete).map(|root| root.desc.clone()).collect())
}

/// Queries the presence of a graph at the destination. A registry is not asked about blobs, since storing them asks
/// anyway; unless sizes must be exact, or a manifest is there, so that its blobs most likely are too.
async fn ask_presence(to: &Arc<dyn Store>, graph: &Graph, options: &Options) -> Result<Vec<Presence>> {
    let manifests = graph.manifests.len();
    let mut found = Vec::with_capacity(graph.len());
    has(to, graph.items().take(manifests), &mut found).await?;
    let there = graph.manifests.iter().zip(&found).any(|(entry, presence)| presence.fits(&entry.desc));
    if there || options.exact || !to.abilities().refuses_incomplete {
        has(to, graph.items().skip(manifests), &mut found).await?;
    }
    found.resize(graph.len(), Presence::Unknown);
    Ok(found)
}

/// Errors: a manifest to be sent is larger than the destination accepts; none of its content is to be sent in vain.
fn fit(to: &Arc<dyn Store>, graph: &Graph, presence: &[Presence]) -> Result<()> {
    let Some(most) = to.abilities().largest_manifest else { return Ok(()) };
    let mut sent = graph.manifests.iter().zip(presence).filter(|(entry, presence)| !presence.fits(&entry.desc));
    match sent.find(|(entry, _)| entry.desc.size > most) {
        None => Ok(()),
        Some((Entry { desc, .. }, _)) => {
            let message = format!("the manifest has {} bytes; registries accept at most {most}", desc.size);
            Err(Error::limit(message).context(format!("copy manifest {} to {to}", desc.digest)))
        }
    }
}

/// Queries these items in batches: an artifact may have very many, and a query is larger than its answer.
async fn has(to: &Arc<dyn Store>, items: impl Iterator<Item = Item>, found: &mut Vec<Presence>) -> Result<()> {
    let mut items = items.peekable();
    while items.peek().is_some() {
        let part: Vec<Item> = items.by_ref().take(AT_ONCE).collect();
        found.extend(to.has(&part).await?);
    }
    Ok(())
}
