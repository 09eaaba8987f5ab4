//! Files on their way out: read into buffers that are used again, and without leaving the thread where the system has
//! the bytes in memory.

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
};

use crate::{
    blob::{ByteStream, CHUNK},
    error::{Context as _, Error, Kind, Result},
};

/// How many unused buffers are kept: 8 MiB.
const KEPT: usize = 32;
/// How many files are read ahead of their connections at a time, by one buffer each.
const AHEAD: usize = 8;

/// Buffers of [`CHUNK`] bytes. A new one costs more than what is copied into it: its pages are mapped and cleared.
#[derive(Debug)]
pub(super) struct Buffers {
    unused: Mutex<Vec<Vec<u8>>>,
    ahead: Arc<Semaphore>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { unused: Mutex::default(), ahead: Arc::new(Semaphore::new(AHEAD)) }
    }
}

impl Buffers {
    fn unused(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.unused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(self: &Arc<Self>) -> Buffer {
        let used = self.unused().pop();
        Buffer { bytes: used.unwrap_or_else(|| vec![0; CHUNK]), len: 0, home: Arc::clone(self) }
    }
}

/// A buffer on loan.
struct Buffer {
    bytes: Vec<u8>,
    len: usize,
    home: Arc<Buffers>,
}

impl Buffer {
    /// The first bytes, to be filled.
    fn room(&mut self, len: u64) -> &mut [u8] {
        let len = usize::try_from(len).unwrap_or(CHUNK).min(self.bytes.len());
        self.bytes.get_mut(..len).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut kept = self.home.unused();
        if kept.len() < KEPT {
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// A file that is being read.
pub(super) struct Reader {
    file: Arc<File>,
    path: PathBuf,
    left: Range<u64>,
    buffers: Arc<Buffers>,
    /// Whether the file system can say what it has in memory.
    tells: bool,
    /// The next piece, and the right to hold it before it is wanted.
    coming: Option<(Coming, OwnedSemaphorePermit)>,
}

type Coming = JoinHandle<io::Result<Buffer>>;

impl Reader {
    /// Reads these bytes of an open file; `path` is for messages.
    pub(super) fn new(file: Arc<File>, path: PathBuf, range: Range<u64>, buffers: Arc<Buffers>) -> Self {
        Self { file, path, left: range, buffers, tells: true, coming: None }
    }

    /// All that is left. Errors: kind `Changed` when the file has fewer bytes.
    pub(super) fn stream(self) -> ByteStream {
        stream::try_unfold(self, |mut reader| async move { Ok(reader.next().await?.map(|chunk| (chunk, reader))) })
            .boxed()
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let buffer = match self.coming.take() {
            Some((coming, _permit)) => self.arrived(coming).await?,
            None => self.read().await?,
        };
        if buffer.len == 0 {
            let message = format!("`{}` became shorter while it was read", self.path.display());
            return Err(Error::new(Kind::Changed, message));
        }
        self.left.start = self.left.start.saturating_add(buffer.len as u64);
        self.go_ahead();
        Ok(Some(Bytes::from_owner(buffer)))
    }

    async fn read(&mut self) -> Result<Buffer> {
        let mut buffer = self.buffers.take();
        match self.at_once(buffer.room(self.left())) {
            Some(len) => buffer.len = len,
            None => buffer = self.arrived(self.on_a_thread(buffer)).await?,
        }
        Ok(buffer)
    }

    /// Where every piece takes a trip to another thread, the next one is read there while this one leaves.
    fn go_ahead(&mut self) {
        if !self.tells
            && !self.left.is_empty()
            && let Ok(permit) = Arc::clone(&self.buffers.ahead).try_acquire_owned()
        {
            self.coming = Some((self.on_a_thread(self.buffers.take()), permit));
        }
    }

    fn left(&self) -> u64 {
        self.left.end.saturating_sub(self.left.start)
    }

    /// Reads what is in memory; `None` when that is nothing, or unknown.
    #[cfg(target_os = "linux")]
    fn at_once(&mut self, room: &mut [u8]) -> Option<usize> {
        use rustix::io::{Errno, ReadWriteFlags, preadv2};
        if !self.tells {
            return None;
        }
        let mut room = [io::IoSliceMut::new(room)];
        match preadv2(&*self.file, &mut room, self.left.start, ReadWriteFlags::NOWAIT) {
            Ok(len) => Some(len).filter(|len| *len > 0),
            Err(e) => {
                self.tells = e == Errno::AGAIN;
                None
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn at_once(&mut self, _room: &mut [u8]) -> Option<usize> {
        None
    }

    fn on_a_thread(&self, mut buffer: Buffer) -> Coming {
        let (file, at, left) = (Arc::clone(&self.file), self.left.start, self.left());
        tokio::task::spawn_blocking(move || {
            buffer.len = read_at(&file, buffer.room(left), at)?;
            Ok(buffer)
        })
    }

    async fn arrived(&self, coming: Coming) -> Result<Buffer> {
        let read = coming.await.map_err(|e| Error::caused(Kind::Internal, "a reading thread failed", e))?;
        read.context(|| format!("cannot read `{}`", self.path.display()))
    }
}

/// Reads once, whatever interrupts it.
pub(super) fn read_at(file: &File, room: &mut [u8], at: u64) -> io::Result<usize> {
    loop {
        match file.read_at(room, at) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::collect;

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
                let reader = Reader::new(Arc::clone(&file), path.clone(), part, Arc::clone(&buffers));
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
            let reader = Reader::new(Arc::clone(&file), path.clone(), part, Arc::clone(&buffers));
            Reader { tells: false, ..reader }
        };
        let mut ends = reader(CHUNK as u64);
        assert_eq!(ends.next().await.unwrap().unwrap().len(), CHUNK);
        assert!(ends.coming.is_none());
        let mut last = reader(CHUNK as u64 + 5);
        assert_eq!(last.next().await.unwrap().unwrap().len(), CHUNK);
        assert!(last.coming.is_some());
        assert_eq!(last.next().await.unwrap().unwrap().len(), 5);
        assert!(last.coming.is_none() && last.next().await.unwrap().is_none());
        let permits: Vec<_> =
            (0..AHEAD).map(|_| Arc::clone(&buffers.ahead).try_acquire_owned()).filter_map(Result::ok).collect();
        let mut crowded = reader(3 * CHUNK as u64);
        assert!(crowded.next().await.unwrap().is_some() && crowded.coming.is_none());
        drop(permits);
        assert!(crowded.next().await.unwrap().is_some() && crowded.coming.is_some());
        assert!(crowded.next().await.unwrap().is_some() && crowded.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_file_that_is_too_short_is_an_error() {
        for dir in places() {
            let (file, path) = sample(&dir, &[1; 10]);
            let reader = Reader::new(file, path, 0..11, Arc::default());
            assert_eq!(collect(reader.stream(), u64::MAX).await.unwrap_err().kind(), Kind::Changed);
        }
    }

    #[tokio::test]
    async fn a_buffer_comes_back_when_its_bytes_are_gone_and_few_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (file, path) = sample(&dir, &vec![1; 2 * KEPT * CHUNK]);
        let buffers = Arc::<Buffers>::default();
        let kept = || buffers.unused().len();
        let reader = |end| Reader::new(Arc::clone(&file), path.clone(), 0..end, Arc::clone(&buffers));
        collect(reader(9 * CHUNK as u64).stream(), u64::MAX).await.unwrap();
        assert!((1..=2).contains(&kept()), "one that leaves, and one ahead of it where that is needed");
        let all: Vec<_> = reader(2 * (KEPT * CHUNK) as u64).stream().collect().await;
        assert_eq!(kept(), 0);
        drop(all);
        assert_eq!(kept(), KEPT);
    }
}
