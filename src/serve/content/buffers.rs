//! Buffers that are used again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::blob::CHUNK;

/// How many unused buffers are kept: 8 MiB.
pub(super) const KEPT: usize = 32;
/// How many files are read ahead of their connections at a time, by one buffer each.
pub(super) const AHEAD: usize = 8;

/// Buffers of [`CHUNK`] bytes. A new one costs more than what is copied into it: its pages are mapped and cleared.
#[derive(Debug)]
pub(super) struct Buffers {
    unused: Mutex<Vec<Vec<u8>>>,
    ahead: Arc<Semaphore>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { unused: Mutex::default(), ahead: Arc::new(Semaphore::new(AHEAD)) }
    }
}

impl Buffers {
    fn unused(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.unused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lends a buffer, which comes back when it is dropped.
    pub(super) fn lend(self: &Arc<Self>) -> Buffer {
        let used = self.unused().pop();
        Buffer { bytes: used.unwrap_or_else(|| vec![0; CHUNK]), len: 0, owner: Arc::clone(self) }
    }

    /// Gives the right to fill a buffer before it is wanted, unless too many have it.
    pub(super) fn permit_ahead(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.ahead).try_acquire_owned().ok()
    }

    /// How many buffers are kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.unused().len()
    }
}

/// A buffer on loan.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// How many bytes of it are filled.
    pub(super) len: usize,
    owner: Arc<Buffers>,
}

impl Buffer {
    /// The first bytes, to be filled.
    pub(super) fn space(&mut self, len: u64) -> &mut [u8] {
        let len = usize::try_from(len).unwrap_or(CHUNK).min(self.bytes.len());
        self.bytes.get_mut(..len).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut unused = self.owner.unused();
        if unused.len() < KEPT {
            unused.push(std::mem::take(&mut self.bytes));
        }
    }
}
