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
/// Bytes of all streams of this process that are not in their files yet, before each waits for its own: hundreds of
/// uploads at a time hold little memory, whether they stand still or come faster than they are written.
const MOST_UNWRITTEN: usize = 16 << 20;
/// Bytes of all streams of this process that are not in their files yet.
static UNWRITTEN: AtomicUsize = AtomicUsize::new(0);
/// Writeback is started every so many bytes, so that the final sync has little left to wait for.
const WRITEBACK: u64 = 8 << 20;

/// Bytes that are not in their file yet. They count until they are dropped.
#[derive(Debug, Default)]
struct Batch {
    chunks: Vec<Bytes>,
    len: usize,
}

impl Batch {
    /// Adds bytes; returns how many of all streams are not in their files yet.
    fn add(&mut self, chunk: Bytes) -> usize {
        let len = chunk.len();
        self.len = self.len.saturating_add(len);
        self.chunks.push(chunk);
        UNWRITTEN.fetch_add(len, Ordering::Relaxed).saturating_add(len)
    }

    /// Writes all of it, each chunk until it is written.
    fn write(mut self, file: &File, mut at: u64) -> io::Result<()> {
        for chunk in std::mem::take(&mut self.chunks) {
            file.write_all_at(&chunk, at)?;
            at = at.saturating_add(chunk.len() as u64);
        }
        Ok(())
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        UNWRITTEN.fetch_sub(self.len, Ordering::Relaxed);
    }
}

/// Writes a stream into an open file from an offset on, one batch behind: while one batch is written on another thread,
/// the next is received and hashed. Holds at most two batches, and no thread while idle.
#[derive(Debug)]
pub(super) struct WriteBehind {
    file: Arc<File>,
    path: PathBuf,
    at: u64,
    started: u64,
    waiting: Batch,
    busy: Option<tokio::task::JoinHandle<io::Result<()>>>,
}

impl WriteBehind {
    /// Starts at offset `at`; `path` is for messages.
    pub(super) fn new(file: Arc<File>, path: PathBuf, at: u64) -> Self {
        Self { file, path, at, started: at, waiting: Batch::default(), busy: None }
    }

    /// Writes more bytes. An error may come from an earlier write.
    pub(super) async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let crowded = self.waiting.add(chunk) > MOST_UNWRITTEN;
        match self.waiting.len >= BATCH {
            _ if crowded => self.finish().await,
            true => self.flush().await,
            false => Ok(()),
        }
    }

    /// Waits until all bytes are written.
    pub(super) async fn finish(&mut self) -> Result<()> {
        self.flush().await?;
        self.idle().await
    }

    /// Starts to write what waits for more bytes.
    pub(super) async fn flush(&mut self) -> Result<()> {
        self.idle().await?;
        if self.waiting.chunks.is_empty() {
            return Ok(());
        }
        let (file, at, batch) = (Arc::clone(&self.file), self.at, std::mem::take(&mut self.waiting));
        self.at = self.at.saturating_add(batch.len as u64);
        let due = (self.at.saturating_sub(self.started) >= WRITEBACK).then_some((self.started, self.at));
        if due.is_some() {
            self.started = self.at;
        }
        self.busy = Some(tokio::task::spawn_blocking(move || {
            batch.write(&file, at)?;
            if let Some((from, to)) = due {
                start_writing(&file, from, to.saturating_sub(from));
            }
            Ok(())
        }));
        Ok(())
    }

    async fn idle(&mut self) -> Result<()> {
        let Some(busy) = self.busy.take() else { return Ok(()) };
        let written = busy.await.map_err(|e| Error::caused(Kind::Internal, "write aborted", e))?;
        written.context(|| format!("cannot write `{}`", self.path.display()))
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

    /// A file, and a stream that other tests of this process do not count in.
    fn streams(dir: &Dir, count: usize) -> Vec<(TemporaryFile, WriteBehind)> {
        let one = |_| {
            let draft = TemporaryFile::new(dir).unwrap();
            let behind = WriteBehind::new(Arc::clone(draft.file()), draft.path(), 0);
            (draft, behind)
        };
        (0..count).map(one).collect()
    }

    #[tokio::test]
    async fn many_streams_hold_no_more_than_a_limit_together_and_each_goes_on() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let mut streams = streams(&dir, 100);
        for _ in 0..3 {
            for (_, behind) in &mut streams {
                behind.write(Bytes::from(vec![7; 300 << 10])).await.unwrap();
            }
        }
        // What another test writes at the same time counts, too, and makes these hold less.
        let held: usize = streams.iter().map(|(_, behind)| behind.waiting.len).sum();
        assert!(held <= MOST_UNWRITTEN, "{held}");
        let busy = streams.iter().filter(|(_, behind)| behind.busy.is_some()).count();
        assert!(busy <= MOST_UNWRITTEN / BATCH, "{busy} streams write while they receive");
        for (draft, behind) in &mut streams {
            behind.finish().await.unwrap();
            assert_eq!(draft.len().unwrap(), 900 << 10);
        }
    }

    #[test]
    fn bytes_count_until_they_are_dropped_whether_they_were_written_or_not() {
        let before = UNWRITTEN.load(Ordering::Relaxed);
        let mut batch = Batch::default();
        let most = 1 << 40;
        assert_eq!(UNWRITTEN.fetch_add(most, Ordering::Relaxed) / most, before / most, "no other test has so many");
        assert!(batch.add(Bytes::from_static(b"abc")) >= most + 3);
        drop(batch);
        assert!(UNWRITTEN.fetch_sub(most, Ordering::Relaxed) >= most);
    }

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
