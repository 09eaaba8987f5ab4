//! Reads files into pooled buffers, without a thread switch if the bytes are in the system's cache.

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt as _,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::{sync::OwnedSemaphorePermit, task::JoinHandle};

use super::buffers::{Buffer, Buffers};
use crate::{
    blob::ByteStream,
    error::{Context as _, Error, Kind, Result},
};

/// A client that takes a chunk within this time is quick.
const QUICK: Duration = Duration::from_millis(100);
/// After so many bytes that were taken quickly, chunks are large. The system takes a few for every client.
const PROBATION: u64 = 512 << 10;

/// A reader of a file: in large chunks for a quick client, in small ones for others.
pub(super) struct FileReader {
    file: Arc<File>,
    path: PathBuf,
    left: Range<u64>,
    buffers: Arc<Buffers>,
    /// Whether the file system supports reads from its cache only.
    reads_cached: bool,
    /// The next chunk, with its permit.
    ahead: Option<(ThreadRead, OwnedSemaphorePermit)>,
    /// Bytes taken quickly, one chunk after the other.
    quick: u64,
    /// When the last chunk was handed out.
    given: Option<Instant>,
}

/// A read on another thread.
type ThreadRead = JoinHandle<io::Result<Buffer>>;

impl FileReader {
    /// A reader of these bytes of an open file; `path` is for messages.
    pub(super) fn new(file: Arc<File>, path: PathBuf, range: Range<u64>, buffers: Arc<Buffers>) -> Self {
        Self { file, path, left: range, buffers, reads_cached: true, ahead: None, quick: 0, given: None }
    }

    /// The remaining bytes. Errors: kind `Changed` if the file is shorter.
    pub(super) fn stream(self) -> ByteStream {
        stream::try_unfold(
            self,
            |mut reader| async move { Ok(reader.next_chunk().await?.map(|chunk| (chunk, reader))) },
        )
        .boxed()
    }

    async fn next_chunk(&mut self) -> Result<Option<Bytes>> {
        if self.left.is_empty() {
            return Ok(None);
        }
        if self.given.is_some_and(|given| given.elapsed() >= QUICK) {
            self.quick = 0;
        }
        let buffer = match self.ahead.take() {
            Some((read, _permit)) => self.finish(read).await?,
            None => self.read_chunk().await?,
        };
        if buffer.len == 0 {
            let message = format!("`{}` became shorter during reading", self.path.display());
            return Err(Error::new(Kind::Changed, message));
        }
        self.left.start = self.left.start.saturating_add(buffer.len as u64);
        self.quick = self.quick.saturating_add(buffer.len as u64);
        self.read_ahead();
        self.given = Some(Instant::now());
        Ok(Some(Bytes::from_owner(buffer)))
    }

    fn lend(&self) -> Buffer {
        self.buffers.lend(self.quick >= PROBATION)
    }

    async fn read_chunk(&mut self) -> Result<Buffer> {
        let mut buffer = self.lend();
        match self.read_cached(buffer.space(self.left())) {
            Some(len) => buffer.len = len,
            None => buffer = self.finish(self.read_on_thread(buffer)).await?,
        }
        Ok(buffer)
    }

    /// Starts to read the next chunk while this one is sent, if every read uses another thread.
    fn read_ahead(&mut self) {
        if !self.reads_cached
            && !self.left.is_empty()
            && let Some(permit) = self.buffers.permit_ahead()
        {
            self.ahead = Some((self.read_on_thread(self.lend()), permit));
        }
    }

    fn left(&self) -> u64 {
        self.left.end.saturating_sub(self.left.start)
    }

