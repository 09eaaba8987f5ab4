//! How blobs move: as many at a time as pay, each only where the destination lacks it, and fetched once more when other
//! bytes arrived than described.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::{task::JoinSet, time::Instant};

use super::{Options, Report, ahead, lanes::Lanes};
use crate::{
    ahead::Sending,
    blob::{Blob, ByteStream, FileSlice},
    error::{Context as _, Error, Kind, Result},
    graph::Graph,
    oci::{Descriptor, Digest},
    progress::{Event, Observer, Outcome},
    store::{Claim, ReadStore, Store, Stored},
};

type Tasks = JoinSet<Result<(Descriptor, Outcome, Duration)>>;

/// Copies the blobs of a graph, and counts them into `report`. After an error nothing is at work any more.
pub(super) async fn copy_blobs(
    from: &Arc<dyn ReadStore>,
    graph: &Graph,
    to: &Arc<dyn Store>,
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    let mut tasks = JoinSet::new();
    let copied = copy_all(&mut tasks, from, graph, to, options, report).await;
    if copied.is_err() {
        tasks.shutdown().await;
    }
    copied
}

async fn copy_all(
    tasks: &mut Tasks,
    from: &Arc<dyn ReadStore>,
    graph: &Graph,
    to: &Arc<dyn Store>,
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    let mut lanes = Lanes::new(options.concurrency);
    for desc in &graph.blobs {
        // A task is made when its turn comes: an artifact may have very many blobs.
        while tasks.len() >= lanes.open(desc.size) {
            count_one(tasks, &mut lanes, report).await?;
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
        count_one(tasks, &mut lanes, report).await?;
    }
    Ok(())
}

/// Waits for the next blob that is done.
async fn count_one(tasks: &mut Tasks, lanes: &mut Lanes, report: &mut Report) -> Result<()> {
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
