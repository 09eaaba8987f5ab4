//! Reading a tree level by level, all questions of a level at once.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    Layer, Node, Tree,
    found::{Found, Limit, Relation, lacking},
};
use crate::{
    copy,
    error::{Context as _, Error, Kind, Result},
    graph::MAX_DEPTH,
    oci::{Annotations, Descriptor, Digest, Parsed, RefName, Role, Tag},
    store::{self, Name, ReadStore},
};

/// Most referrers of one manifest, and most members of one index, that a tree has.
pub const MAX_SIBLINGS: usize = 1_000;
/// Most manifests of a tree.
pub const MAX_NODES: usize = 10_000;
/// Most bytes of annotations, and of documents under cosign's tags, that a tree holds.
pub const MAX_BYTES: usize = 32 << 20;

/// How many lists of referrers are fetched at a time.
const QUESTIONS: usize = 32;
/// How many manifests are fetched at a time.
const PARALLEL: usize = 8;

/// What a manifest names.
struct List {
    /// As much as there is room for.
    all: Vec<Descriptor>,
    /// How many more there are, and what limit they are beyond.
    more: usize,
    limit: Option<Limit>,
}

/// What is under a tag of cosign's, and its document.
type Kept = (Tag, Descriptor, Result<Document>);

/// What a tree keeps of a document under a tag of cosign's.
struct Document {
    artifact_type: Option<String>,
    annotations: Annotations,
    layers: Vec<Layer>,
}

struct Reading<'a> {
    store: &'a dyn ReadStore,
    /// All tags, if the store lists them in one answer.
    tags: Option<HashSet<RefName>>,
    /// A manifest is behind the one above it.
    found: Vec<Found>,
    known: HashSet<Digest>,
    /// How many manifests answers of this round have named.
    named: AtomicUsize,
    bytes: AtomicUsize,
}

/// See [`super::tree`].
pub(super) async fn read(store: &dyn ReadStore, name: &Name) -> Result<Tree> {
    let (root, tags) = tokio::join!(store::read_named(store, name), store::names_at_once(store));
    let (desc, bytes) = root?;
    let parsed = Parsed::read(&desc.media_type, &bytes).context(|| format!("manifest {}", desc.digest))?;
    let here = copy::here(store, &desc, members(&parsed)).await?.into_iter().map(|member| &member.digest).collect();
    let tags = tags.map(HashSet::from_iter);
    let mut reading = Reading {
        store,
        tags,
        found: Vec::new(),
        known: HashSet::new(),
        named: AtomicUsize::new(0),
        bytes: AtomicUsize::new(0),
    };
    let mut level = Vec::from_iter(reading.add(desc, None));
    // Members are asked about in the same round as their index.
    reading.learn(0, &parsed, &mut level);
    reading.leave_out(&here);
    while !level.is_empty() {
        level = reading.ask(level).await?;
    }
    let mut tree = reading.finish()?;
    tree.root.tags.extend(name.as_ref_name().cloned());
    Ok(tree)
}

fn members(parsed: &Parsed) -> Vec<&Descriptor> {
    let all = parsed.children().into_iter().filter(|(role, _)| *role == Role::Manifest);
    all.map(|(_, member)| member).collect()
}

/// How much of a manifest in a list is text of any length.
fn weight(desc: &Descriptor) -> usize {
    let annotations = desc.annotations.iter().map(|(key, value)| key.len().saturating_add(value.len()));
    let own = desc.artifact_type.as_ref().map_or(0, String::len);
    annotations.fold(own.saturating_add(desc.media_type.len()), usize::saturating_add)
}

