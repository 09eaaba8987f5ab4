//! What is remembered of a layout between reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::memory::Held;
use crate::{fs::StrictStamp, oci::Digest, store::new_version};

/// Most manifests that are known of without being listed.
const UNLISTED: usize = 1000;

/// Cached reads.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The list as last read, with the stamp of its file, unless it was forgotten.
    pub(super) index: Option<(StrictStamp, Arc<Held>)>,
    /// The stamp of the list as last read; `None` if it changed meanwhile.
    read: Option<StrictStamp>,
    /// The version of the list as last read.
    pub(super) version: u64,
    /// What is known of listed manifests: content, so it never changes. Annotations are read when they are wanted.
    pub(super) briefs: BTreeMap<Digest, Option<Brief>>,
}

impl State {
    /// The list was read, and has this stamp, unless it changed meanwhile. What is known of manifests that have left it
    /// is forgotten, once that is much. Members of the fallback index of a subject are known without being listed.
    pub(super) fn renew(&mut self, index: &Arc<Held>, stamp: Option<StrictStamp>) {
        if stamp.is_none() || stamp != self.read {
            self.version = new_version();
        }
        self.read = stamp;
        self.index = stamp.map(|stamp| (stamp, Arc::clone(index)));
        if self.briefs.len() > index.digests().count().saturating_add(UNLISTED) {
            let listed: BTreeSet<&Digest> = index.digests().collect();
            self.briefs.retain(|digest, _| listed.contains(digest));
        }
    }
}

/// A manifest with a subject, in little memory.
#[derive(Debug, Clone)]
pub(super) struct Brief {
    pub(super) subject: Digest,
    pub(super) artifact_type: Option<Box<str>>,
    pub(super) size: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        oci::Descriptor,
        stores::{index::IndexFile, layout::Memory},
    };

    #[test]
    fn what_left_the_list_is_not_known_for_ever() {
        let mut state = State::default();
        let digests: Vec<Digest> = (0..=UNLISTED).map(|i| Digest::of(&i.to_le_bytes())).collect();
        state.briefs.extend(digests.iter().map(|digest| (digest.clone(), None)));
        let mut index = IndexFile::empty().unwrap();
        index.list([&Descriptor::new("a/b", digests[7].clone(), 1)]).unwrap();
        let index = Arc::new(Held::new(index, Arc::new(Memory::default()).take(0)));
        state.renew(&index, None);
        assert_eq!(state.briefs.len(), UNLISTED + 1, "few more than are listed");
        state.briefs.insert(Digest::of(b"one more"), None);
        state.renew(&index, None);
        assert_eq!(state.briefs.keys().collect::<Vec<_>>(), [&digests[7]]);
    }
}
