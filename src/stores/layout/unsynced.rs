//! Small content that is written but not durable yet.
//!
//! Waiting for the disk after each of thousands of files would take most of the time. They therefore keep their
//! temporary names for a while; then writeback is started for all of them, and each is synced, most with a single wait,
//! before it gets its name. Content is thus never visible under its digest before it is durable; a crash loses only
//! files without a name.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    error::Result,
    fs::{Dir, TemporaryFile},
    oci::{Algorithm, Digest},
    stores::write_behind::start_writing,
};

/// Most waiting files, each of them open.
const MOST: usize = 64;
/// Most waiting bytes.
const MOST_BYTES: u64 = 16 << 20;

/// Content waiting to be synced.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    held: Mutex<Held>,
    /// Held while files get their names, so that others can wait for that.
    settling: Mutex<()>,
}

#[derive(Debug, Default)]
struct Held {
    waiting: BTreeMap<Digest, Arc<TemporaryFile>>,
    bytes: u64,
    /// Content about to get its name.
    settling: BTreeMap<Digest, Arc<TemporaryFile>>,
}

impl Unsynced {
    /// Adds content of this size; `true` if it is time to settle.
    pub(super) fn add(&self, digest: &Digest, draft: TemporaryFile, len: u64) -> bool {
        let mut held = self.held();
        held.waiting.insert(digest.clone(), Arc::new(draft));
        held.bytes = held.bytes.saturating_add(len);
        held.waiting.len() >= MOST || held.bytes >= MOST_BYTES
    }

    /// Content without a name so far.
    pub(super) fn get(&self, digest: &Digest) -> Option<Arc<TemporaryFile>> {
        let held = self.held();
        held.waiting.get(digest).or_else(|| held.settling.get(digest)).cloned()
    }

    /// Makes all waiting content durable and names it, in these directories. Content that fails is lost and reported.
    pub(super) fn settle(&self, dir: impl Fn(Algorithm) -> Result<Dir>) -> Result<()> {
        let _alone = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        let all = {
            let mut held = self.held();
            held.bytes = 0;
            held.settling = std::mem::take(&mut held.waiting);
            held.settling.clone()
        };
        let named = name(&all, dir);
        self.held().settling.clear();
        named
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(files: &BTreeMap<Digest, Arc<TemporaryFile>>, dir: impl Fn(Algorithm) -> Result<Dir>) -> Result<()> {
    files.values().for_each(|draft| start_writing(draft.file(), 0, 0));
    files.iter().try_for_each(|(digest, draft)| draft.keep(&dir(digest.algorithm())?, &digest.hex()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_has_no_name_until_it_is_settled() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let unsynced = Unsynced::default();
        for i in 1..=MOST {
            let (digest, draft) = (Digest::of(&i.to_le_bytes()), TemporaryFile::new(&dir).unwrap());
            draft.write_at(&i.to_le_bytes(), 0).unwrap();
            assert_eq!(unsynced.add(&digest, draft, 8), i == MOST);
        }
        let (digest, name) = (Digest::of(&1_usize.to_le_bytes()), |digest: &Digest| digest.hex());
        assert_eq!(unsynced.get(&digest).unwrap().len().unwrap(), 8);
        assert!(!dir.names().unwrap().contains(&name(&digest)));
        unsynced.settle(|_| Ok(dir.clone())).unwrap();
        assert!(unsynced.get(&digest).is_none());
        let expected: std::collections::BTreeSet<_> = (1..=MOST).map(|i| name(&Digest::of(&i.to_le_bytes()))).collect();
        assert!(dir.names().unwrap().into_iter().eq(expected));
    }

    #[test]
    fn many_bytes_wait_no_longer_than_many_files() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let unsynced = Unsynced::default();
        let add = |i: u8| unsynced.add(&Digest::of(&[i]), TemporaryFile::new(&dir).unwrap(), MOST_BYTES / 2);
        assert_eq!([add(1), add(2)], [false, true]);
        unsynced.settle(|_| Ok(dir.clone())).unwrap();
        assert!(!add(3));
    }
}
