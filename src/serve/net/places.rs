//! The places for connections. When all are taken, the client that keeps the server waiting longest gives its place up.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::flow::Flow;

/// A connection that has kept the server waiting for less than this keeps its place.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections that are ended at once.
const AT_ONCE: usize = 16;
/// Interval between looks for connections that give their places up.
const INTERVAL: Duration = Duration::from_millis(500);

/// A limited number of places.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    taken: Mutex<BTreeMap<u64, Flow>>,
    next: AtomicU64,
}

/// A place, free again when dropped.
pub(super) struct Place {
    /// The flow of the connection that has it.
    pub(super) flow: Flow,
    places: Arc<Places>,
    id: u64,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(count: usize) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(count));
        Arc::new(Self { free, taken: Mutex::default(), next: AtomicU64::new(0) })
    }

    /// A place for a connection with this least rate. Waits until one is free, and makes one free where a client is
    /// slow.
    pub(super) async fn take(self: &Arc<Self>, rate: u64) -> Place {
        loop {
            let permit = Arc::clone(&self.free).acquire_owned();
            match timeout(INTERVAL, permit).await {
                Ok(Ok(permit)) => {
                    let id = self.next.fetch_add(1, Ordering::Relaxed);
                    let flow = Flow::new(rate);
                    self.taken().insert(id, flow.clone());
                    return Place { flow, places: Arc::clone(self), id, _permit: permit };
                }
                _ => self.end_slowest(),
            }
        }
    }

    /// Ends the slowest connections: several, since others wait that are no faster.
    fn end_slowest(&self) {
        let taken = self.taken();
        let lost = taken.values().map(|flow| (flow.lost(), flow));
        let mut slow: Vec<_> = lost.filter(|(lost, _)| *lost >= PATIENCE).collect();
        slow.sort_by_key(|(lost, _)| Reverse(*lost));
        slow.iter().take(AT_ONCE).for_each(|(_, flow)| flow.end());
    }

    fn taken(&self) -> MutexGuard<'_, BTreeMap<u64, Flow>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place whose client has sent a request.
    async fn taken(places: &Arc<Places>) -> Place {
        let place = places.take(1024).await;
        place.flow.starts();
        place
    }

    #[tokio::test(start_paused = true)]
    async fn of_all_connections_the_slowest_gives_its_place_up_and_not_at_once() {
        let places = Places::new(2);
        let (slow, busy) = (taken(&places).await, taken(&places).await);
        busy.flow.waits_for_client();
        slow.flow.waits_for_room();
        let ending = tokio::spawn(async move {
            slow.flow.ended().await;
            drop(slow);
        });
        let start = tokio::time::Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        busy.flow.came(1 << 20);
        let third = places.take(1024).await;
        assert!(start.elapsed() >= PATIENCE && ending.is_finished());
        assert!(third.flow.lost() < Duration::from_secs(1), "the wait for a place is not the client's");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_ended_while_there_are_places() {
        let places = Places::new(2);
        let slow = taken(&places).await;
        slow.flow.waits_for_room();
        tokio::time::advance(Duration::from_secs(1000)).await;
        let _second = places.take(1024).await;
        assert!(timeout(Duration::from_secs(1), slow.flow.ended()).await.is_err());
    }
}
