//! The engine: everything that moves is a copy between two stores. Blobs in parallel, then manifests children first,
//! referrers after subjects, the tag last; nothing that the destination has is moved.

mod lanes;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use lanes::Lanes;
use tokio::{task::JoinSet, time::Instant};

use crate::{
    ahead::{Ahead, Sending},
    blob::{Blob, ByteStream, FileSlice},
    error::{Context as _, Error, Kind, Result},
    graph::{Graph, Node, Root},
    oci::{Descriptor, Digest, Platform},
    progress::{Counts, Event, Observer, Outcome},
    store::{Claim, ReadStore, Store, Stored, compare},
};

/// What [`copy`] does beyond carrying one artifact.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Tags at the destination.
    pub tags: Vec<String>,
    /// Whether signatures, SBOMs and whatever else refers to the artifact come along.
    pub referrers: bool,
    /// Of an index, only the manifest for this platform.
    pub platform: Option<Platform>,
    /// How many blobs move at a time; without it 6, and up to 32 small ones where answers take long.
    pub concurrency: Option<usize>,
    /// What left for the destination while it was packed.
    pub ahead: Option<Arc<Ahead>>,
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
}

impl Report {
    /// A report of nothing done.
    #[must_use]
    pub fn of(root: Descriptor) -> Self {
        Self { root, moved: 0, bytes: 0, present: 0, mounted: 0, resumed: 0, retried: 0 }
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

/// Copies what `name` (a tag or a digest) stands for, with all that it points at.
///
/// Of a destination that has the artifact, only the tags are set. On an error no tag has moved, and what was copied so
/// far stays for the next attempt. Content that arrives with other bytes than described is fetched once more.
pub async fn copy(from: &Arc<dyn ReadStore>, name: &str, to: &Arc<dyn Store>, options: &Options) -> Result<Report> {
    let found = from.resolve(name).await?;
    if let Ok(asked) = name.parse::<Digest>() {
        compare(&asked, found.digest.clone()).context(|| format!("resolve {asked} in {from}"))?;
    }
    copy_root(from, found, to, options).await
}

/// Copies a manifest that was resolved already, with all that it points at. See [`copy`].
pub async fn copy_root(
    from: &Arc<dyn ReadStore>,
    root: Descriptor,
    to: &Arc<dyn Store>,
    options: &Options,
) -> Result<Report> {
    let before = options.progress.counts();
    let root = select(from, root, options.platform.as_ref()).await?;
    let asked = !options.referrers && to.closed();
    if asked && is_there(&root, to, options).await? {
        to.finish().await?;
        let mut report = Report::of(root.clone());
        report.count(&root, Outcome::Present);
        options.progress.tell(Event::Done(root, Outcome::Present));
        return Ok(report.with(options.progress.counts().since(before)));
    }
    let near: Arc<dyn ReadStore> = Arc::clone(to) as Arc<dyn ReadStore>;
    let stores = if to.closed() { vec![Arc::clone(from)] } else { vec![near, Arc::clone(from)] };
    let absent = asked.then(|| root.digest.clone());
    let roots = vec![Root { desc: root, tags: options.tags.clone() }];
    let graph = Graph::of(&stores, roots, options.referrers).await?;
    let report = carry(from, &graph, to, options, absent).await?;
    Ok(report.with(options.progress.counts().since(before)))
}

/// Whether the destination has the artifact, which then gets all its tags. One request tells that nothing changed: the
/// one for the first tag.
async fn is_there(root: &Descriptor, to: &Arc<dyn Store>, options: &Options) -> Result<bool> {
    let tag = |e: Error| e.context(format!("tag {} in {to}", root.digest));
    let Some((first, others)) = options.tags.split_first() else { return to.contains(root).await };
    let found = match ahead(to, options).and_then(|ahead| ahead.tagged(first)) {
        Some(asked) => asked,
        None => match to.resolve(first).await {
            Ok(found) => Some(found),
            Err(e) if e.kind() == Kind::NotFound => None,
            Err(e) => return Err(e),
        },
    };
    match found {
        Some(found) if found.digest == root.digest => {}
        _ if !to.contains(root).await? => return Ok(false),
        _ => to.tag(first, root).await.map_err(tag)?,
    }
    set_tags(root, others, to).await.map_err(tag)?;
    Ok(true)
}

/// What is on its way to this destination.
fn ahead<'a>(to: &Arc<dyn Store>, options: &'a Options) -> Option<&'a Arc<Ahead>> {
    options.ahead.as_ref().filter(|ahead| ahead.is_to(to))
}

/// Copies a graph that is known already; its roots carry the tags. See [`copy`].
pub async fn copy_graph(
    from: &Arc<dyn ReadStore>,
    graph: &Graph,
    to: &Arc<dyn Store>,
    options: &Options,
) -> Result<Report> {
    carry(from, graph, to, options, None).await
}

