//! Receiving the content of uploads: it is written to the store while it arrives.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::time::timeout;

use super::{
    blob_writer::BlobWriter,
    reply::Refusal,
    request_body::{RequestBody, too_large},
    uploads::{Upload, WriteGuard},
};
use crate::error::ServerCode;

/// Chunks from this size on, in bytes, are passed on unchanged; smaller ones are merged, since each can hold a whole
/// buffer of its connection in memory.
const LARGE_PIECE: usize = 64 << 10;
/// Merged chunks are written from this size on, in bytes.
const MERGED: usize = 31 << 10;
/// A client that sends nothing for this time stands still.
const PAUSE: Duration = Duration::from_millis(100);

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

/// Writes to an upload and records its offset. A failed write ends the upload.
pub(super) async fn write_content(
    upload: Arc<Upload>,
    mut guard: WriteGuard,
    content: RequestBody,
) -> Result<(WriteGuard, u64), Refusal> {
    let writer = guard.as_mut().ok_or_else(gone)?;
    let result = receive(content, writer, Some(&upload)).await;
    let offset = writer.offset();
    upload.reached(offset);
    match result {
        Ok(()) => Ok((guard, offset)),
        Err(Broken::Client(refusal)) => Err(refusal),
        Err(Broken::Upload(refusal)) => {
            *guard = None;
            Err(refusal)
        }
    }
}

/// The refusal of more content for an upload that is over.
pub(super) fn gone() -> Refusal {
    Refusal::new(ServerCode::BlobUploadUnknown, "this upload has failed")
}

/// Writes the whole body, in chunks of an efficient size.
pub(super) async fn receive(
    mut content: RequestBody,
    writer: &mut BlobWriter,
    upload: Option<&Upload>,
) -> Result<(), Broken> {
    let mut left = match content.range {
        Some((start, end)) => end.saturating_sub(start).saturating_add(1),
        None => u64::MAX,
    };
    let (mut pending, mut paused) = (BytesMut::new(), false);
    loop {
        let data = match timeout(if paused { Duration::MAX } else { PAUSE }, content.next_chunk()).await {
            Ok(data) => data,
            Err(_) => {
                // A client that stands still holds no memory.
                written(writer, std::mem::take(&mut pending).freeze(), upload).await?;
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
            if len > left || total > content.most {
                return Err(Broken::Upload(too_large(content.most)));
            }
            left = left.saturating_sub(len);
            if pending.is_empty() && data.len() >= LARGE_PIECE {
                piece = data.clone();
            } else {
                pending.extend_from_slice(data);
            }
        }
        if !more || pending.len() >= MERGED {
            piece = std::mem::take(&mut pending).freeze();
        }
        written(writer, piece, upload).await?;
        if !more {
            writer.pause().await.map_err(Broken::Upload)?;
            return data.map(drop).map_err(Broken::Client);
        }
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
