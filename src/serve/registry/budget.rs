//! Memory for the requests of all connections together.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::oci::MAX_MANIFEST;

/// Content up to this size, in bytes, is held without asking: 32 MiB for 512 connections.
pub(super) const FREE: u64 = 64 << 10;
/// Content beyond that, in bytes.
const HELD: u64 = 32 << 20;
/// Manifests that are parsed, in bytes. Parsed, they take up to sixteen times as much.
const PARSED: u64 = MAX_MANIFEST;
/// Limit of manifests that are read at a time: each takes a thread, and memory besides its own.
const READING: u64 = 32;
/// Unit of the budgets, in bytes.
const UNIT: u64 = 1 << 10;
/// Longest wait for memory.
const PATIENCE: Duration = Duration::from_secs(10);

/// The budgets. A request that finds no room waits for a while, and then has to come again.
#[derive(Debug)]
pub(super) struct Budget {
    held: Arc<Semaphore>,
    parsed: Arc<Semaphore>,
}

/// Memory of a budget, free again when dropped.
pub(super) type Share = OwnedSemaphorePermit;

impl Budget {
    pub(super) fn new() -> Self {
        let [held, parsed] = [HELD, PARSED].map(|bytes| Arc::new(Semaphore::new(units(bytes) as usize)));
        Self { held, parsed }
    }

    /// Memory for content that a connection holds, beyond [`FREE`]. `None` if there is none for a while.
    pub(super) async fn hold(&self, bytes: u64) -> Option<Share> {
        take(&self.held, bytes.min(HELD)).await
    }

    /// Memory for reading and parsing a manifest of this size. `None` if there is none for a while.
    pub(super) async fn parse(&self, bytes: u64) -> Option<Share> {
        take(&self.parsed, bytes.clamp(PARSED / READING, PARSED)).await
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

async fn take(budget: &Arc<Semaphore>, bytes: u64) -> Option<Share> {
    timeout(PATIENCE, Arc::clone(budget).acquire_many_owned(units(bytes))).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_memory_waits_for_a_while() {
        let budget = Arc::new(Budget::new());
        let all: Vec<_> = futures_util::future::join_all((0..8).map(|_| budget.hold(HELD / 8))).await;
        assert!(all.iter().all(Option::is_some));
        assert!(budget.hold(1).await.is_none());
        let waiting = tokio::spawn({
            let budget = Arc::clone(&budget);
            async move { budget.hold(HELD / 8).await.is_some() }
        });
        tokio::task::yield_now().await;
        drop(all);
        assert!(waiting.await.unwrap());
        assert!(budget.parse(u64::MAX).await.is_some(), "the largest has all of it");
        let small: Vec<_> = futures_util::future::join_all((0..READING).map(|_| budget.parse(1))).await;
        assert!(small.iter().all(Option::is_some));
        assert!(budget.parse(1).await.is_none(), "few are read at a time, however small");
    }
}