impl Reading<'_> {
    /// Whether there is room for so many bytes more.
    fn takes(&self, bytes: usize) -> bool {
        self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= MAX_BYTES
    }

    /// Why no more manifests are taken, with those that answers have named.
    fn full(&self) -> Option<Limit> {
        if self.found.len().saturating_add(self.named.load(Ordering::Relaxed)) >= MAX_NODES {
            return Some(Limit::Nodes);
        }
        (self.bytes.load(Ordering::Relaxed) > MAX_BYTES).then_some(Limit::Bytes)
    }

    /// As many of these manifests as there is room for.
    fn list(&self, named: impl ExactSizeIterator<Item = Descriptor>) -> List {
        let count = named.len();
        let (mut all, mut limit) = (Vec::new(), (count > MAX_SIBLINGS).then_some(Limit::Siblings));
        for desc in named.take(MAX_SIBLINGS) {
            if let Some(full) = self.full() {
                limit.get_or_insert(full);
                break;
            }
            self.named.fetch_add(1, Ordering::Relaxed);
            self.takes(weight(&desc));
            all.push(desc);
        }
        List { more: count.saturating_sub(all.len()), all, limit }
    }

    /// Adds a manifest, and gives its place if it is to be asked about. One that is too deep is counted with the one above.
    fn add(&mut self, desc: Descriptor, above: Option<(usize, Relation)>) -> Option<usize> {
        let depth = above.and_then(|(at, _)| self.found.get(at)).map_or(0, |above| above.depth.saturating_add(1));
        if let Some((at, _)) = above.filter(|_| depth > MAX_DEPTH) {
            self.leave(at, 1, Limit::Depth);
            return None;
        }
        let repeated = !self.known.insert(desc.digest.clone());
        self.found.push(Found::new(Node { repeated, ..Node::of(desc) }, above, depth));
        (!repeated).then(|| self.found.len().saturating_sub(1))
    }

    /// Adds what a manifest names.
    fn add_all(&mut self, at: usize, List { all, more, limit }: List, relation: Relation, next: &mut Vec<usize>) {
        for desc in all {
            next.extend(self.add(desc, Some((at, relation))));
        }
        if let Some(limit) = limit {
            self.leave(at, more, limit);
        }
    }

    /// Counts manifests below one that are not taken.
    fn leave(&mut self, at: usize, count: usize, limit: Limit) {
        if let Some(found) = self.found.get_mut(at) {
            found.left = found.left.saturating_add(count);
            found.limit.get_or_insert(limit);
        }
    }

    /// Notes what the document of a manifest says, and adds its members.
    fn learn(&mut self, at: usize, parsed: &Parsed, next: &mut Vec<usize>) {
        let Some(found) = self.found.get_mut(at) else { return };
        found.learn(parsed);
        let members = self.list(members(parsed).into_iter().cloned());
        self.add_all(at, members, Relation::Child, next);
    }

    /// Notes which members of the root are not here.
    fn leave_out(&mut self, here: &HashSet<&Digest>) {
        let Some((root, members)) = self.found.split_first_mut() else { return };
        for member in members.iter_mut().filter(|member| !here.contains(&member.node.digest)) {
            member.is_left_out = true;
            root.node.left_out.push(member.node.digest.clone());
        }
    }

    /// Asks what is about these manifests, and gives the places of those that the answers name.
    async fn ask(&mut self, level: Vec<usize>) -> Result<Vec<usize>> {
        self.named = AtomicUsize::new(0);
        let (lists, kept, own) = tokio::try_join!(self.lists(&level), self.companions(&level), self.documents(&level))?;
        let mut next = Vec::new();
        for (at, list) in lists {
            match list {
                Ok(list) => self.add_all(at, list, Relation::Referrer, &mut next),
                Err(limit) => self.is_not_asked(at, limit),
            }
        }
        self.named = AtomicUsize::new(0);
        for (at, document) in own {
            match document {
                Ok(parsed) => self.learn(at, &parsed, &mut next),
                Err(why) => self.is_flawed(at, &why),
            }
            self.named = AtomicUsize::new(0);
        }
        for (at, kept) in kept {
            match (kept, self.full()) {
                (Ok(kept), None) => self.keep(at, kept, &mut next),
                (Ok(_), Some(limit)) => self.leave(at, 1, limit),
                (Err(limit), _) => self.is_not_asked(at, limit),
            }
        }
        Ok(next)
    }

    /// These manifests without what describes their use, with their places.
    fn bare<'s>(&'s self, level: &'s [usize]) -> impl Iterator<Item = (usize, Descriptor)> + 's {
        level.iter().filter_map(|at| Some((*at, self.found.get(*at)?.bare())))
    }

    /// The lists of referrers of these manifests. Nobody is asked for what there is no room for.
    async fn lists(&self, level: &[usize]) -> Result<Vec<(usize, std::result::Result<List, Limit>)>> {
        let asking = self.bare(level).map(|(at, desc)| async move {
            if let Some(limit) = self.full() {
                return Ok((at, Err(limit)));
            }
            let list = self.store.referrers(&desc).await;
            let list = list.context(|| format!("list the referrers of {}", desc.digest))?;
            Ok::<_, Error>((at, Ok(self.list(list.into_iter()))))
        });
        stream::iter(asking).buffered(QUESTIONS).try_collect().await
    }

    /// What cosign keeps about these manifests.
    async fn companions(&self, level: &[usize]) -> Result<Vec<(usize, std::result::Result<Kept, Limit>)>> {
        let tags = self.bare(level).flat_map(|(at, desc)| Tag::companions_of(&desc.digest).map(|tag| (at, tag)));
        let tags = tags.filter(|(_, tag)| self.tags.as_ref().is_none_or(|tags| tags.contains(&**tag)));
        let asking = tags.map(|(at, tag)| async move {
            if let Some(limit) = self.full() {
                return Ok(Some((at, Err(limit))));
            }
            match store::read_named(self.store, &tag.clone().into()).await {
                Ok((desc, bytes)) => Ok(Some((at, Ok((tag, desc.clone(), self.document(&desc, &bytes)))))),
                Err(e) if e.kind() == Kind::NotFound => Ok(None),
                Err(e) => Err(e.context(format!("read tag `{tag}`"))),
            }
        });
        let found: Vec<_> = stream::iter(asking).buffered(PARALLEL).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    fn parsed(&self, desc: &Descriptor, bytes: &[u8]) -> Result<Parsed> {
        if self.takes(bytes.len()) {
            Parsed::read(&desc.media_type, bytes)
        } else {
            Err(Error::limit(Limit::Bytes.to_string()))
        }
    }

    /// What is kept of a document under a tag of cosign's.
    fn document(&self, desc: &Descriptor, bytes: &[u8]) -> Result<Document> {
        let parsed = self.parsed(desc, bytes)?;
        let artifact_type = parsed.artifact_type().map(Into::into);
        Ok(Document { artifact_type, annotations: parsed.annotations().clone(), layers: Layer::all(&parsed) })
    }

    /// The documents of those manifests that must be read: indexes, and referrers of which the list does not tell enough.
    async fn documents(&self, level: &[usize]) -> Result<Vec<(usize, Result<Parsed>)>> {
        let wanted = level.iter().filter(|at| self.found.get(**at).is_some_and(Found::is_to_be_read));
        let wanted: Vec<usize> = wanted.copied().collect();
        let asking = self.bare(&wanted).map(|(at, desc)| async move {
            match store::read_manifest(self.store, &desc).await {
                Ok(bytes) => Ok((at, self.parsed(&desc, &bytes))),
                Err(e) if e.kind() == Kind::NotFound => Ok((at, Err(e))),
                Err(e) => Err(e),
            }
        });
        stream::iter(asking).buffered(PARALLEL).try_collect().await
    }

    /// Adds what cosign keeps under a tag.
    fn keep(&mut self, at: usize, (tag, desc, document): Kept, next: &mut Vec<usize>) {
        let place = self.found.len();
        next.extend(self.add(desc, Some((at, Relation::Companion))));
        let Some(found) = self.found.get_mut(place) else { return };
        found.node.tags.push(tag.into());
        match document {
            Ok(Document { artifact_type, annotations, layers }) => {
                (found.node.artifact_type, found.node.annotations) = (artifact_type, annotations);
                found.node.layers = Some(layers);
            }
            Err(why) => self.is_flawed(place, &why),
        }
    }

    fn is_not_asked(&mut self, at: usize, limit: Limit) {
        self.found.get_mut(at).into_iter().for_each(|found| found.unasked = Some(limit));
    }

    fn is_flawed(&mut self, at: usize, why: &Error) {
        if let Some(found) = self.found.get_mut(at) {
            found.flaw.get_or_insert_with(|| why.to_string());
        }
    }

    /// Puts each manifest below the one that it belongs to.
    fn finish(self) -> Result<Tree> {
        let (lacks, kind) = lacking(&self.found);
        let mut found = self.found;
        while let Some((node, above)) = found.pop().map(Found::finish) {
            let Some((at, relation)) = above else { return Ok(Tree { root: node, lacks, kind }) };
            if let Some(above) = found.get_mut(at) {
                above.node.below(relation).push(node);
            }
        }
        Err(Error::new(Kind::Internal, "a tree without a root"))
    }
}
