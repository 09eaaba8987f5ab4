//! Writing in parallel to receiving.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;

use crate::error::{Context as _, Error, Kind, Result};

/// How many bytes the writing thread gets at a time.
const BATCH: usize = 1 << 20;
/// The same where very many streams wait for more bytes.
const SMALL_BATCH: usize = 16 << 10;
/// Bytes that wait in this process before batches are small: hundreds of uploads that stand still hold little memory.
const MOST_WAITING: usize = 16 << 20;
/// Bytes that wait in this process.
static WAITING: AtomicUsize = AtomicUsize::new(0);
/// Writeback is started every so many bytes, so that the final sync has little left to wait for.
const WRITEBACK: u64 = 8 << 20;

/// Writes a stream into an open file from an offset on, one batch behind: while one batch is written on another thread,
/// the next is received and hashed. Holds at most two batches, and no thread while idle.
#[derive(Debug)]
pub(super) struct WriteBehind {
    file: Arc<File>,
    path: PathBuf,
    at: u64,
    started: u64,
    waiting: Vec<Bytes>,
    waiting_len: usize,
    busy: Option<tokio::task::JoinHandle<io::Result<()>>>,
}

impl WriteBehind {
    /// Starts at offset `at`; `path` is for messages.
    pub(super) fn new(file: Arc<File>, path: PathBuf, at: u64) -> Self {
        Self { file, path, at, started: at, waiting: Vec::new(), waiting_len: 0, busy: None }
    }

    /// Writes more bytes. An error may come from an earlier write.
    pub(super) async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.waiting_len = self.waiting_len.saturating_add(chunk.len());
        let all = WAITING.fetch_add(chunk.len(), Ordering::Relaxed);
        self.waiting.push(chunk);
        let batch = if all > MOST_WAITING { SMALL_BATCH } else { BATCH };
        if self.waiting_len < batch { Ok(()) } else { self.flush().await }
    }

    /// Waits until all bytes are written.
    pub(super) async fn finish(&mut self) -> Result<()> {
        self.flush().await?;
        self.idle().await
    }

    /// Starts to write what waits for more bytes.
    pub(super) async fn flush(&mut self) -> Result<()> {
        self.idle().await?;
        if self.waiting.is_empty() {
            return Ok(());
        }
        let (file, at, batch) = (Arc::clone(&self.file), self.at, std::mem::take(&mut self.waiting));
        self.at = self.at.saturating_add(self.waiting_len as u64);
        self.forget_waiting();
        let due = (self.at.saturating_sub(self.started) >= WRITEBACK).then_some((self.started, self.at));
        if due.is_some() {
            self.started = self.at;
        }
        self.busy = Some(tokio::task::spawn_blocking(move || {
            let mut at = at;
            for chunk in batch {
                file.write_all_at(&chunk, at)?;
                at = at.saturating_add(chunk.len() as u64);
            }
            if let Some((from, to)) = due {
                start_writing(&file, from, to.saturating_sub(from));
            }
            Ok(())
        }));
        Ok(())
    }

    fn forget_waiting(&mut self) {
        WAITING.fetch_sub(std::mem::take(&mut self.waiting_len), Ordering::Relaxed);
    }

    async fn idle(&mut self) -> Result<()> {
        let Some(busy) = self.busy.take() else { return Ok(()) };
        let written = busy.await.map_err(|e| Error::caused(Kind::Internal, "write aborted", e))?;
        written.context(|| format!("cannot write `{}`", self.path.display()))
    }
}

impl Drop for WriteBehind {
    fn drop(&mut self) {
        self.forget_waiting();
    }
}

/// Starts writeback of written bytes without waiting; a length of 0 means up to the end. On Linux,
/// `POSIX_FADV_DONTNEED` has this effect; pages that are not on disk yet stay in memory. On other systems the final
/// sync just takes longer.
#[cfg(target_os = "linux")]
pub(super) fn start_writing(file: &File, from: u64, len: u64) {
    let _ = rustix::fs::fadvise(file, from, std::num::NonZeroU64::new(len), rustix::fs::Advice::DontNeed);
}

/// No such call on this system.
#[cfg(not(target_os = "linux"))]
pub(super) fn start_writing(_file: &File, _from: u64, _len: u64) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{Dir, TemporaryFile};

    #[tokio::test]
    async fn what_is_written_behind_arrives_in_order() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let draft = TemporaryFile::new(&dir).unwrap();
        let mut behind = WriteBehind::new(Arc::clone(draft.file()), draft.path(), 3);
        let mut expected = vec![0; 3];
        for i in 0..200_u8 {
            behind.write(Bytes::from(vec![i; 70_000])).await.unwrap();
            expected.extend(vec![i; 70_000]);
        }
        behind.finish().await.unwrap();
        draft.keep(&dir, "f").unwrap();
        assert!(std::fs::read(temp.path().join("f")).unwrap() == expected);
    }
}
