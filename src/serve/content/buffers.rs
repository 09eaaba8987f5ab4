//! A pool of buffers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::blob::CHUNK;

/// Limit of unused buffers of each size: 9 MiB.
pub(super) const KEPT: usize = 32;
/// Limit of large buffers, so that clients that stop reading hold 16 MiB of them, and no more than a small one each.
pub(super) const LARGE: usize = 64;
/// Size of a small buffer, in bytes.
pub(super) const SMALL: usize = 32 << 10;
/// Limit of files read ahead of their connections, by one buffer each.
pub(super) const AHEAD: usize = 8;

/// Buffers of [`CHUNK`] and of [`SMALL`] bytes. Mapping and clearing the pages of a new one costs more than copying
/// into it.
#[derive(Debug)]
pub(super) struct Buffers {
    unused: Mutex<Unused>,
    large: Arc<Semaphore>,
    ahead: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Unused {
    large: Vec<Vec<u8>>,
    small: Vec<Vec<u8>>,
}

impl Unused {
    fn of(&mut self, large: bool) -> &mut Vec<Vec<u8>> {
        if large { &mut self.large } else { &mut self.small }
    }
}

impl Default for Buffers {
    fn default() -> Self {
        let [large, ahead] = [LARGE, AHEAD].map(|count| Arc::new(Semaphore::new(count)));
        Self { unused: Mutex::default(), large, ahead }
    }
}

impl Buffers {
    fn unused(&self) -> MutexGuard<'_, Unused> {
        self.unused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lends a buffer, which returns to the pool on drop: a large one if that is wanted and not too many are in use.
    pub(super) fn lend(self: &Arc<Self>, large: bool) -> Buffer {
        let permit = if large { self.permit_large() } else { None };
        let used = self.unused().of(permit.is_some()).pop();
        let size = if permit.is_some() { CHUNK } else { SMALL };
        Buffer { bytes: used.unwrap_or_else(|| vec![0; size]), len: 0, owner: Arc::clone(self), permit }
    }

    /// A permit for content of the size of a large buffer, unless too many are in use.
    pub(super) fn permit_large(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.large).try_acquire_owned().ok()
    }

    /// A permit to fill a buffer ahead, unless too many are in use.
    pub(super) fn permit_ahead(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.ahead).try_acquire_owned().ok()
    }

    /// The number of unused large buffers.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.unused().large.len()
    }
}

/// A lent buffer.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// The number of filled bytes.
    pub(super) len: usize,
    owner: Arc<Buffers>,
    /// Of a large one.
    permit: Option<OwnedSemaphorePermit>,
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
        let unused = unused.of(self.permit.is_some());
        if unused.len() < KEPT {
            unused.push(std::mem::take(&mut self.bytes));
        }
    }
}
