//! Verifies the content of a file on a thread of its own.

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    sync::{OnceCell, Semaphore},
    task::JoinHandle,
};

use super::{file_reader::read_at, known::Key};
use crate::{
    error::{Context as _, Error, Kind, Result},
    fs::blocking,
    oci::Hasher,
};

/// Size of hashing steps, in bytes.
const STEP: usize = 1 << 20;

/// A verification in progress. Dropping it cancels the work, unless others wait for it.
pub(super) struct Verdict(JoinHandle<Result<bool>>);

impl Verdict {
    /// Hashes the file, unless its verdict is known or in progress.
    pub(super) fn start(cell: Arc<OnceCell<bool>>, file: Arc<File>, key: Key, threads: Arc<Semaphore>) -> Self {
        Self(tokio::spawn(async move { cell.get_or_try_init(|| has_digest(file, key, threads)).await.copied() }))
    }

    /// Whether the content is right.
    pub(super) async fn wait(mut self) -> Result<bool> {
        (&mut self.0).await.map_err(|e| Error::caused(Kind::Internal, "a verifying thread failed", e))?
    }
}

impl Drop for Verdict {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whether this part of a file has this digest.
async fn has_digest(file: Arc<File>, key: Key, threads: Arc<Semaphore>) -> Result<bool> {
    let permit = threads.acquire_owned().await;
    let permit = permit.map_err(|e| Error::caused(Kind::Internal, "no verifying thread", e))?;
    let stop = StopOnDrop(Arc::default());
    let stopped = Arc::clone(&stop.0);
    let verdict = blocking(move || {
        let _permit = permit;
        let mut hasher = Hasher::new(key.digest.algorithm());
        let mut buffer = vec![0; STEP];
        let (mut at, mut left) = (key.offset, key.len);
        while left > 0 && !stopped.load(Ordering::Relaxed) {
            let want = usize::try_from(left).unwrap_or(STEP).min(STEP);
            let read = read_at(&file, buffer.get_mut(..want).unwrap_or_default(), at)?;
            if read == 0 {
                return Ok(false);
            }
            hasher.update(buffer.get(..read).unwrap_or_default());
            at = at.saturating_add(read as u64);
            left = left.saturating_sub(read as u64);
        }
        Ok(left == 0 && hasher.finish() == key.digest)
    });
    verdict.await.context(|| "cannot verify a blob")
}

/// Cancels a thread on drop.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
