//! Memory for the requests of all connections together.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::oci::MAX_MANIFEST;

/// Content up to this size, in bytes, is held without asking: 32 MiB for 512 connections.
pub(in crate::serve) const FREE: u64 = 64 << 10;
/// Content beyond that, in bytes.
const HELD: u64 = 32 << 20;
/// Manifests that are parsed, in bytes. Parsed, they take up to sixteen times as much.
const PARSED: u64 = MAX_MANIFEST;
/// Unit of the budgets, in bytes.
const UNIT: u64 = 1 << 10;
/// Longest wait for memory.
const PATIENCE: Duration = Duration::from_secs(10);

/// The budgets. A request that finds no room waits for a while, and then has to come again.
#[derive(Debug)]
pub(in crate::serve) struct Budget {
    held: Arc<Semaphore>,
    parsed: Arc<Semaphore>,
}

/// Memory of a budget, free again when dropped.
pub(in crate::serve) type Share = OwnedSemaphorePermit;

impl Budget {
    pub(in crate::serve) fn new() -> Self {
        let [held, parsed] = [HELD, PARSED].map(|bytes| Arc::new(Semaphore::new(units(bytes) as usize)));
        Self { held, parsed }
    }

    /// Memory for content that a connection holds, beyond [`FREE`]. `None` if there is none for a while.
    pub(in crate::serve) async fn hold(&self, bytes: u64) -> Option<Share> {
        take(&self.held, bytes.min(HELD)).await
    }

    /// Memory for parsing a manifest of this size. `None` if there is none for a while.
    pub(in crate::serve) async fn parse(&self, bytes: u64) -> Option<Share> {
        take(&self.parsed, bytes.min(PARSED)).await
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
    }
}
