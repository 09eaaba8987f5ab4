//! Verifies files during transfers, once: a verified file is not hashed again until it changes. Fresh uploads are
//! hashed again too: a concurrent change between our writes would leave no trace in mtime.
//!
//! Hashing runs in parallel with the transfer, on a thread of its own. The last chunk of every response waits for the
//! verdict, so that no response with wrong content is completed.

use std::{fs::File, ops::Range, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    buffers::{Buffers, SMALL},
    file_reader::{FileReader, read_at},
    known::{Key, Known},
    verdict::Verdict,
};
use crate::{
    blob::{ByteStream, CHUNK, FileSlice, once},
    error::{Context as _, Error, Kind, Result},
    fs::{blocking, open_regular},
    oci::{Descriptor, Digest},
};

/// Limit of files hashed in parallel; further transfers run, and wait at their end.
const THREADS: usize = 4;
/// Content up to this size, in bytes, is hashed on every read, since caching the verdict would cost more.
const TINY: u64 = 16 << 10;

/// Verifies files and caches the results.
#[derive(Debug)]
pub(in crate::serve) struct Verifier {
    known: Arc<Known>,
    threads: Arc<Semaphore>,
    buffers: Arc<Buffers>,
}

impl Verifier {
    pub(in crate::serve) fn new() -> Self {
        Self { known: Arc::default(), threads: Arc::new(Semaphore::new(THREADS)), buffers: Arc::default() }
    }

    /// Streams a range of this content from a part of a file. The stream fails before its last chunk if the content is
    /// wrong or the file changes.
    pub(in crate::serve) async fn stream(
        &self,
        slice: FileSlice,
        desc: &Descriptor,
        range: Range<u64>,
    ) -> Result<ByteStream> {
        let medium = slice.len > SMALL as u64 && slice.len <= CHUNK as u64;
        let permit = if medium { self.buffers.permit_large() } else { None };
        if permit.is_some() || slice.len <= SMALL as u64 {
            let all = Bytes::from_owner(Permitted(self.whole(slice, &desc.digest).await?, permit));
            let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
            return Ok(once(all.slice(start.min(all.len())..end.min(all.len()))));
        }
        let path = slice.path.clone();
        let opened = blocking(move || open_regular(&path)).await?;
        let (file, key) = (Arc::new(opened.0), Key::of(&desc.digest, &slice, &opened.1));
        let cell = self.known.cell(&key);
        let verdict = match cell.get() {
            Some(true) => None,
            Some(false) => return Err(wrong(&desc.digest)),
            None => Some(Verdict::start(cell, Arc::clone(&file), key.clone(), Arc::clone(&self.threads))),
        };
        let start = slice.offset.saturating_add(range.start);
        let len = range.end.saturating_sub(range.start);
        let held_back = len.min(SMALL as u64);
        let head = len.saturating_sub(held_back);
        let at = start.saturating_add(head);
        let body =
            FileReader::new(Arc::clone(&file), slice.path.clone(), start..at, Arc::clone(&self.buffers)).stream();
        let last = last_piece(file, slice, key, verdict, at..at.saturating_add(held_back));
        Ok(body.chain(stream::once(last)).boxed())
    }

    /// Small content as one chunk.
    async fn whole(&self, slice: FileSlice, digest: &Digest) -> Result<Bytes> {
        let (known, digest) = (Arc::clone(&self.known), digest.clone());
        blocking(move || {
            let (file, meta) = open_regular(&slice.path)?;
            let bytes = read_exactly(&file, &slice, slice.offset..slice.offset.saturating_add(slice.len))?;
            let key = Key::of(&digest, &slice, &meta);
            // If the file changed during reading, the bytes read are verified, but the verdict is not cached.
            let same = Key::of(&digest, &slice, &file.metadata()?) == key;
            let cell = (slice.len > TINY && same).then(|| known.cell(&key));
            let judge = || Digest::with(digest.algorithm(), &bytes) == digest;
            let right = cell.as_ref().and_then(|cell| cell.get().copied()).unwrap_or_else(judge);
            // Fails if it is already known.
            cell.into_iter().for_each(|cell| drop(cell.set(right)));
            if right { Ok(bytes) } else { Err(wrong(&digest)) }
        })
        .await
    }
}

