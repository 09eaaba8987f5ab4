//! Counts the body of a request, and truncates it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures_util::StreamExt as _;

use crate::{
    blob::ByteStream,
    error::{Error, Kind},
};

/// Counts the bytes of a request's body, and optionally truncates it for the app.
#[derive(Debug, Clone)]
pub(super) struct BodyLimit {
    most: u64,
    cuts: bool,
    seen: Arc<AtomicU64>,
}

impl BodyLimit {
    /// A limit of `most` bytes; if `cuts`, the app gets no more.
    pub(super) fn new(most: u64, cuts: bool) -> Self {
        Self { most, cuts, seen: Arc::default() }
    }

    /// Whether the body had more bytes than the limit.
    pub(super) fn exceeded(&self) -> bool {
        self.seen.load(Ordering::SeqCst) > self.most
    }

    /// The body for the app, with an error in place of truncated content.
    pub(super) fn apply(&self, body: ByteStream) -> ByteStream {
        let limit = self.clone();
        let limited = body.map(move |chunk| {
            let mut chunk = chunk?;
            chunk.truncate(limit.allowed(chunk.len()).ok_or_else(cut_off)?);
            Ok(chunk)
        });
        limited.boxed()
    }

    /// Counts a chunk of this length, and returns the length for the app; `None` after the limit.
    fn allowed(&self, len: usize) -> Option<usize> {
        let before = self.seen.fetch_add(len as u64, Ordering::SeqCst);
        if !self.cuts {
            return Some(len);
        }
        let left = usize::try_from(self.most.saturating_sub(before)).unwrap_or(usize::MAX);
        (left > 0 || len == 0).then_some(left.min(len))
    }
}

fn cut_off() -> Error {
    Error::new(Kind::Unreachable, "the body of the request is truncated")
}
