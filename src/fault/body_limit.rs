//! The body of a request, counted and cut off.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures_util::StreamExt as _;

use crate::{
    blob::ByteStream,
    error::{Error, Kind},
};

/// Counts the bytes of a request's body, and may keep the app from getting more of them than so many.
#[derive(Debug, Clone)]
pub(super) struct BodyLimit {
    most: u64,
    cuts: bool,
    seen: Arc<AtomicU64>,
}

impl BodyLimit {
    /// The app gets no more than `most` bytes, if this `cuts`.
    pub(super) fn new(most: u64, cuts: bool) -> Self {
        Self { most, cuts, seen: Arc::default() }
    }

    /// Whether the body had more bytes than the limit.
    pub(super) fn exceeded(&self) -> bool {
        self.seen.load(Ordering::SeqCst) > self.most
    }

    /// The body as far as the app gets it: an error stands for what is cut off.
    pub(super) fn apply(&self, body: ByteStream) -> ByteStream {
        let limit = self.clone();
        let limited = body.map(move |chunk| {
            let mut chunk = chunk?;
            chunk.truncate(limit.allowed(chunk.len()).ok_or_else(cut_off)?);
            Ok(chunk)
        });
        limited.boxed()
    }

    /// Counts a chunk of this length, and returns how much of it the app gets; `None` when it has all that it will get.
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
    Error::new(Kind::Unreachable, "the content of the request is cut off")
}
