//! Blob transfer: in parallel, only where the destination lacks a blob, and once more if other bytes arrive than
//! described.

use std::{
    collections::{HashMap, HashSet},
    ptr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::{task::JoinSet, time::Instant};

use super::{Options, Report, concurrency::Concurrency, early, early_upload::Sending, plan::DestinationPlan};
use crate::{
    blob::{Blob, ByteStream, FileSlice},
    error::{Context as _, Error, Kind, Result},
    graph::BlobEntry,
    oci::{Descriptor, Digest},
    progress::{Event, Observer, Outcome},
    store::{Home, Item, Presence, Puts, ReadStore, Store},
};

type Tasks = JoinSet<Result<(Descriptor, Outcome, Duration)>>;

/// Stores the blobs that the destination lacks and counts all of them in `report`. `earlier` parts of the plan are
/// complete, so their blobs can be mounted. After an error no task is left running.
pub(super) async fn copy_blobs(
    puts: &Puts,
    part: &DestinationPlan,
    earlier: &[DestinationPlan],
    evidence: &HashMap<Digest, Bytes>,
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    let presence = part.presence.get(part.graph.manifests.len()..).unwrap_or_default();
    let blobs = part.graph.blobs.iter().zip(presence.iter().copied());
    copy_these(puts, part, blobs, (earlier, evidence), options, report).await
}

/// Stores these blobs, already counted, without relying on what is known about the destination: it lacks content that
/// it seemed to have.
pub(super) async fn copy_again(
    puts: &Puts,
    part: &DestinationPlan,
    blobs: &[&BlobEntry],
    evidence: &HashMap<Digest, Bytes>,
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    let blobs = blobs.iter().map(|blob| (*blob, Presence::Absent));
    let mut again = Report::of(Descriptor::empty());
    let copied = copy_these(puts, part, blobs, (&[], evidence), options, &mut again).await;
    report.moved = report.moved.saturating_add(again.moved);
    report.bytes = report.bytes.saturating_add(again.bytes);
    report.present = report.present.saturating_sub(again.moved);
    report.present_bytes = report.present_bytes.saturating_sub(again.bytes);
    copied
}

async fn copy_these<'a>(
    puts: &Puts,
    part: &DestinationPlan,
    blobs: impl Iterator<Item = (&'a BlobEntry, Presence)>,
    (earlier, evidence): (&[DestinationPlan], &HashMap<Digest, Bytes>),
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    let mut tasks = JoinSet::new();
    let copied = copy_all(&mut tasks, puts, part, blobs, (earlier, evidence), options, report).await;
    // A caller that then abandons the session finds no task still using it.
    tasks.shutdown().await;
    copied
}

async fn copy_all<'a>(
    tasks: &mut Tasks,
    puts: &Puts,
    part: &DestinationPlan,
    blobs: impl Iterator<Item = (&'a BlobEntry, Presence)>,
    (earlier, evidence): (&[DestinationPlan], &HashMap<Digest, Bytes>),
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    let mut concurrency = Concurrency::new(options.concurrency);
    let brought: Vec<Brought<'_>> = earlier.iter().map(Brought::of).collect();
    for (blob, presence) in blobs {
        let desc = blob.titled();
        if presence.fits(&desc) {
            report.count(&desc, Outcome::Present);
            options.progress.tell(Event::Done(desc, Outcome::Present));
            continue;
        }
        // Tasks are created one by one: an artifact may have very many blobs.
        while tasks.len() >= concurrency.open(desc.size) {
            count_one(tasks, &mut concurrency, report).await?;
        }
        let sending = early(&part.to, options).and_then(|early| early.take(&desc.digest));
        let origins = Origins::of(part, blob, evidence.get(&blob.digest).cloned());
        let homes = homes(&origins, &brought);
        let (puts, to, progress) = (puts.clone(), part.to.to_string(), options.progress.clone());
        tasks.spawn(async move {
            let start = Instant::now();
            let outcome = copy_blob(&puts, &origins, &homes, sending, &progress)
                .await
                .context(|| format!("copy blob {} from {origins} to {to}", desc.digest))?;
            progress.tell(Event::Done(desc.clone(), outcome));
            Ok((desc, outcome, start.elapsed()))
        });
    }
    while !tasks.is_empty() {
        count_one(tasks, &mut concurrency, report).await?;
    }
    Ok(())
}

/// A destination and the blobs that it has by now.
struct Brought<'a> {
    to: &'a Arc<dyn Store>,
    blobs: HashSet<&'a Digest>,
}

impl<'a> Brought<'a> {
    fn of(part: &'a DestinationPlan) -> Self {
        Self { to: &part.to, blobs: part.graph.blobs.iter().map(|blob| &blob.digest).collect() }
    }
}

