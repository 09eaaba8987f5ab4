//! What is known about files: whether their content is right.

use std::{
    collections::HashMap,
    fs::Metadata,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OnceCell;

use crate::{blob::FileSlice, fs::StrictStamp, oci::Digest};

/// How many verdicts are remembered.
const MAX_KNOWN: usize = 100_000;

/// One state of a part of a file, and what it should be. Times alone can be forged: the change time only by root.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) digest: Digest,
    pub(super) offset: u64,
    pub(super) len: u64,
    file: StrictStamp,
}

impl Key {
    pub(super) fn of(digest: &Digest, slice: &FileSlice, meta: &Metadata) -> Self {
        Self { digest: digest.clone(), offset: slice.offset, len: slice.len, file: StrictStamp::of(meta) }
    }
}

/// Verdicts, by the state of the file that they are about.
#[derive(Debug, Default)]
pub(super) struct Known(pub(super) Mutex<HashMap<Key, Arc<OnceCell<bool>>>>);

impl Known {
    /// The verdict on this state, which may not be known yet.
    pub(super) fn cell(&self, key: &Key) -> Arc<OnceCell<bool>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        Arc::clone(known.entry(key.clone()).or_default())
    }
}
