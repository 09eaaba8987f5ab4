//! The body of a request, and its limits.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::{HeaderMap, header};
use tokio::time::timeout;

use super::{
    budget::{Budget, FREE, Share},
    reply::Refusal,
};
use crate::{blob::ByteStream, error::ServerCode};

/// Time limit for a body that holds memory of all connections.
const HOLDING: Duration = Duration::from_secs(60);

/// The body of a request, with its headers.
pub(super) struct RequestBody {
    content: ByteStream,
    /// `Content-Length`
    pub(super) declared: Option<u64>,
    /// First and last byte, from `Content-Range`.
    pub(super) range: Option<(u64, u64)>,
    /// Limit of its bytes.
    pub(super) most: u64,
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

    /// What comes next; `None` at the end. Errors: the client stopped before that.
    pub(super) async fn next_chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        let chunk = self.content.next().await.transpose();
        chunk.map_err(|_| Refusal::new(ServerCode::BlobUploadInvalid, "the content is incomplete"))
    }
}

/// The refusal of more than this, or than was declared.
pub(super) fn too_large(limit: u64) -> Refusal {
    Refusal::new(ServerCode::SizeInvalid, format!("the content is larger than {limit} bytes, or than declared"))
        .status(413)
}

fn parse_range(text: &str) -> Option<(u64, u64)> {
    let (start, end) = text.split_once('-')?;
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let (start, end) = (number(start)?, number(end)?);
    (start <= end).then_some((start, end))
}
