//! What a copy will do, before it does anything: content, where it may be had, what the destinations lack of it, and
//! which names will stand for what.

use std::{
    collections::{HashMap, HashSet},
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
    graph::{Graph, Root},
    oci::{Descriptor, Digest, RefName},
    store::{Expect, Item, NameChange, NameOutcome, Presence, ReadStore, Store},
};

/// How many names are asked for at a time.
const QUESTIONS: usize = 32;
/// How much content a destination is asked for at once.
const AT_ONCE: usize = 4096;
/// How many destinations are planned for at a time.
const PARALLEL: usize = 8;

/// A store to write to, and what is to be there.
#[derive(Clone)]
pub struct Destination {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Manifests, with their names there.
    pub roots: Vec<Root>,
}

/// A copy that is planned. Nothing of it has been written.
#[derive(Debug)]
pub struct CopyPlan {
    pub(super) parts: Vec<Part>,
    /// Content that gates have read: it is not fetched again.
    pub(super) evidence: HashMap<Digest, Bytes>,
}

/// What a plan does at one destination.
pub struct Part {
    pub(super) to: Arc<dyn Store>,
    /// All roots, those included that are complete by their names.
    pub(super) roots: Vec<Root>,
    /// What may have to be carried.
    pub(super) graph: Graph,
    /// Roots that are there with all that they point at: their names say so.
    pub(super) complete: Vec<Descriptor>,
    /// What is there of the graph: manifests in their order, then blobs.
    pub(super) presence: Vec<Presence>,
    pub(super) names: Vec<PlannedName>,
}

/// A name at a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedName {
    /// The name.
    pub name: RefName,
    /// What it stands for now, if anything.
    pub from: Option<Digest>,
    /// What it is to stand for.
    pub to: Descriptor,
    /// See [`NameChange::replace`].
    pub replace: bool,
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination").field("store", &self.store.to_string()).field("roots", &self.roots).finish()
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("to", &self.to.to_string()).field("graph", &self.graph).finish_non_exhaustive()
    }
}

impl PlannedName {
    /// What will become of the name.
    #[must_use]
    pub fn outcome(&self) -> NameOutcome {
        NameOutcome::of(self.from.as_ref(), Some(&self.to.digest))
    }

    /// The order to a session, unless there is nothing to do.
    pub(super) fn change(&self) -> Option<NameChange> {
        (self.outcome() != NameOutcome::Same).then(|| NameChange {
            name: self.name.clone(),
            to: Some(self.to.bare()),
            expect: Expect::Any,
            replace: self.replace,
        })
    }
}

/// Plans a copy of content that these stores have. The roots say which of them; the nearest comes first.
///
/// Destinations on this machine are asked about everything; registries about names and manifests, and about blobs where
/// [`Options::exact`] wants it or where a manifest is there without its name. A registry whose name stands for the
/// manifest has all of it, as registries refuse what is incomplete: unless referrers are wanted, or
/// [`Options::recheck`].
///
/// Errors: what [`Graph::of`] gives; a destination cannot be asked.
pub async fn plan(from: &[Arc<dyn ReadStore>], destinations: Vec<Destination>, options: &Options) -> Result<CopyPlan> {
    let planning: Vec<_> = destinations.into_iter().map(|destination| Part::plan(from, destination, options)).collect();
    let parts: Vec<Part> = stream::iter(planning).buffered(PARALLEL).try_collect().await?;
    if parts.iter().all(|part| part.roots.is_empty()) {
        return Err(Error::invalid("nothing to copy"));
    }
    Ok(CopyPlan { parts, evidence: HashMap::new() })
}

impl CopyPlan {
    /// What it does at each destination.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The first manifest that was asked for.
    #[must_use]
    pub fn root(&self) -> Option<&Descriptor> {
        self.parts.iter().flat_map(|part| &part.roots).map(|root| &root.desc).next()
    }

    /// Lets each gate read what it wants and judge; only what all of them let pass can be run.
    ///
    /// Errors: a gate refuses; what it wants cannot be read or is more than 64 MiB; content that a destination on this
    /// machine has is damaged, which a gate would count on.
    pub async fn approve(self, gates: &[&dyn Gate]) -> Result<Approved> {
        judge(self, gates).await
    }
}

