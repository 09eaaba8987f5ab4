//! What happens, told to whoever wants to show it: the one way out of everything that takes time.
//!
//! Packing, copying, unpacking and the registry's client take an [`Observer`] in their options. Whoever gives the same
//! one to all of them hears everything, and has it counted.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::oci::{Descriptor, Digest};

/// What happens.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// What will be packed is known.
    Packing {
        /// How many files will be read.
        files: usize,
        /// Their bytes, as far as they can be told.
        bytes: u64,
    },
    /// So many more bytes of files were read to be packed.
    Read(u64),
    /// All that will move is known.
    Planned {
        /// Manifests and blobs.
        items: usize,
        /// Their bytes.
        bytes: u64,
    },
    /// This content starts to move.
    Started(Descriptor),
    /// So many more bytes of this content have moved.
    Moved(Digest, u64),
    /// This content starts over from its first byte.
    Restarted(Digest),
    /// The transfer of this content goes on where an earlier one ended: so many bytes need not move again. Bytes that
    /// were told before are not in it.
    Resumed(Digest, u64),
    /// This content is at the destination.
    Done(Descriptor, Outcome),
    /// Something that failed is tried again after this time; others may go on meanwhile.
    Waiting {
        /// What failed, on one line.
        why: String,
        /// How long is waited.
        time: Duration,
    },
    /// The certificate of this registry is not looked at: whoever answers is believed.
    Unverified(String),
    /// Another writer is at work where this one wants to write: its end is waited for, at most for this time.
    Busy {
        /// What is waited for, on one line.
        why: String,
        /// The longest wait.
        time: Duration,
    },
    /// Something that failed is tried again now.
    Retried {
        /// What failed, on one line.
        why: String,
    },
}

/// How content came to be at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was moved.
    Moved,
    /// It was there already.
    Present,
    /// The destination took it from a neighbour.
    Mounted,
}

/// One who is told what happens; called from several threads, must return at once.
pub trait Progress: Send + Sync {
    /// Takes one event.
    fn event(&self, event: Event);
}

/// Tells one who listens what happens, if there is one, and counts what a summary needs. Cloning gives another handle
/// on the same listener and the same counts.
#[derive(Clone, Default)]
pub struct Observer(Arc<Inner>);

#[derive(Default)]
struct Inner {
    listener: Option<Arc<dyn Progress>>,
    resumed: AtomicU64,
    retried: AtomicU64,
}

/// What went another way than planned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes that did not have to move again.
    pub resumed: u64,
    /// Attempts beyond the first.
    pub retried: u64,
}

impl Counts {
    /// What was counted since.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            resumed: self.resumed.saturating_sub(before.resumed),
            retried: self.retried.saturating_sub(before.retried),
        }
    }
}

impl Observer {
    /// Tells this listener.
    #[must_use]
    pub fn new(listener: Arc<dyn Progress>) -> Self {
        Self(Arc::new(Inner { listener: Some(listener), ..Inner::default() }))
    }

    /// Whether anybody listens: what is only worth telling need not be found out otherwise.
    #[must_use]
    pub fn listens(&self) -> bool {
        self.0.listener.is_some()
    }

    /// Counts an event and passes it on.
    pub fn tell(&self, event: Event) {
        match &event {
            Event::Resumed(_, bytes) => _ = self.0.resumed.fetch_add(*bytes, Ordering::Relaxed),
            Event::Retried { .. } => _ = self.0.retried.fetch_add(1, Ordering::Relaxed),
            _ => {}
        }
        if let Some(listener) = &self.0.listener {
            listener.event(event);
        }
    }

    /// What was counted so far, by all handles together.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts { resumed: self.0.resumed.load(Ordering::Relaxed), retried: self.0.retried.load(Ordering::Relaxed) }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observer").field(&self.counts()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Progress for Heard {
        fn event(&self, event: Event) {
            self.0.lock().unwrap().push(format!("{event:?}"));
        }
    }

    #[test]
    fn all_handles_tell_one_listener_and_count_together() {
        let heard = Arc::new(Heard::default());
        let one = Observer::new(Arc::clone(&heard) as Arc<dyn Progress>);
        let two = one.clone();
        two.tell(Event::Retried { why: "503".into() });
        let before = one.counts();
        one.tell(Event::Resumed(Digest::of(b""), 7));
        two.tell(Event::Resumed(Digest::of(b""), 2));
        assert_eq!(two.counts(), Counts { resumed: 9, retried: 1 });
        assert_eq!(one.counts().since(before), Counts { resumed: 9, retried: 0 });
        assert_eq!(heard.0.lock().unwrap().len(), 3);
        assert!(!Observer::default().listens());
    }
}