/// Copies a graph; the destination is known to lack the manifest `absent`.
async fn carry(
    from: &Arc<dyn ReadStore>,
    graph: &Graph,
    to: &Arc<dyn Store>,
    options: &Options,
    absent: Option<Digest>,
) -> Result<Report> {
    let first = graph.roots.first().ok_or_else(|| Error::invalid("nothing to copy"))?;
    let (mut report, before) = (Report::of(first.desc.clone()), options.progress.counts());
    options.progress.tell(Event::Planned { items: graph.len(), bytes: graph.size() });
    to.expect(graph).await?;
    copy_blobs(from, graph, to, options, &mut report).await?;
    let steps = tags_last(graph);
    for (node, tags) in steps.manifests {
        let absent = absent.as_ref() == Some(&node.desc.digest);
        let outcome = copy_manifest(&node.desc, &node.bytes, &tags, to, absent)
            .await
            .context(|| format!("copy manifest {} to {to}", node.desc.digest))?;
        report.count(&node.desc, outcome);
        options.progress.tell(Event::Done(node.desc.clone(), outcome));
    }
    for (desc, tags) in steps.tags {
        set_tags(desc, &tags, to).await.context(|| format!("tag {} in {to}", desc.digest))?;
    }
    to.finish().await?;
    Ok(report.with(options.progress.counts().since(before)))
}

/// What [`copy_graph`] would do, as far as it can be known without trying: content that could be mounted counts as
/// moved. Without a destination everything moves.
pub async fn missing(graph: &Graph, to: Option<&Arc<dyn Store>>) -> Result<Report> {
    let first = graph.roots.first().ok_or_else(|| Error::invalid("nothing to copy"))?;
    let mut report = Report::of(first.desc.clone());
    for desc in graph.descriptors() {
        let present = match to {
            Some(to) => to.contains(desc).await?,
            None => false,
        };
        report.count(desc, if present { Outcome::Present } else { Outcome::Moved });
    }
    Ok(report)
}

/// What is still to be done once all blobs are there.
struct Steps<'a> {
    /// Manifests in their order, with the tags that each gets at once.
    manifests: Vec<(&'a Node, Vec<String>)>,
    /// Tags to be set at the end.
    tags: Vec<(&'a Descriptor, Vec<String>)>,
}

/// Puts manifests that get tags last: a tag must not show before all that belongs to it is there. A root that others
/// in the graph are about comes before them, and gets its tags at the very end.
fn tags_last(graph: &Graph) -> Steps<'_> {
    let mut tags: HashMap<&Digest, Vec<String>> = HashMap::new();
    for root in &graph.roots {
        tags.entry(&root.desc.digest).or_default().extend(root.tags.iter().cloned());
    }
    let subjects: HashSet<&Digest> =
        graph.manifests.iter().filter_map(|node| node.parsed.subject()).map(|subject| &subject.digest).collect();
    let below: HashSet<&Digest> =
        graph.manifests.iter().flat_map(|node| node.parsed.children()).map(|child| &child.digest).collect();
    let (mut manifests, mut last, mut later) = (Vec::new(), Vec::new(), Vec::new());
    for node in &graph.manifests {
        let digest = &node.desc.digest;
        let tags = tags.remove(digest).unwrap_or_default();
        if subjects.contains(digest) {
            manifests.push((node, Vec::new()));
            later.push((&node.desc, tags));
        } else if tags.is_empty() || below.contains(digest) {
            manifests.push((node, tags));
        } else {
            last.push((node, tags));
        }
    }
    manifests.append(&mut last);
    Steps { manifests, tags: later }
}

/// Points tags at a manifest that is there, where they do not yet.
async fn set_tags(desc: &Descriptor, tags: &[String], to: &Arc<dyn Store>) -> Result<()> {
    for tag in tags {
        if !to.resolve(tag).await.is_ok_and(|found| found.digest == desc.digest) {
            to.tag(tag, desc).await?;
        }
    }
    Ok(())
}

/// Of an index, the manifest for this platform; anything else as it is. Error kind `NotFound` when there is none.
pub async fn select(from: &Arc<dyn ReadStore>, root: Descriptor, platform: Option<&Platform>) -> Result<Descriptor> {
    let Some(platform) = platform else { return Ok(root) };
    if !crate::oci::media_type::is_index(&root.media_type) {
        return Ok(root);
    }
    let bytes = crate::store::read_manifest(from.as_ref(), &root).await?;
    let index = crate::oci::Parsed::read(&root.media_type, &bytes)?;
    let fits = |p: &Platform| {
        p.os == platform.os
            && p.architecture == platform.architecture
            && (platform.variant.is_none() || p.variant == platform.variant)
    };
    let found = index.children().into_iter().find(|d| d.platform.as_ref().is_some_and(fits)).cloned();
    found.ok_or_else(|| Error::not_found(format!("no manifest for platform {platform} in {}", root.digest)))
}