/// Content in memory, counted among the large buffers.
struct Permitted(Bytes, #[expect(dead_code, reason = "held until the content is gone")] Option<OwnedSemaphorePermit>);

impl AsRef<[u8]> for Permitted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Reads all of a range. Errors: the file is shorter.
fn read_exactly(file: &File, slice: &FileSlice, range: Range<u64>) -> Result<Bytes> {
    let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(CHUNK).min(CHUNK);
    let (mut bytes, mut filled) = (vec![0; len], 0_usize);
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let read = read_at(file, rest, range.start.saturating_add(filled as u64));
        match read.context(|| format!("cannot read `{}`", slice.path.display()))? {
            0 => return Err(changed(slice)),
            read => filled = filled.saturating_add(read),
        }
    }
    Ok(bytes.into())
}

fn changed(slice: &FileSlice) -> Error {
    Error::new(Kind::Changed, format!("`{}` changed during reading", slice.path.display()))
}

/// The last chunk of a response, returned after all content is verified and the file is unchanged.
async fn last_piece(
    file: Arc<File>,
    slice: FileSlice,
    key: Key,
    verdict: Option<Verdict>,
    range: Range<u64>,
) -> Result<Bytes> {
    if let Some(verdict) = verdict
        && !verdict.wait().await?
    {
        return Err(wrong(&key.digest));
    }
    blocking(move || {
        let piece = read_exactly(&file, &slice, range)?;
        let same = Key::of(&key.digest, &slice, &file.metadata()?) == key;
        if same { Ok(piece) } else { Err(changed(&slice)) }
    })
    .await
}

