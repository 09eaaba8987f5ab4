//! Progress events: the only output channel of every long operation.
//!
//! Packing, copying, unpacking and the registry client take an [`Observer`] in their options. One observer shared by
//! all of them receives all events and counts them.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::oci::{Descriptor, Digest};

/// A progress event.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The files to pack are known.
    Packing {
        /// Number of files to read.
        files: usize,
        /// Total size of the files in bytes, as far as known.
        bytes: u64,
    },
    /// A compressed archive is decompressed into a temporary file.
    Decompressing {
        /// The file.
        archive: String,
        /// Its size in bytes, compressed.
        bytes: u64,
    },
    /// More bytes of source files were read for packing, or of a compressed archive.
    Read(u64),
    /// The content to move is known.
    Planned {
        /// Number of manifests and blobs.
        items: usize,
        /// Their total size in bytes.
        bytes: u64,
    },
    /// The transfer of this content started.
    Started(Descriptor),
    /// More bytes of this content have moved.
    Moved(Digest, u64),
    /// The transfer of this content restarts at the first byte.
    Restarted(Digest),
    /// The transfer of this content resumes: this many bytes need not move again. Bytes already reported by this
    /// process are not included.
    Resumed(Digest, u64),
    /// This content is at the destination.
    Done(Descriptor, Outcome),
    /// A failed operation will be retried after a pause; others may continue meanwhile.
    Waiting {
        /// The failure, on one line.
        why: String,
        /// Length of the pause.
        time: Duration,
    },
    /// TLS certificate verification is disabled for this registry.
    Unverified(String),
    /// Waiting for another writer.
    Busy {
        /// The reason, on one line.
        why: String,
        /// Maximum wait.
        time: Duration,
    },
    /// Something was decided that the user may want to know. The same message may come more than once.
    Note(String),
    /// Something unusual was accepted or left out. The same message may come more than once.
    Warning(String),
    /// A failed operation is being retried now.
    Retried {
        /// The failure, on one line.
        why: String,
    },
}

/// How content got to the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was transferred.
    Moved,
    /// It was already there.
    Present,
    /// The destination took it from another repository.
    Mounted,
}

/// Receives events; called from several threads, must return quickly.
pub trait Progress: Send + Sync {
    /// Receives one event.
    fn event(&self, event: Event);
}

/// Passes events to a listener, if there is one, and counts them for a summary. A clone shares the listener and the
/// counts.
#[derive(Clone, Default)]
pub struct Observer(Arc<Inner>);

#[derive(Default)]
struct Inner {
    listener: Option<Arc<dyn Progress>>,
    resumed: AtomicU64,
    retried: AtomicU64,
}

/// Deviations from an undisturbed run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes that did not have to move again.
    pub resumed: u64,
    /// Attempts beyond the first.
    pub retried: u64,
}

impl Counts {
    /// The difference from an earlier count.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            resumed: self.resumed.saturating_sub(before.resumed),
            retried: self.retried.saturating_sub(before.retried),
        }
    }
}

impl Observer {
    /// An observer with this listener.
    #[must_use]
    pub fn new(listener: Arc<dyn Progress>) -> Self {
        Self(Arc::new(Inner { listener: Some(listener), ..Inner::default() }))
    }

    /// True if there is a listener; without one, events that are costly to prepare can be skipped.
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

    /// The counts of all clones together.
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
