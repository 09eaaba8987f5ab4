//! The only comparison of content with its descriptor: while streaming, with hashing in parallel to the reader.

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::task::JoinHandle;

use crate::{
    blob::ByteStream,
    error::{Error, Kind, Result},
    oci::{Descriptor, Digest, Hasher},
};

/// How many bytes the hashing thread gets at a time; smaller content is hashed inline.
const BATCH: usize = 1 << 20;

/// A stream that fails unless it yields exactly the described bytes: the size is checked on the way, size and digest
/// before the last byte is handed out.
///
/// Large content is hashed on another thread, at most 2 MiB behind the reader.
pub fn verified(desc: &Descriptor, stream: ByteStream) -> ByteStream {
    verified_from(desc, Hasher::new(desc.digest.algorithm()), 0, stream)
}

/// Like [`verified`], for content whose first `seen` bytes are hashed already: the stream continues after them.
pub(crate) fn verified_from(desc: &Descriptor, hasher: Hasher, seen: u64, stream: ByteStream) -> ByteStream {
    let beside = desc.size.saturating_sub(seen) > BATCH as u64;
    let state = State { stream, hashing: Hashing::new(hasher, beside), desc: desc.bare(), seen, done: false };
    let next = |mut state: State| async move { Ok(state.next().await?.map(|chunk| (chunk, state))) };
    stream::try_unfold(state, next).boxed()
}

struct State {
    stream: ByteStream,
    hashing: Hashing,
    desc: Descriptor,
    seen: u64,
    done: bool,
}

impl State {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.done {
            return Ok(None);
        }
        let Some(chunk) = self.some().await? else {
            if self.seen != self.desc.size {
                let Descriptor { digest, size, .. } = &self.desc;
                return Err(Error::mismatch(format!("{digest} ends after {} of {size} bytes", self.seen)));
            }
            return self.end().await.map(|()| None);
        };
        self.seen = self.seen.saturating_add(chunk.len() as u64);
        if self.seen > self.desc.size {
            return Err(self.longer());
        }
        self.hashing.update(&chunk).await?;
        if self.seen == self.desc.size {
            if self.some().await?.is_some() {
                return Err(self.longer());
            }
            self.end().await?;
        }
        Ok(Some(chunk))
    }

    /// The next nonempty chunk.
    async fn some(&mut self) -> Result<Option<Bytes>> {
        while let Some(chunk) = self.stream.try_next().await? {
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }

    async fn end(&mut self) -> Result<()> {
        self.done = true;
        compare(&self.desc.digest, self.hashing.finish().await?)
    }

    fn longer(&self) -> Error {
        Error::mismatch(format!("{} is longer than {} bytes", self.desc.digest, self.desc.size))
    }
}

/// A hasher, inline or one batch behind on another thread. Holds at most two batches, and no thread while idle.
struct Hashing {
    beside: bool,
    hasher: Hasher,
    waiting: Vec<Bytes>,
    waiting_len: usize,
    busy: Option<JoinHandle<Hasher>>,
}

impl Hashing {
    fn new(hasher: Hasher, beside: bool) -> Self {
        Self { beside, hasher, waiting: Vec::new(), waiting_len: 0, busy: None }
    }

    async fn update(&mut self, chunk: &Bytes) -> Result<()> {
        if !self.beside {
            self.hasher.update(chunk);
            return Ok(());
        }
        self.waiting.push(chunk.clone());
        self.waiting_len = self.waiting_len.saturating_add(chunk.len());
        if self.waiting_len < BATCH { Ok(()) } else { self.flush().await }
    }

    async fn flush(&mut self) -> Result<()> {
        self.idle().await?;
        let (mut hasher, batch) = (self.hasher.clone(), std::mem::take(&mut self.waiting));
        self.waiting_len = 0;
        self.busy = Some(tokio::task::spawn_blocking(move || {
            batch.iter().for_each(|chunk| hasher.update(chunk));
            hasher
        }));
        Ok(())
    }

