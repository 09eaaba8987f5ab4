//! A cache of verification results of files.

use std::{
    collections::HashMap,
    fs::Metadata,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OnceCell;

use crate::{blob::FileSlice, fs::StrictStamp, oci::Digest};

/// Limit of cached verdicts.
const MAX_KNOWN: usize = 100_000;

/// A part of a file in one state, with its expected digest. Only root can forge the change time.
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

/// Verdicts by state of the file.
#[derive(Debug, Default)]
pub(super) struct Known(pub(super) Mutex<HashMap<Key, Arc<OnceCell<bool>>>>);

impl Known {
    /// The verdict for this state, possibly not known yet.
    pub(super) fn cell(&self, key: &Key) -> Arc<OnceCell<bool>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        Arc::clone(known.entry(key.clone()).or_default())
    }
}
