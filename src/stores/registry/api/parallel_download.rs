//! Downloads of large blobs over several connections, if a single one is slow.
//!
//! Servers and networks that limit the speed of a connection often do not limit the number of connections. If one
//! connection uses the full bandwidth, it stays the only one: more would only add cost.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    ranges::Ranges,
    resume::{Download, RangeBody},
};
use crate::{
    blob::ByteStream,
    error::{Kind, Result},
};

/// A download over one connection, or several.
pub(super) struct ParallelDownload {
    download: Download,
    connections: Connections,
    waited: Duration,
    bytes: u64,
}

enum Connections {
    One(RangeBody),
    /// All segments in order, and the permit to fetch several at a time.
    Many {
        segments: ByteStream,
        _permit: OwnedSemaphorePermit,
    },
}

impl ParallelDownload {
    /// Starts the download. Refusals are returned at once.
    ///
    /// The bytes are unverified. A registry without range support sends all bytes again, and those already received are
    /// dropped: only the digest of the whole proves that both parts belong together ([`crate::store::verified`]).
    pub(super) async fn start(mut download: Download) -> Result<ByteStream> {
        let first = download.part().await?;
        let whole = Self { download, connections: Connections::One(first), waited: Duration::ZERO, bytes: 0 };
        let next = |mut whole: Self| async move { Ok(whole.next_chunk().await?.map(|chunk| (chunk, whole))) };
        Ok(stream::try_unfold(whole, next).boxed())
    }

    async fn next_chunk(&mut self) -> Result<Option<Bytes>> {
        if let Connections::Many { segments, .. } = &mut self.connections {
            match segments.try_next().await {
                Err(e) if e.kind() == Kind::Unsupported => {
                    self.connections = Connections::One(self.download.part().await?)
                }
                segment => {
                    let len = segment.as_ref().map_or(0, |bytes| bytes.as_ref().map_or(0, Bytes::len));
                    self.download.advance(len as u64);
                    return segment;
                }
            }
        }
        let Connections::One(part) = &mut self.connections else { return Ok(None) };
        let asked = Instant::now();
        let chunk = self.download.next_chunk(part).await?;
        self.waited += asked.elapsed();
        self.bytes = self.bytes.saturating_add(chunk.as_ref().map_or(0, |chunk| chunk.len() as u64));
        let ranges = self.download.registry.ranges;
        if part.ranges && self.bytes >= ranges.segment {
            let slow = (self.bytes as f64) < self.waited.as_secs_f64() * ranges.fast as f64;
            (self.waited, self.bytes) = (Duration::ZERO, 0);
            if slow {
                self.open_connections(ranges);
            }
        }
        Ok(chunk)
    }

    /// Continues over several connections, unless little is left or another blob already does so.
    fn open_connections(&mut self, ranges: Ranges) {
        let (at, size) = (self.download.at(), self.download.desc.size);
        let pays = ranges.streams > 1 && size.saturating_sub(at) >= ranges.least.max(2 * ranges.segment);
        let permit = Arc::clone(&self.download.registry.parallel_downloads).try_acquire_owned();
        let (true, Ok(permit)) = (pays, permit) else { return };
        let (template, step) = (self.download.range(at, size), ranges.segment.max(1));
        let starts = stream::unfold(at, move |from| {
            let end = from.saturating_add(step).min(size);
            std::future::ready((from < size).then_some(((from, end), end)))
        });
        let segments = starts.map(move |(from, end)| segment(template.range(from, end))).buffered(ranges.streams);
        self.connections = Connections::Many { segments: segments.boxed(), _permit: permit };
    }
}

/// All bytes of one range.
async fn segment(mut download: Download) -> Result<Bytes> {
    let mut all = BytesMut::with_capacity(usize::try_from(download.left()).unwrap_or_default());
    let mut part = download.part().await?;
    while let Some(chunk) = download.next_chunk(&mut part).await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all.freeze())
}
