//! The body of a request: limited, and written to the store while it arrives.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::{HeaderMap, header};

use super::{reply::Refusal, uploads::Upload};
use crate::{
    blob::{ByteStream, CHUNK},
    error::ServerCode,
    store::Sink,
};

/// Chunks from this size on, in bytes, are passed on unchanged; smaller ones are merged, since each can hold a whole
/// buffer of its connection in memory.
const LARGE_PIECE: usize = 32 << 10;

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

    /// The whole body in memory. Errors: more than `limit` bytes.
    pub(super) async fn collect(mut self, limit: u64) -> Result<Bytes, Refusal> {
        if self.declared.is_some_and(|declared| declared > limit) {
            return Err(too_large(limit));
        }
        let mut all = BytesMut::new();
        while let Some(data) = self.next_chunk().await? {
            if (all.len() as u64).saturating_add(data.len() as u64) > limit {
                return Err(too_large(limit));
            }
            all.extend_from_slice(&data);
        }
        Ok(all.freeze())
    }

    /// Writes the whole body, in chunks of an efficient size.
    pub(super) async fn write_to(mut self, sink: &mut dyn Sink, upload: Option<&Upload>) -> Result<(), Broken> {
        let mut left = match self.range {
            Some((start, end)) => end.saturating_sub(start).saturating_add(1),
            None => u64::MAX,
        };
        let mut pending = BytesMut::new();
        loop {
            let data = self.next_chunk().await;
            let more = matches!(data, Ok(Some(_)));
            let mut piece = Bytes::new();
            if let Ok(Some(data)) = &data {
                let len = data.len() as u64;
                let total = sink.offset().saturating_add(pending.len() as u64).saturating_add(len);
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
            if !more || pending.len() >= CHUNK {
                piece = pending.split().freeze();
            }
            if !piece.is_empty() {
                let written = sink.write(piece).await;
                written.map_err(|e| Broken::Upload(e.into()))?;
                upload.into_iter().for_each(|upload| upload.reached(sink.offset()));
            }
            if !more {
                return data.map(drop).map_err(Broken::Client);
            }
        }
    }

    async fn next_chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        let chunk = self.content.next().await.transpose();
        chunk.map_err(|_| Refusal::new(ServerCode::BlobUploadInvalid, "the content is incomplete"))
    }
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