    /// Reads from the system's cache; `None` if the bytes are not in it, or that is unknown.
    #[cfg(target_os = "linux")]
    fn read_cached(&mut self, space: &mut [u8]) -> Option<usize> {
        use rustix::io::{Errno, ReadWriteFlags, preadv2};
        if !self.reads_cached {
            return None;
        }
        let mut space = [io::IoSliceMut::new(space)];
        match preadv2(&*self.file, &mut space, self.left.start, ReadWriteFlags::NOWAIT) {
            Ok(len) => Some(len).filter(|len| *len > 0),
            Err(e) => {
                self.reads_cached = e == Errno::AGAIN;
                None
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn read_cached(&mut self, _space: &mut [u8]) -> Option<usize> {
        None
    }

    fn read_on_thread(&self, mut buffer: Buffer) -> ThreadRead {
        let (file, at, left) = (Arc::clone(&self.file), self.left.start, self.left());
        tokio::task::spawn_blocking(move || {
            buffer.len = read_at(&file, buffer.space(left), at)?;
            Ok(buffer)
        })
    }

    async fn finish(&self, read: ThreadRead) -> Result<Buffer> {
        let read = read.await.map_err(|e| Error::caused(Kind::Internal, "a reading thread failed", e))?;
        read.context(|| format!("cannot read `{}`", self.path.display()))
    }
}

/// Reads once; retries after interruptions.
pub(super) fn read_at(file: &File, space: &mut [u8], at: u64) -> io::Result<usize> {
    loop {
        match file.read_at(space, at) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::buffers::{AHEAD, KEPT, LARGE, SMALL},
        *,
    };
    use crate::{blob::CHUNK, store::collect};

    fn sample(dir: &tempfile::TempDir, content: &[u8]) -> (Arc<File>, PathBuf) {
        let path = dir.path().join("file");
        std::fs::write(&path, content).unwrap();
        (Arc::new(File::open(&path).unwrap()), path)
    }

    /// The temporary directory, and one in memory where there is such a thing: not every file system says what it has
    /// in memory.
    fn places() -> Vec<tempfile::TempDir> {
        std::iter::once(tempfile::tempdir()).chain([tempfile::tempdir_in("/dev/shm")]).filter_map(Result::ok).collect()
    }

    #[tokio::test]
    async fn every_part_is_read_on_every_file_system() {
        let content: Vec<u8> = (0..3 * CHUNK + 7).map(|i| u8::try_from(i % 251).unwrap()).collect();
        for dir in places() {
            let (file, path) = sample(&dir, &content);
            let buffers = Arc::default();
            for range in [0..content.len(), 5..CHUNK + 9, 7..7, content.len() - 1..content.len()] {
                let part = range.start as u64..range.end as u64;
                let reader = FileReader::new(Arc::clone(&file), path.clone(), part, Arc::clone(&buffers));
                assert_eq!(collect(reader.stream(), u64::MAX).await.unwrap(), content[range.clone()], "{range:?}");
            }
        }
    }

    #[tokio::test]
    async fn few_files_are_read_ahead_and_no_further_than_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let (file, path) = sample(&dir, &vec![1; 3 * CHUNK]);
        let buffers = Arc::<Buffers>::default();
        let reader = |end| {
            let part = 0..end;
            let reader = FileReader::new(Arc::clone(&file), path.clone(), part, Arc::clone(&buffers));
            FileReader { reads_cached: false, quick: PROBATION, ..reader }
        };
        let mut ends = reader(CHUNK as u64);
        assert_eq!(ends.next_chunk().await.unwrap().unwrap().len(), CHUNK);
        assert!(ends.ahead.is_none());
        let mut last = reader(CHUNK as u64 + 5);
        assert_eq!(last.next_chunk().await.unwrap().unwrap().len(), CHUNK);
        assert!(last.ahead.is_some());
        assert_eq!(last.next_chunk().await.unwrap().unwrap().len(), 5);
        assert!(last.ahead.is_none() && last.next_chunk().await.unwrap().is_none());
        let permits: Vec<_> = (0..AHEAD).filter_map(|_| buffers.permit_ahead()).collect();
        let mut crowded = reader(3 * CHUNK as u64);
        assert!(crowded.next_chunk().await.unwrap().is_some() && crowded.ahead.is_none());
        drop(permits);
        assert!(crowded.next_chunk().await.unwrap().is_some() && crowded.ahead.is_some());
        assert!(crowded.next_chunk().await.unwrap().is_some() && crowded.next_chunk().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_file_that_is_too_short_is_an_error() {
        for dir in places() {
            let (file, path) = sample(&dir, &[1; 10]);
            let reader = FileReader::new(file, path, 0..11, Arc::default());
            assert_eq!(collect(reader.stream(), u64::MAX).await.unwrap_err().kind(), Kind::Changed);
        }
    }

    #[tokio::test]
    async fn a_buffer_comes_back_when_its_bytes_are_gone_and_few_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (file, path) = sample(&dir, &vec![1; 2 * KEPT * CHUNK]);
        let buffers = Arc::<Buffers>::default();
        let kept = || buffers.kept();
        let reader = |end| {
            let reader = FileReader::new(Arc::clone(&file), path.clone(), 0..end, Arc::clone(&buffers));
            FileReader { quick: PROBATION, ..reader }
        };
        collect(reader(9 * CHUNK as u64).stream(), u64::MAX).await.unwrap();
        assert!((1..=2).contains(&kept()), "one that leaves, and one ahead of it where that is needed");
        let all: Vec<_> = reader(2 * (KEPT * CHUNK) as u64).stream().collect().await;
        assert_eq!(kept(), 0);
        drop(all);
        assert_eq!(kept(), KEPT);
    }

    #[tokio::test]
    async fn only_a_client_that_takes_what_it_gets_gets_large_chunks() {
        let dir = tempfile::tempdir().unwrap();
        let (file, path) = sample(&dir, &vec![1; 2 << 20]);
        let mut reader = FileReader::new(file, path, 0..2 << 20, Arc::default());
        let mut small = 0;
        while small < PROBATION as usize {
            let chunk = reader.next_chunk().await.unwrap().unwrap();
            assert_eq!(chunk.len(), SMALL);
            small += chunk.len();
        }
        assert_eq!(reader.next_chunk().await.unwrap().unwrap().len(), CHUNK);
        reader.given = Instant::now().checked_sub(QUICK);
        // The one that was read ahead, where that is needed, is as large as those before.
        let mut next = async || reader.next_chunk().await.unwrap().unwrap().len();
        assert!(next().await == SMALL || next().await == SMALL);
    }

    #[tokio::test]
    async fn clients_that_hold_all_large_buffers_leave_small_ones_to_others() {
        let buffers = Arc::<Buffers>::default();
        let held: Vec<_> = (0..LARGE).map(|_| buffers.lend(true)).collect();
        let mut other = buffers.lend(true);
        assert_eq!(other.space(u64::MAX).len(), SMALL);
        drop(held);
        assert_eq!(buffers.lend(true).space(u64::MAX).len(), CHUNK);
    }
}
