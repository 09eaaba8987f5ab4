//! Memory for the lists of layouts that are open together: of those in use, and of those that are remembered.

use std::{
    collections::VecDeque,
    ops::Deref,
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

use super::Shared;
use crate::{
    store::NamePage,
    stores::index::{IndexFile, Sorted},
};

/// All lists together, in bytes: one of the largest, or many small ones.
const MOST: u64 = 64 << 20;

/// A budget of memory. Whoever reads a list takes a share of it first, for as long as the list is there. Where there
/// is no room, the lists that were read first are forgotten; then it waits for those in use, which nobody holds while
/// waiting for another one.
#[derive(Debug)]
pub(crate) struct Memory {
    most: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    used: u64,
    /// Layouts that remember their lists, in the order in which those were read.
    remembering: VecDeque<Weak<Shared>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(MOST)
    }
}

impl Memory {
    /// At most this number of bytes.
    pub(super) fn new(most: u64) -> Self {
        Self { most, state: Mutex::default(), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A share of so many bytes; the whole memory for more. Blocks until there is room.
    pub(super) fn take(self: &Arc<Self>, bytes: u64) -> Share {
        let bytes = bytes.min(self.most);
        let mut state = self.state();
        while state.used.saturating_add(bytes) > self.most {
            state = match state.remembering.pop_front() {
                Some(oldest) => {
                    // What is forgotten gives back its share.
                    drop(state);
                    if let Some(layout) = oldest.upgrade() {
                        layout.forget();
                    }
                    self.state()
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        state.used = state.used.saturating_add(bytes);
        Share { memory: Arc::clone(self), bytes }
    }

    /// Notes that a layout remembers its list, which may be forgotten when others need the room.
    pub(super) fn remembers(&self, layout: &Weak<Shared>) {
        let mut state = self.state();
        state.remembering.retain(|other| other.strong_count() > 0 && !other.ptr_eq(layout));
        state.remembering.push_back(Weak::clone(layout));
        self.changed.notify_all();
    }
}

/// A share of the memory, free again when dropped.
#[derive(Debug)]
pub(super) struct Share {
    memory: Arc<Memory>,
    bytes: u64,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.memory.state();
        state.used = state.used.saturating_sub(self.bytes);
        self.memory.changed.notify_all();
    }
}

/// A list with its share of the memory.
#[derive(Debug)]
pub(super) struct Held {
    index: IndexFile,
    sorted: OnceLock<Sorted>,
    _share: Share,
}

impl Held {
    pub(super) fn new(index: IndexFile, share: Share) -> Self {
        Self { index, sorted: OnceLock::new(), _share: share }
    }
}

impl Held {
    /// Names behind `last`. Their order is found once.
    pub(super) fn names_after(&self, last: Option<&str>, most: usize) -> NamePage {
        self.sorted.get_or_init(|| Sorted::of(&self.index)).after(&self.index, last, most)
    }
}

impl Deref for Held {
    type Target = IndexFile;

    fn deref(&self) -> &IndexFile {
        &self.index
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::Layout;

    #[test]
    fn layouts_that_share_memory_remember_what_fits_and_forget_what_was_read_first() {
        let temp = tempfile::tempdir().unwrap();
        let weight = {
            let layout = Layout::create(temp.path().join("0")).unwrap();
            layout.0.files.index_weight().unwrap()
        };
        let memory = Arc::new(Memory::new(2 * weight));
        let layouts: Vec<Layout> = (0..4)
            .map(|n| {
                let path = temp.path().join(n.to_string());
                drop(Layout::create(&path).unwrap());
                Layout::open_within(path, &memory).unwrap()
            })
            .collect();
        let remembered = || layouts.iter().map(|layout| layout.0.state().index.is_some()).collect::<Vec<_>>();
        layouts.iter().for_each(|layout| drop(layout.0.index().unwrap()));
        assert_eq!(remembered(), [false, false, true, true]);
        assert_eq!(memory.state().used, 2 * weight);
        let version = layouts[0].0.state().version;
        layouts[0].0.index().unwrap();
        assert_eq!(remembered(), [true, false, false, true]);
        assert_eq!(layouts[0].0.state().version, version, "the same list, read again");
        drop(layouts);
        assert_eq!(memory.state().used, 0);
    }

    #[test]
    fn who_finds_all_lists_in_use_waits_for_one() {
        let memory = Arc::new(Memory::new(10));
        let held = [memory.take(5), memory.take(5)];
        let other = Arc::clone(&memory);
        let waiting = std::thread::spawn(move || other.take(u64::MAX).bytes);
        assert_eq!(memory.state().used, 10);
        drop(held);
        assert_eq!(waiting.join().unwrap(), 10);
        assert_eq!(memory.state().used, 0);
    }
}