/// Repositories with this blob: its origins, and destinations that have received it.
fn homes(origins: &Origins, earlier: &[Brought<'_>]) -> Vec<Home> {
    let item = &origins.item;
    let there = earlier.iter().filter(|part| part.blobs.contains(&item.desc.digest));
    let there = there.filter_map(|part| part.to.home(item));
    there.chain(origins.stores.iter().filter_map(|store| store.home(item))).collect()
}

/// Waits for the next finished blob.
async fn count_one(tasks: &mut Tasks, concurrency: &mut Concurrency, report: &mut Report) -> Result<()> {
    let Some(joined) = tasks.join_next().await else { return Ok(()) };
    let (desc, outcome, took) = joined.map_err(|e| Error::caused(Kind::Internal, "copy task failed", e))??;
    concurrency.note(desc.size, took);
    report.count(&desc, outcome);
    Ok(())
}

async fn copy_blob(
    puts: &Puts,
    origins: &Origins,
    homes: &[Home],
    sending: Option<Sending>,
    progress: &Observer,
) -> Result<Outcome> {
    let desc = &origins.item.desc;
    let left = sending.is_some();
    if let Some(sending) = sending {
        progress.tell(Event::Started(desc.clone()));
        match sending.arrive(|bytes| progress.tell(Event::Moved(desc.digest.clone(), bytes))).await {
            Ok(Outcome::Moved) => return Ok(Outcome::Moved),
            Ok(there) => {
                // Bytes sent before that was known moved in vain.
                progress.tell(Event::Restarted(desc.digest.clone()));
                return Ok(there);
            }
            Err(e) => {
                tracing::debug!(target: "artifact::copy", digest = %desc.digest, why = %e, "early upload failed")
            }
        }
    }
    let blob = Counted { blob: origins, opened: Mutex::new(left), progress: progress.clone() };
    match puts.put(desc, &blob, homes).await {
        // A bit flipped in transit; if the origin itself has wrong bytes, the next one is asked.
        Err(e) if e.kind() == Kind::Mismatch && !blob.is_local_and_hashed() => {
            let again = puts.put(desc, &blob, homes).await;
            match again {
                // The destination claimed to store the content, but stored something else.
                Ok(Outcome::Present) => Err(e),
                Err(e) if e.kind() == Kind::Mismatch && origins.next() => puts.put(desc, &blob, homes).await,
                other => other,
            }
        }
        other => other,
    }
}

/// A blob that several stores may have, the nearest first.
struct Origins {
    item: Item,
    stores: Vec<Arc<dyn ReadStore>>,
    /// The first store to ask: those before it had wrong bytes.
    first: AtomicUsize,
    /// The content, if already read.
    content: Option<Bytes>,
}

impl Origins {
    fn of(part: &DestinationPlan, blob: &BlobEntry, content: Option<Bytes>) -> Self {
        // A destination that is also an origin is known to lack this.
        let itself = |store: &&Arc<dyn ReadStore>| !ptr::addr_eq(Arc::as_ptr(store), Arc::as_ptr(&part.to));
        let stores = part.graph.origins(&blob.origins).filter(itself).cloned().collect();
        Self { item: Item::blob(blob.titled()), stores, first: AtomicUsize::new(0), content }
    }

    /// Skips the store that was asked; `false` if it was the last.
    fn next(&self) -> bool {
        self.first.fetch_add(1, Ordering::Relaxed).saturating_add(1) < self.stores.len()
    }

    fn nearest(&self) -> Option<&Arc<dyn ReadStore>> {
        self.stores.get(self.first.load(Ordering::Relaxed))
    }
}

impl std::fmt::Display for Origins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<String> = self.stores.iter().map(ToString::to_string).collect();
        f.write_str(&names.join(" or "))
    }
}

#[async_trait]
impl Blob for Origins {
    fn size(&self) -> u64 {
        self.item.desc.size
    }

    /// Opens the content at the nearest store that has it. Errors: that of the farthest store, with other failures in
    /// front.
    async fn open(&self, from: u64) -> Result<ByteStream> {
        if let Some(content) = &self.content {
            return content.open(from).await;
        }
        let mut failed: Option<Error> = None;
        for store in self.stores.iter().skip(self.first.load(Ordering::Relaxed)) {
            match store.fetch(&self.item, from..self.item.desc.size).await {
                Ok(stream) => return Ok(stream),
                Err(e) => {
                    failed = Some(match failed {
                        Some(earlier) => e.context(format!("{earlier}; then")),
                        None => e,
                    });
                }
            }
        }
        let failed = failed.unwrap_or_else(|| Error::not_found(format!("no store has {}", self.item.desc.digest)));
        Err(failed.of_content())
    }

    fn local(&self) -> Option<FileSlice> {
        self.nearest()?.local(&self.item)
    }

    fn is_local_and_hashed(&self) -> bool {
        self.content.is_some() || self.nearest().is_some_and(|store| store.is_local_and_hashed(&self.item))
    }
}

/// A blob whose streams report their progress.
struct Counted<'a> {
    blob: &'a Origins,
    opened: Mutex<bool>,
    progress: Observer,
}

#[async_trait]
impl Blob for Counted<'_> {
    fn size(&self) -> u64 {
        self.blob.size()
    }

    async fn open(&self, from: u64) -> Result<ByteStream> {
        let again = std::mem::replace(&mut *self.opened.lock().unwrap_or_else(PoisonError::into_inner), true);
        let digest = self.blob.item.desc.digest.clone();
        if !again {
            self.progress.tell(Event::Started(self.blob.item.desc.clone()));
        }
        match (again, from) {
            (true, 0) => self.progress.tell(Event::Restarted(digest.clone())),
            (false, 1..) => self.progress.tell(Event::Resumed(digest.clone(), from)),
            _ => {}
        }
        let progress = self.progress.clone();
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

    fn is_local_and_hashed(&self) -> bool {
        self.blob.is_local_and_hashed()
    }
}