async fn copy_blobs(
    from: &Arc<dyn ReadStore>,
    graph: &Graph,
    to: &Arc<dyn Store>,
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    let (mut tasks, mut lanes) = (JoinSet::new(), Lanes::new(options.concurrency));
    for desc in &graph.blobs {
        // A task is made when its turn comes: an artifact may have very many blobs.
        while tasks.len() >= lanes.open(desc.size) {
            count_one(&mut tasks, &mut lanes, report).await?;
        }
        let (from, to, desc, progress) = (Arc::clone(from), Arc::clone(to), desc.clone(), options.progress.clone());
        let sending = ahead(&to, options).and_then(|ahead| ahead.take(&desc.digest));
        tasks.spawn(async move {
            let start = Instant::now();
            let outcome = copy_blob(&from, &desc, &to, sending, &progress)
                .await
                .context(|| format!("copy blob {} from {from} to {to}", desc.digest))?;
            progress.tell(Event::Done(desc.clone(), outcome));
            Ok((desc, outcome, start.elapsed()))
        });
    }
    while !tasks.is_empty() {
        count_one(&mut tasks, &mut lanes, report).await?;
    }
    Ok(())
}

/// Waits for the next blob that is done.
async fn count_one(
    tasks: &mut JoinSet<Result<(Descriptor, Outcome, Duration)>>,
    lanes: &mut Lanes,
    report: &mut Report,
) -> Result<()> {
    let Some(joined) = tasks.join_next().await else { return Ok(()) };
    let (desc, outcome, took) = joined.map_err(|e| Error::caused(Kind::Internal, "a copying task failed", e))??;
    lanes.note(desc.size, took);
    report.count(&desc, outcome);
    Ok(())
}

async fn copy_blob(
    from: &Arc<dyn ReadStore>,
    desc: &Descriptor,
    to: &Arc<dyn Store>,
    sending: Option<Sending>,
    progress: &Observer,
) -> Result<Outcome> {
    let left = sending.is_some();
    if let Some(sending) = sending {
        progress.tell(Event::Started(desc.clone()));
        match sending.arrive(|bytes| progress.tell(Event::Moved(desc.digest.clone(), bytes))).await {
            Ok(Claim::Absent) => return Ok(Outcome::Moved),
            Ok(Claim::Present | Claim::Mounted) => {
                // What left before that was known moved in vain.
                progress.tell(Event::Restarted(desc.digest.clone()));
                return Ok(Outcome::Present);
            }
            Err(e) => tracing::debug!(digest = %desc.digest, "did not arrive ahead: {e}"),
        }
    }
    match to.claim(desc, from.as_ref()).await? {
        Claim::Present => return Ok(Outcome::Present),
        Claim::Mounted => return Ok(Outcome::Mounted),
        Claim::Absent => {}
    }
    if !left {
        progress.tell(Event::Started(desc.clone()));
    }
    let blob = Counted {
        blob: Stored::new(Arc::clone(from), desc.clone()),
        digest: desc.digest.clone(),
        opened: Mutex::new(left),
        progress: progress.clone(),
    };
    match to.push(desc, &blob).await {
        // A flipped bit on the way; wrong bytes at the origin will be wrong again.
        Err(e) if e.kind() == Kind::Mismatch && !blob.at_hand() => to.push(desc, &blob).await?,
        other => other?,
    }
    Ok(Outcome::Moved)
}

async fn copy_manifest(
    desc: &Descriptor,
    bytes: &Bytes,
    tags: &[String],
    to: &Arc<dyn Store>,
    absent: bool,
) -> Result<Outcome> {
    if !absent && to.contains(desc).await? {
        set_tags(desc, tags, to).await?;
        return Ok(Outcome::Present);
    }
    to.publish(desc, bytes, tags).await?;
    Ok(Outcome::Moved)
}

/// A blob whose streams report what passes through them.
struct Counted {
    blob: Stored,
    digest: Digest,
    opened: Mutex<bool>,
    progress: Observer,
}

#[async_trait]
impl Blob for Counted {
    fn size(&self) -> u64 {
        self.blob.size()
    }

    async fn open(&self, from: u64) -> Result<ByteStream> {
        let again = std::mem::replace(&mut *self.opened.lock().unwrap_or_else(PoisonError::into_inner), true);
        match (again, from) {
            (true, 0) => self.progress.tell(Event::Restarted(self.digest.clone())),
            (false, 1..) => self.progress.tell(Event::Resumed(self.digest.clone(), from)),
            _ => {}
        }
        let (digest, progress) = (self.digest.clone(), self.progress.clone());
        let count = move |chunk: &Result<Bytes>| {
            if let Ok(bytes) = chunk {
                progress.tell(Event::Moved(digest.clone(), bytes.len() as u64));
            }
        };
        Ok(self.blob.open(from).await?.inspect(count).boxed())
    }

    fn local(&self) -> Option<FileSlice> {
        self.blob.local()
    }

    fn at_hand(&self) -> bool {
        self.blob.at_hand()
    }
}