impl Part {
    async fn plan(from: &[Arc<dyn ReadStore>], destination: Destination, options: &Options) -> Result<Self> {
        let Destination { store: to, roots } = destination;
        let names = ask_names(&to, &roots, options).await?;
        let trusts_names = to.abilities().refuses_incomplete && !options.referrers && !options.recheck;
        let complete = if trusts_names { complete(&to, &roots, &names).await? } else { Vec::new() };
        let there: HashSet<&Digest> = complete.iter().map(|desc| &desc.digest).collect();
        let open = roots.iter().filter(|root| !there.contains(&root.desc.digest)).cloned().collect();
        let graph = walk(from, &to, open, options.referrers).await?;
        let presence = ask_presence(&to, &graph, options).await?;
        // What belongs to an artifact gets its name before the artifact does.
        let mut planned = ask_names(&to, &graph.companions, options).await?;
        let known: HashSet<(RefName, Digest)> =
            planned.iter().map(|name| (name.name.clone(), name.to.digest.clone())).collect();
        // It may have been asked for by its own name as well.
        planned.extend(names.into_iter().filter(|name| !known.contains(&(name.name.clone(), name.to.digest.clone()))));
        let names = planned;
        Ok(Self { to, roots, graph, complete, presence, names })
    }

    /// Where it writes.
    #[must_use]
    pub fn destination(&self) -> &Arc<dyn Store> {
        &self.to
    }

    /// What may have to be carried.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// All content with what the destination has of it.
    pub fn items(&self) -> impl Iterator<Item = (Item, Presence)> {
        self.graph.items().zip(self.presence.iter().copied())
    }

    /// The names that will be set, or stay.
    #[must_use]
    pub fn names(&self) -> &[PlannedName] {
        &self.names
    }

    /// The manifests that a name is to stand for that does not yet.
    pub(super) fn named_anew(&self) -> HashSet<&Digest> {
        let anew = self.names.iter().filter(|planned| planned.outcome() != NameOutcome::Same);
        anew.map(|planned| &planned.to.digest).collect()
    }

    /// How many manifests and blobs there are.
    pub(super) fn len(&self) -> usize {
        self.graph.len().saturating_add(self.complete.len())
    }
}

/// Reads all manifests. What a store on this machine has is not fetched from farther away.
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

/// The names that these manifests are to get, and what each stands for now.
///
/// Errors: the store cannot be asked.
pub async fn names(to: &Arc<dyn Store>, roots: &[Root]) -> Result<Vec<PlannedName>> {
    ask_names(to, roots, &Options::default()).await
}

/// What all names stand for now, many questions at a time.
async fn ask_names(to: &Arc<dyn Store>, roots: &[Root], options: &Options) -> Result<Vec<PlannedName>> {
    let ask = |name: RefName, desc: Descriptor| async move {
        let asked = early(to, options).and_then(|early| early.tagged(&name));
        let found = match asked {
            Some(found) => found,
            None => match to.resolve(&name.clone().into()).await {
                Ok(found) => Some(found),
                Err(e) if e.kind() == Kind::NotFound => None,
                // A layout may hold a name twice: setting it puts that right.
                Err(e) if e.kind() == Kind::Invalid => None,
                Err(e) => return Err(e),
            },
        };
        Ok(PlannedName { name, from: found.map(|found| found.digest), to: desc, replace: options.replace })
    };
    let all: Vec<_> =
        roots.iter().flat_map(|root| root.names.iter().map(|tag| ask(tag.clone(), root.desc.bare()))).collect();
    stream::iter(all).buffered(QUESTIONS).try_collect().await
}

/// The roots that a registry has with all that they point at: their names stand for them, or they have no name and are
/// there under their digests.
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

/// What the destination has of a graph. Of blobs a registry is not asked, as putting them asks again; unless sizes must
/// be exact, or a manifest is there, which says that they most likely are.
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

/// Asks for all of these, a part at a time: an artifact may have very many, and a question is larger than its answer.
async fn has(to: &Arc<dyn Store>, items: impl Iterator<Item = Item>, found: &mut Vec<Presence>) -> Result<()> {
    let mut items = items.peekable();
    while items.peek().is_some() {
        let part: Vec<Item> = items.by_ref().take(AT_ONCE).collect();
        found.extend(to.has(&part).await?);
    }
    Ok(())
}
