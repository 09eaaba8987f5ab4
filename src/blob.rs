//! Bytes that can be opened again, from any offset, so that a failed transfer can start over.

use std::{
    collections::VecDeque,
    fs::{File, Metadata},
    ops::Range,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::{
    error::{Context as _, Error, Kind, Result},
    fs::{Base, Stamp, open_regular},
};

/// A stream of chunks; an `Err` is its last item.
pub type ByteStream = stream::BoxStream<'static, Result<Bytes>>;

/// Bytes read from a file at a time.
pub const CHUNK: usize = 256 << 10;
/// Bytes read at a time from a file of at least [`LARGE`] bytes: fewer switches between threads.
const LARGE_CHUNK: usize = 512 << 10;
/// Smallest size of a large file, in bytes.
const LARGE: u64 = 8 << 20;
/// Most buffers that are kept for reuse.
const LENT: usize = 16;

/// Bytes of known size that can be read more than once.
#[async_trait]
pub trait Blob: Send + Sync {
    /// Size in bytes.
    fn size(&self) -> u64;

    /// A stream of the bytes from this offset to the end.
    async fn open(&self, from: u64) -> Result<ByteStream>;

    /// The bytes as part of a local file, for stores that can take them without a copy.
    fn local(&self) -> Option<FileSlice> {
        None
    }

    /// True if the bytes are local and already hashed; a receiver that verifies, as a registry does, may then get them
    /// unverified. False for bytes that come over a network.
    fn is_local_and_hashed(&self) -> bool {
        self.local().is_some()
    }
}

#[async_trait]
impl Blob for Bytes {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    async fn open(&self, from: u64) -> Result<ByteStream> {
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(self.len());
        Ok(once(self.slice(from..)))
    }
}

/// A stream of one chunk, or of none if it is empty.
#[must_use]
pub fn once(bytes: Bytes) -> ByteStream {
    stream::iter((!bytes.is_empty()).then_some(Ok(bytes))).boxed()
}

/// The bytes of this range, as far as there are any.
pub(crate) fn part(bytes: &Bytes, range: &Range<u64>) -> ByteStream {
    let at = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    let (start, end) = (at(range.start), at(range.end));
    once(bytes.slice(start..end.max(start)))
}

/// The first `len` bytes of a stream, or all if it is shorter; nothing beyond them is polled.
pub(crate) fn first(stream: ByteStream, len: u64) -> ByteStream {
    let next = |(mut stream, left): (ByteStream, u64)| async move {
        if left == 0 {
            return Ok(None);
        }
        let Some(mut chunk) = stream.try_next().await? else { return Ok(None) };
        chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        let left = left.saturating_sub(chunk.len() as u64);
        Ok::<_, Error>(Some((chunk, (stream, left))))
    };
    stream::try_unfold((stream, len), next).boxed()
}

/// A part of a local file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSlice {
    /// The file.
    pub path: PathBuf,
    /// Where the bytes start.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
}

#[async_trait]
impl Blob for FileSlice {
    fn size(&self) -> u64 {
        self.len
    }

    async fn open(&self, from: u64) -> Result<ByteStream> {
        let file = Arc::new(open_regular(&self.path)?.0);
        Ok(read_file(file, self.path.clone(), self.offset.saturating_add(from), self.len.saturating_sub(from)))
    }

    fn local(&self) -> Option<FileSlice> {
        Some(self.clone())
    }
}

/// A whole source file as it was when it was first opened: reading it after a change fails and never returns other
/// bytes.
#[derive(Debug, Clone)]
pub struct SourceFile {
    path: PathBuf,
    stamp: Stamp,
}

impl SourceFile {
    /// Records the state of a regular file. Errors: it does not exist, is not readable, or is not a regular file.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let (_, meta) = open_regular(&path)?;
        Ok(Self { stamp: Stamp::of(&meta), path })
    }

    /// Opens a regular file beneath a directory and records its state. Errors: see [`Base::open`].
    pub fn beneath(base: &Base, path: &Path) -> Result<(Self, File)> {
        let (file, meta) = base.open(path)?;
        Ok((Self { stamp: Stamp::of(&meta), path: base.path().join(path) }, file))
    }

    /// Path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file again. Errors: kind `Changed` if it has changed.
    pub fn reopen(&self) -> Result<File> {
        let (file, meta) = open_regular(&self.path)?;
        self.unchanged(&meta)?;
        Ok(file)
    }

    /// Checks that the open file has not changed. Errors: kind `Changed`.
    pub fn check(&self, file: &File) -> Result<()> {
        self.unchanged(&file.metadata().context(|| format!("cannot read `{}`", self.path.display()))?)
    }

    fn unchanged(&self, meta: &Metadata) -> Result<()> {
        if Stamp::of(meta) == self.stamp {
            return Ok(());
        }
        Err(Error::new(Kind::Changed, format!("`{}` changed while being read", self.path.display())))
    }
}

#[async_trait]
impl Blob for SourceFile {
    fn size(&self) -> u64 {
        self.stamp.len()
    }

