//! Blobs: reads of all or a part; a response with wrong content is never completed.

use std::ops::Range;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, StatusCode, header};

use super::{
    Registry,
    reply::{DOCKER_CONTENT_DIGEST, Refusal, Reply},
};
use crate::{
    blob::{ByteStream, CHUNK, first},
    error::{Result, ServerCode},
    oci::{Descriptor, Digest, RepositoryName, Role, media_type},
    store::{self, Item, ReadStore, verified},
};

impl Registry {
    pub(super) async fn head_blob(&self, name: &RepositoryName, digest: &Digest) -> Result<Reply, Refusal> {
        let store = self.repository(name).await?;
        let size = store::size(&*store, digest, Role::Blob).await.map_err(Refusal::reading(ServerCode::BlobUnknown))?;
        Ok(headed(StatusCode::OK, digest).body(media_type::OCTET_STREAM, size, stream::empty().boxed()))
    }

    /// Answers with a blob, or one range of it (RFC 9110, section 14).
    pub(super) async fn get_blob(
        &self,
        name: &RepositoryName,
        digest: Digest,
        headers: &HeaderMap,
    ) -> Result<Reply, Refusal> {
        let store = self.repository(name).await?;
        let size =
            store::size(&*store, &digest, Role::Blob).await.map_err(Refusal::reading(ServerCode::BlobUnknown))?;
        let desc = Descriptor::new(media_type::OCTET_STREAM, digest, size);
        let Some(range) = requested_range(headers, &desc) else {
            let body = self.content(&*store, Item::blob(desc.clone()), 0..size).await;
            let body = body.map_err(Refusal::reading(ServerCode::BlobUnknown))?;
            return Ok(headed(StatusCode::OK, &desc.digest).body(media_type::OCTET_STREAM, size, body));
        };
        let Some(range) = range.within(size) else {
            return Err(Refusal::new(ServerCode::SizeInvalid, format!("the blob has {size} bytes"))
                .status(416)
                .header(header::CONTENT_RANGE, format_args!("bytes */{size}")));
        };
        let body = self.content(&*store, Item::blob(desc.clone()), range.clone()).await;
        let body = body.map_err(Refusal::reading(ServerCode::BlobUnknown))?;
        let shown = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
        Ok(headed(StatusCode::PARTIAL_CONTENT, &desc.digest).header(header::CONTENT_RANGE, shown).body(
            media_type::OCTET_STREAM,
            range.end.saturating_sub(range.start),
            body,
        ))
    }

    pub(super) async fn delete_blob(&self, name: &RepositoryName, digest: Digest) -> Result<Reply, Refusal> {
        let store = self.existing(name).await?;
        let size =
            store::size(&*store, &digest, Role::Blob).await.map_err(Refusal::reading(ServerCode::BlobUnknown))?;
        if self.is_manifest(&*store, &digest, size).await? {
            return Err(Refusal::new(ServerCode::Unsupported, "this is a manifest; delete it under `/manifests/`"));
        }
        let item = Item::blob(Descriptor::new(media_type::OCTET_STREAM, digest, size));
        store::delete(&*store, item).await.map_err(Refusal::deleting(ServerCode::BlobUnknown))?;
        self.quota.removed(size);
        Ok(Reply::new(StatusCode::ACCEPTED))
    }

    /// A range of content, which is never completed if the content is wrong.
    pub(super) async fn content(&self, store: &dyn ReadStore, item: Item, range: Range<u64>) -> Result<ByteStream> {
        let sound = self.options.repositories.sound();
        if let Some(slice) = store.local(&item).filter(|_| !sound) {
            return self.verifier.stream(slice, &item.desc, range).await;
        }
        let bytes = store.fetch(&item, range.clone()).await?;
        if !sound && range == (0..item.desc.size) {
            return Ok(verified(&item.desc, bytes));
        }
        Ok(in_small_chunks(first(bytes, range.end.saturating_sub(range.start))))
    }
}

