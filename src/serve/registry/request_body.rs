//! The body of a request: limited, and written to the store while it arrives.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::{HeaderMap, header};
use tokio::time::timeout;

use super::{
    budget::{Budget, FREE, Share},
    reply::Refusal,
    uploads::{BlobWriter, Upload},
};
use crate::{blob::ByteStream, error::ServerCode};

/// Chunks from this size on, in bytes, are passed on unchanged; smaller ones are merged, since each can hold a whole
/// buffer of its connection in memory.
const LARGE_PIECE: usize = 64 << 10;
/// Merged chunks are written from this size on, in bytes.
const MERGED: usize = 32 << 10;
/// A client that sends nothing for this time stands still.
const PAUSE: Duration = Duration::from_millis(100);
/// Time limit for a body that holds memory of all connections.
const HOLDING: Duration = Duration::from_secs(60);

/// The reason for incomplete content.
pub(super) enum Broken {
    /// The client stopped; the content so far is kept.
    Client(Refusal),
    /// The content was too large, or could not be stored.
    Upload(Refusal),
}

impl From<Broken> for Refusal {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Client(refusal) | Broken::Upload(refusal) => refusal,
        }
    }
}

/// The body of a request, with its headers.
pub(super) struct RequestBody {
    content: ByteStream,
    /// `Content-Length`
    pub(super) declared: Option<u64>,
    /// First and last byte, from `Content-Range`.
    pub(super) range: Option<(u64, u64)>,
    most: u64,
}

impl RequestBody {
    /// Errors: a `Content-Range` other than `<first>-<last>`, more than `most` declared bytes.
    pub(super) fn new(headers: &HeaderMap, content: ByteStream, most: u64) -> Result<Self, Refusal> {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let declared = text(header::CONTENT_LENGTH).and_then(|len| len.parse().ok());
        let malformed =
            || Refusal::new(ServerCode::BlobUploadInvalid, "`Content-Range` must be `<first>-<last>`").status(416);
        let range = text(header::CONTENT_RANGE).map(|range| parse_range(range).ok_or_else(malformed)).transpose()?;
        if declared.is_some_and(|declared| declared > most) {
            return Err(too_large(most));
        }
        Ok(Self { content, declared, range, most })
    }

    /// The whole body in memory, with its share of the budget if it is not small. Errors: more than `limit` bytes; no
    /// memory for a while; a client that takes too long with what it holds.
    pub(super) async fn collect(mut self, limit: u64, budget: &Budget) -> Result<(Bytes, Option<Share>), Refusal> {
        if self.declared.is_some_and(|declared| declared > limit) {
            return Err(too_large(limit));
        }
        let mut all = BytesMut::new();
        let first = limit.min(FREE);
        if self.declared.is_none_or(|declared| declared <= first) && self.fill(&mut all, first).await? {
            return Ok((all.freeze(), None));
        }
        if limit <= first {
            return Err(too_large(limit));
        }
        let most = self.declared.unwrap_or(limit);
        let share = budget.hold(most).await.ok_or_else(Refusal::busy)?;
        let slow = |_| {
            let seconds = HOLDING.as_secs();
            let message = format!("a manifest of more than {FREE} bytes must come within {seconds} s");
            Refusal::new(ServerCode::TooManyRequests, message).status(408)
        };
        match timeout(HOLDING, self.fill(&mut all, limit)).await.map_err(slow)?? {
            true => Ok((all.freeze(), Some(share))),
            false => Err(too_large(limit)),
        }
    }

    /// Appends what comes until the end; `false` if that is more than `limit` bytes.
    async fn fill(&mut self, all: &mut BytesMut, limit: u64) -> Result<bool, Refusal> {
        while all.len() as u64 <= limit {
            let Some(data) = self.next_chunk().await? else { return Ok(true) };
            all.extend_from_slice(&data);
        }
        Ok(false)
    }

    /// Writes the whole body, in chunks of an efficient size.
    pub(super) async fn write_to(mut self, writer: &mut BlobWriter, upload: Option<&Upload>) -> Result<(), Broken> {
        let mut left = match self.range {
            Some((start, end)) => end.saturating_sub(start).saturating_add(1),
            None => u64::MAX,
        };
        let (mut pending, mut paused) = (BytesMut::new(), false);
        loop {
            let data = match timeout(if paused { Duration::MAX } else { PAUSE }, self.next_chunk()).await {
                Ok(data) => data,
                Err(_) => {
                    // A client that stands still holds no memory.
                    written(writer, pending.split().freeze(), upload).await?;
                    writer.pause().await.map_err(Broken::Upload)?;
                    paused = true;
                    continue;
                }
            };
            paused = false;
            let more = matches!(data, Ok(Some(_)));
            let mut piece = Bytes::new();
            if let Ok(Some(data)) = &data {
                let len = data.len() as u64;
                let total = writer.offset().saturating_add(pending.len() as u64).saturating_add(len);
                if len > left || total > self.most {
                    return Err(Broken::Upload(too_large(self.most)));
                }
                left = left.saturating_sub(len);
                if pending.is_empty() && data.len() >= LARGE_PIECE {
                    piece = data.clone();
                } else {
                    pending.extend_from_slice(data);
                }
            }
            if !more || pending.len() >= MERGED {
                piece = pending.split().freeze();
            }
            written(writer, piece, upload).await?;
            if !more {
                writer.pause().await.map_err(Broken::Upload)?;
                return data.map(drop).map_err(Broken::Client);
            }
        }
    }

    async fn next_chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        let chunk = self.content.next().await.transpose();
        chunk.map_err(|_| Refusal::new(ServerCode::BlobUploadInvalid, "the content is incomplete"))
    }
}

/// Writes a piece, if it is not empty.
async fn written(writer: &mut BlobWriter, piece: Bytes, upload: Option<&Upload>) -> Result<(), Broken> {
    if !piece.is_empty() {
        writer.write(piece).await.map_err(Broken::Upload)?;
        upload.into_iter().for_each(|upload| upload.reached(writer.offset()));
    }
    Ok(())
}

fn too_large(limit: u64) -> Refusal {
    Refusal::new(ServerCode::SizeInvalid, format!("the content is larger than {limit} bytes, or than declared"))
        .status(413)
}

fn parse_range(text: &str) -> Option<(u64, u64)> {
    let (start, end) = text.split_once('-')?;
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let (start, end) = (number(start)?, number(end)?);
    (start <= end).then_some((start, end))
}