    async fn open(&self, from: u64) -> Result<ByteStream> {
        let file = Arc::new(self.reopen()?);
        let (this, watched) = (self.clone(), Arc::clone(&file));
        let body = read_file(file, self.path.clone(), from, self.stamp.len().saturating_sub(from));
        let check = stream::once(async move { this.check(&watched).map(|()| Bytes::new()) });
        Ok(body.chain(check).filter(|item| std::future::ready(!matches!(item, Ok(b) if b.is_empty()))).boxed())
    }

    fn is_local_and_hashed(&self) -> bool {
        true
    }
}

/// Streams `len` bytes of an open file. Errors: kind `Changed` if the file ends early. Reads are positional, so that
/// any number of streams may share one open file.
pub(crate) fn read_file(file: Arc<File>, path: PathBuf, offset: u64, len: u64) -> ByteStream {
    let state = FileReader { file, buffers: Buffers::of(len), at: offset, left: len };
    stream::try_unfold((state, path), |(mut state, path)| async move {
        if state.left == 0 {
            return Ok(None);
        }
        let work = tokio::task::spawn_blocking(move || state.chunk().map(|chunk| (chunk, state)));
        let (chunk, state) = work
            .await
            .map_err(|e| Error::caused(Kind::Internal, "read aborted", e))?
            .context(|| format!("cannot read `{}`", path.display()))?;
        if chunk.is_empty() {
            let message = format!("`{}` shrank while being read", path.display());
            return Err(Error::new(Kind::Changed, message));
        }
        Ok(Some((chunk, (state, path))))
    })
    .boxed()
}

struct FileReader {
    file: Arc<File>,
    buffers: Buffers,
    at: u64,
    left: u64,
}

impl FileReader {
    /// The next chunk: a full buffer, except at the end.
    fn chunk(&mut self) -> std::io::Result<Bytes> {
        let mut chunk = self.buffers.take();
        chunk.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        let mut filled = 0;
        while let Some(rest) = chunk.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, self.at.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        chunk.truncate(filled);
        self.at = self.at.saturating_add(filled as u64);
        self.left = self.left.saturating_sub(filled as u64);
        Ok(self.buffers.lend(chunk))
    }
}

/// Buffers that are reused once all clones of their content are dropped: a new buffer costs a page fault for every 4
/// KiB.
pub(crate) struct Buffers {
    size: usize,
    lent: VecDeque<Bytes>,
}

impl Buffers {
    /// Buffers for reading `len` bytes.
    pub(crate) fn of(len: u64) -> Self {
        let most = if len < LARGE { CHUNK } else { LARGE_CHUNK };
        Self { size: usize::try_from(len).unwrap_or(most).min(most), lent: VecDeque::new() }
    }

    /// A buffer with arbitrary content.
    pub(crate) fn take(&mut self) -> BytesMut {
        if let Some(oldest) = self.lent.pop_front() {
            match oldest.try_into_mut() {
                Ok(buffer) if buffer.len() == self.size => return buffer,
                Ok(_) => {}
                Err(held) => self.lent.push_front(held),
            }
        }
        BytesMut::zeroed(self.size)
    }

    /// Freezes a filled buffer and keeps track of it for reuse.
    pub(crate) fn lend(&mut self, filled: BytesMut) -> Bytes {
        let bytes = filled.freeze();
        if self.lent.len() < LENT {
            self.lent.push_back(bytes.clone());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(blob: &dyn Blob, from: u64) -> Result<Vec<u8>> {
        blob.open(from)
            .await?
            .try_fold(Vec::new(), |mut v, b| async move {
                v.extend(&b);
                Ok(v)
            })
            .await
    }

    #[tokio::test]
    async fn a_blob_opens_at_any_offset_any_number_of_times() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, b"hello world").unwrap();
        let file = SourceFile::new(&path).unwrap();
        let slice = FileSlice { path, offset: 6, len: 5 };
        assert_eq!(all(&file, 0).await.unwrap(), b"hello world");
        assert_eq!(all(&file, 6).await.unwrap(), b"world");
        assert_eq!(all(&slice, 2).await.unwrap(), b"rld");
        assert_eq!(all(&Bytes::from_static(b"abc"), 9).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn a_source_file_that_changes_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.txt");
        std::fs::write(&path, b"before").unwrap();
        let file = SourceFile::new(&path).unwrap();
        std::fs::write(&path, b"afterwards").unwrap();
        let error = all(&file, 0).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Changed);
        assert!(error.to_string().contains("notes.txt"));
    }

    #[test]
    fn a_buffer_is_filled_again_when_nobody_holds_what_was_in_it() {
        let mut buffers = Buffers::of(3);
        let lend = |buffers: &mut Buffers, text: &[u8]| {
            let mut buffer = buffers.take();
            buffer.copy_from_slice(text);
            buffers.lend(buffer)
        };
        let one = lend(&mut buffers, b"one");
        let two = lend(&mut buffers, b"two");
        assert_eq!((&one[..], &two[..]), (&b"one"[..], &b"two"[..]));
        let place = one.as_ptr();
        drop(one);
        let new = lend(&mut buffers, b"new");
        assert_eq!(new.as_ptr(), place);
        assert_eq!(two, "two");
    }

    #[test]
    fn a_fifo_is_refused_and_does_not_hang() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        let mode = rustix::fs::Mode::from_bits_truncate(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert_eq!(SourceFile::new(&path).unwrap_err().kind(), Kind::Invalid);
    }
}