fn wrong(digest: &Digest) -> Error {
    Error::mismatch(format!("the content of {digest} has another digest"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;
    use crate::store::collect;

    /// A file of three pieces with a hole in front, and the part of it that is the content.
    fn sample() -> (tempfile::TempDir, FileSlice, Descriptor) {
        let dir = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..3 * CHUNK + 7).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let path = dir.path().join("file");
        std::fs::write(&path, [&[0; 10], &content[..]].concat()).unwrap();
        let slice = FileSlice { path, offset: 10, len: content.len() as u64 };
        (dir, slice, Descriptor::of("a/b", &content))
    }

    async fn bytes(verifier: &Verifier, slice: &FileSlice, desc: &Descriptor, range: Range<u64>) -> Result<Bytes> {
        collect(verifier.stream(slice.clone(), desc, range).await?, u64::MAX).await
    }

    #[tokio::test]
    async fn right_content_passes_whole_and_in_parts_and_is_hashed_once() {
        let (_dir, slice, desc) = sample();
        let verifier = Verifier::new();
        let all = bytes(&verifier, &slice, &desc, 0..desc.size).await.unwrap();
        assert_eq!(Digest::of(&all), desc.digest);
        let at = CHUNK as u64;
        for range in [0..1, 5..at + 9, at..at, desc.size - 1..desc.size] {
            let part = bytes(&verifier, &slice, &desc, range.clone()).await.unwrap();
            assert_eq!(part, all.slice(range.start as usize..range.end as usize));
        }
        assert_eq!(
            verifier.known.0.lock().unwrap().values().filter_map(|cell| cell.get()).collect::<Vec<_>>(),
            [&true]
        );
    }

    #[tokio::test]
    async fn small_content_is_hashed_once_and_tiny_content_always() {
        let dir = tempfile::tempdir().unwrap();
        for (len, remembered) in [(TINY, false), (TINY + 1, true), (CHUNK as u64, true)] {
            let (path, content) = (dir.path().join(len.to_string()), vec![7; len as usize]);
            std::fs::write(&path, &content).unwrap();
            let (slice, verifier) = (FileSlice { path, offset: 0, len }, Verifier::new());
            let desc = Descriptor::of("a/b", &content);
            let known = || verifier.known.0.lock().unwrap().values().filter_map(|cell| cell.get().copied()).collect();
            for _ in 0..2 {
                assert_eq!(bytes(&verifier, &slice, &desc, 0..len).await.unwrap(), content);
                assert_eq!(bytes(&verifier, &slice, &desc, 3..5).await.unwrap(), content[3..5]);
                let known: Vec<bool> = known();
                assert_eq!(known, vec![true; usize::from(remembered)], "{len}");
            }
            std::fs::write(&slice.path, vec![8; len as usize]).unwrap();
            for _ in 0..2 {
                let error = bytes(&verifier, &slice, &desc, 0..len).await.unwrap_err();
                assert_eq!(error.kind(), Kind::Mismatch, "{len}");
            }
        }
    }

    #[tokio::test]
    async fn no_part_of_wrong_content_is_completed() {
        let (_dir, slice, desc) = sample();
        let file = File::options().write(true).open(&slice.path).unwrap();
        file.write_all_at(b"!", 10 + 2 * CHUNK as u64).unwrap();
        let verifier = Verifier::new();
        for range in [0..10, 0..desc.size, 0..10] {
            assert_eq!(bytes(&verifier, &slice, &desc, range).await.unwrap_err().kind(), Kind::Mismatch);
        }
    }

    #[tokio::test]
    async fn a_file_that_changes_after_its_verdict_is_looked_at_again() {
        let (_dir, slice, desc) = sample();
        let verifier = Verifier::new();
        bytes(&verifier, &slice, &desc, 0..9).await.unwrap();
        let file = File::options().write(true).open(&slice.path).unwrap();
        file.write_all_at(b"!", 20).unwrap();
        assert_eq!(bytes(&verifier, &slice, &desc, 0..9).await.unwrap_err().kind(), Kind::Mismatch);
    }

    #[tokio::test]
    async fn a_file_that_changes_on_the_way_out_cuts_the_response() {
        let (_dir, slice, desc) = sample();
        let verifier = Verifier::new();
        bytes(&verifier, &slice, &desc, 0..9).await.unwrap();
        let mut stream = verifier.stream(slice.clone(), &desc, 0..desc.size).await.unwrap();
        assert!(stream.next().await.unwrap().is_ok());
        let file = File::options().write(true).open(&slice.path).unwrap();
        file.write_all_at(b"!", 20).unwrap();
        assert_eq!(collect(stream, u64::MAX).await.unwrap_err().kind(), Kind::Changed);
    }

    #[tokio::test]
    async fn content_of_one_chunk_that_many_hold_comes_in_small_pieces_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let (path, content) = (dir.path().join("file"), vec![7; CHUNK]);
        std::fs::write(&path, &content).unwrap();
        let (slice, verifier) = (FileSlice { path, offset: 0, len: CHUNK as u64 }, Verifier::new());
        let desc = Descriptor::of("a/b", &content);
        let mut held = Vec::new();
        for _ in 0..super::super::buffers::LARGE {
            let mut stream = verifier.stream(slice.clone(), &desc, 0..desc.size).await.unwrap();
            held.push(stream.next().await.unwrap().unwrap());
        }
        assert!(held.iter().all(|chunk| chunk.len() == CHUNK));
        let mut stream = verifier.stream(slice.clone(), &desc, 0..desc.size).await.unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap().len(), SMALL);
        drop(held);
        assert_eq!(bytes(&verifier, &slice, &desc, 0..desc.size).await.unwrap(), content);
    }

    #[tokio::test]
    async fn many_may_ask_at_once_and_give_up_at_any_time() {
        let (_dir, slice, desc) = sample();
        let verifier = Verifier::new();
        for _ in 0..20 {
            drop(verifier.stream(slice.clone(), &desc, 0..desc.size).await.unwrap());
        }
        let all = (0..20).map(|_| bytes(&verifier, &slice, &desc, 0..desc.size));
        for one in futures_util::future::join_all(all).await {
            assert_eq!(Digest::of(&one.unwrap()), desc.digest);
        }
    }
}