    async fn idle(&mut self) -> Result<()> {
        if let Some(busy) = self.busy.take() {
            self.hasher = busy.await.map_err(|e| Error::caused(Kind::Internal, "hashing aborted", e))?;
        }
        Ok(())
    }

    /// The digest of all bytes. The last batch is hashed inline: the reader waits for it anyway.
    async fn finish(&mut self) -> Result<Digest> {
        self.idle().await?;
        self.waiting.drain(..).for_each(|chunk| self.hasher.update(&chunk));
        Ok(self.hasher.clone().finish())
    }
}

/// Errors: kind `Mismatch`, with both digests, unless they are equal.
pub(crate) fn compare(expected: &Digest, found: Digest) -> Result<()> {
    if *expected == found {
        return Ok(());
    }
    Err(Error::mismatch(format!("the content of {expected} has digest {found}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{blob, oci::Algorithm, store::collect};

    async fn through(desc: &Descriptor, chunks: &[&'static [u8]]) -> Result<Bytes> {
        let items: Vec<_> = chunks.iter().map(|c| Ok(Bytes::from_static(c))).collect();
        collect(verified(desc, stream::iter(items).boxed()), 100).await
    }

    #[tokio::test]
    async fn exactly_the_described_bytes_pass() {
        let desc = Descriptor::of("a/b", b"hello");
        assert_eq!(through(&desc, &[b"he", b"", b"llo"]).await.unwrap(), "hello");
        for wrong in [&[&b"hellO"[..]][..], &[b"hell"], &[b"hello", b"!"], &[b"hello!"], &[]] {
            assert_eq!(through(&desc, wrong).await.unwrap_err().kind(), Kind::Mismatch, "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn the_last_byte_of_wrong_content_is_never_handed_out() {
        let desc = Descriptor::of("a/b", b"hello");
        let mut stream = verified(&desc, blob::once(Bytes::from_static(b"hellO")));
        assert!(stream.next().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn what_is_hashed_beside_is_verified_as_well() {
        for (size, wrong_at) in [(5 * BATCH, None), (5 * BATCH + 7, Some(3)), (3 * BATCH + 1, Some(3 * BATCH))] {
            let mut bytes: Vec<u8> = (0..size).map(|i| (i / 1000) as u8).collect();
            let desc = Descriptor::of("a/b", &bytes);
            if let Some(at) = wrong_at {
                bytes[at] ^= 1;
            }
            let chunks: Vec<_> = bytes.chunks(70_001).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
            let (mut handed_out, mut failed) = (0, None);
            let mut stream = verified(&desc, stream::iter(chunks).boxed());
            while let Some(item) = stream.next().await {
                match item {
                    Ok(chunk) => handed_out += chunk.len(),
                    Err(error) => failed = Some(error.kind()),
                }
            }
            assert_eq!(failed, wrong_at.map(|_| Kind::Mismatch));
            assert_eq!(handed_out == size, wrong_at.is_none());
        }
    }

    #[tokio::test]
    async fn content_goes_on_from_what_was_hashed_already() {
        let desc = Descriptor::of("a/b", b"hello");
        for (head, rest, good) in [("he", "llo", true), ("hello", "", true), ("hE", "llo", false), ("he", "lo", false)]
        {
            let mut hasher = Hasher::new(Algorithm::Sha256);
            hasher.update(head.as_bytes());
            let stream =
                verified_from(&desc, hasher, head.len() as u64, blob::once(Bytes::from_static(rest.as_bytes())));
            assert_eq!(collect(stream, 100).await.is_ok(), good, "{head} {rest}");
        }
    }

    #[tokio::test]
    async fn nothing_is_content_too() {
        let desc = Descriptor::of("a/b", b"");
        assert_eq!(through(&desc, &[]).await.unwrap(), "");
    }
}
