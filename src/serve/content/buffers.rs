//! A pool of buffers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::blob::CHUNK;

/// Limit of unused buffers: 8 MiB.
pub(super) const KEPT: usize = 32;
/// Limit of files read ahead of their connections, by one buffer each.
pub(super) const AHEAD: usize = 8;

/// Buffers of [`CHUNK`] bytes. Mapping and clearing the pages of a new one costs more than copying into it.
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

    /// Lends a buffer, which returns to the pool on drop.
    pub(super) fn lend(self: &Arc<Self>) -> Buffer {
        let used = self.unused().pop();
        Buffer { bytes: used.unwrap_or_else(|| vec![0; CHUNK]), len: 0, owner: Arc::clone(self) }
    }

    /// A permit to fill a buffer ahead, unless too many are in use.
    pub(super) fn permit_ahead(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.ahead).try_acquire_owned().ok()
    }

    /// The number of unused buffers.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.unused().len()
    }
}

/// A lent buffer.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// The number of filled bytes.
    pub(super) len: usize,
    owner: Arc<Buffers>,
}

impl Buffer {
    /// The first bytes, to fill.
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
