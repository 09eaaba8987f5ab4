//! The engine: everything that moves is a copy between two stores. Blobs in parallel, then manifests children first,
//! referrers after subjects, the tag last; nothing that the destination has is moved.

mod blobs;
mod lanes;
mod manifests;

use std::sync::Arc;

use blobs::copy_blobs;
use manifests::{copy_manifest, set_tags, tags_last};

use crate::{
    ahead::Ahead,
    error::{Context as _, Error, Kind, Result},
    graph::{Graph, Root},
    oci::{Descriptor, Digest, Platform},
    progress::{Counts, Event, Observer, Outcome},
    store::{ReadStore, Store, compare},
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
    let before = options.progress.counts();
    let report = carry(from, graph, to, options, None).await?;
    Ok(report.with(options.progress.counts().since(before)))
}

/// Copies a graph; the destination is known to lack the manifest `absent`. The report lacks what [`Report::with`] adds.
async fn carry(
    from: &Arc<dyn ReadStore>,
    graph: &Graph,
    to: &Arc<dyn Store>,
    options: &Options,
    absent: Option<Digest>,
) -> Result<Report> {
    let first = graph.roots.first().ok_or_else(|| Error::invalid("nothing to copy"))?;
    options.progress.tell(Event::Planned { items: graph.len(), bytes: graph.size() });
    to.expect(graph).await?;
    let moved = move_all(from, graph, to, options, absent, Report::of(first.desc.clone())).await;
    if moved.is_err() {
        to.abandon(graph).await;
    }
    moved
}

/// What happens between `expect` and `finish`, and that too.
async fn move_all(
    from: &Arc<dyn ReadStore>,
    graph: &Graph,
    to: &Arc<dyn Store>,
    options: &Options,
    absent: Option<Digest>,
    mut report: Report,
) -> Result<Report> {
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
    Ok(report)
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

/// Of an index, the manifest for this platform; anything else as it is. Error kind `NotFound` when there is none.
pub async fn select(from: &Arc<dyn ReadStore>, root: Descriptor, platform: Option<&Platform>) -> Result<Descriptor> {
    let Some(platform) = platform else { return Ok(root) };
    if !crate::oci::media_type::is_index(&root.media_type) {
        return Ok(root);
    }
    let bytes = crate::store::read_manifest(from.as_ref(), &root).await?;
    let index = crate::oci::Parsed::read(&root.media_type, &bytes)?;
    let found = index
        .children()
        .into_iter()
        .find(|d| d.platform.as_deref().is_some_and(|own| own.satisfies(platform)))
        .cloned();
    found.ok_or_else(|| Error::not_found(format!("no manifest for platform {platform} in {}", root.digest)))
}