/// A reply with the headers common to all blobs.
fn headed(status: StatusCode, digest: &Digest) -> Reply {
    Reply::new(status)
        .header(DOCKER_CONTENT_DIGEST, digest)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::ETAG, format_args!("\"{digest}\""))
}

/// Splits the chunks of a stream, to notice whether a slow client still reads.
fn in_small_chunks(bytes: ByteStream) -> ByteStream {
    let split = |chunk: Result<Bytes>| {
        let mut rest = Some(chunk);
        stream::iter(std::iter::from_fn(move || match rest.take()? {
            Ok(mut large) if large.len() > CHUNK => {
                let small = large.split_to(CHUNK);
                rest = Some(Ok(large));
                Some(Ok(small))
            }
            last => Some(last),
        }))
    };
    bytes.flat_map(split).boxed()
}

/// A requested range.
#[derive(Debug, PartialEq, Eq)]
enum ByteRange {
    /// `a-b` and `a-`
    From(u64, Option<u64>),
    /// `-n`
    Last(u64),
}

impl ByteRange {
    /// Parses the value of a `Range` header with one range of bytes.
    fn parse(range: &str) -> Option<Self> {
        let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
        let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        match (start, end) {
            ("", end) => number(end).map(Self::Last),
            (start, "") => number(start).map(|start| Self::From(start, None)),
            (start, end) => match (number(start)?, number(end)?) {
                (start, end) if start <= end => Some(Self::From(start, Some(end))),
                _ => None,
            },
        }
    }

    /// The range in content of this size; `None` if it is empty.
    fn within(&self, size: u64) -> Option<Range<u64>> {
        let range = match *self {
            Self::From(start, end) => start..end.map_or(size, |end| end.saturating_add(1).min(size)),
            Self::Last(count) => size.saturating_sub(count)..size,
        };
        (!range.is_empty()).then_some(range)
    }
}

/// The requested range, if there is exactly one. Several ranges, other units, malformed ranges, and ranges of other
/// content (`If-Range`) mean the whole blob.
fn requested_range(headers: &HeaderMap, desc: &Descriptor) -> Option<ByteRange> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let other = |tag: &str| tag != format!("\"{}\"", desc.digest);
    if headers.contains_key(header::IF_RANGE) && text(header::IF_RANGE).is_none_or(other) {
        return None;
    }
    ByteRange::parse(text(header::RANGE)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_large_piece_is_handed_out_in_small_ones() {
        let large = Bytes::from(vec![1; 2 * CHUNK + 5]);
        let taken: Vec<_> = in_small_chunks(crate::blob::once(large)).collect().await;
        let lens: Vec<usize> = taken.into_iter().map(|piece| piece.unwrap().len()).collect();
        assert_eq!(lens, [CHUNK, CHUNK, 5]);
    }

    #[test]
    fn one_range_is_understood_and_everything_else_is_the_whole() {
        for (text, size, expected) in [
            ("bytes=0-0", 10, Some(Some(0..1))),
            ("bytes=2-5", 10, Some(Some(2..6))),
            ("bytes=5-", 10, Some(Some(5..10))),
            ("bytes=-3", 10, Some(Some(7..10))),
            ("bytes=-30", 10, Some(Some(0..10))),
            ("bytes=0-18446744073709551615", 10, Some(Some(0..10))),
            ("bytes=10-", 10, Some(None)),
            ("bytes=-0", 10, Some(None)),
            ("bytes=0-", 0, Some(None)),
            ("bytes=5-2", 10, None),
            ("bytes=0-1,4-5", 10, None),
            ("bytes=a-b", 10, None),
            ("bytes=-", 10, None),
            ("bytes=+1-2", 10, None),
            ("lines=0-1", 10, None),
            ("bytes=0-99999999999999999999999", 10, None),
        ] {
            assert_eq!(ByteRange::parse(text).map(|asked| asked.within(size)), expected, "{text}");
        }
    }
}
