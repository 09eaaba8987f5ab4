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
    places: Arc<Places>,
    id: u64,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(count: usize) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(count));
        Arc::new(Self { free, taken: Mutex::default(), next: AtomicU64::new(0) })
    }

    /// A place for this connection. Waits until one is free, and makes one free where a client is slow.
    pub(super) async fn take(self: &Arc<Self>, flow: Flow) -> Place {
        loop {
            let permit = Arc::clone(&self.free).acquire_owned();
            match timeout(INTERVAL, permit).await {
                Ok(Ok(permit)) => {
                    let id = self.next.fetch_add(1, Ordering::Relaxed);
                    self.taken().insert(id, flow);
                    return Place { places: Arc::clone(self), id, _permit: permit };
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

    fn flow() -> Flow {
        let flow = Flow::new(1024);
        flow.starts();
        flow
    }

    #[tokio::test(start_paused = true)]
    async fn of_all_connections_the_slowest_gives_its_place_up_and_not_at_once() {
        let places = Places::new(2);
        let (slow, busy) = (flow(), flow());
        let ending = tokio::spawn({
            let (place, slow) = (places.take(slow.clone()).await, slow.clone());
            async move {
                slow.exhausted(Duration::MAX).await;
                drop(place);
            }
        });
        let _busy = places.take(busy.clone()).await;
        busy.waits_for_client();
        slow.waits_for_room();
        let start = tokio::time::Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        busy.came(1 << 20);
        let _third = places.take(flow()).await;
        assert!(start.elapsed() >= PATIENCE && ending.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_ended_while_there_are_places() {
        let places = Places::new(2);
        let slow = flow();
        let _place = places.take(slow.clone()).await;
        slow.waits_for_room();
        tokio::time::advance(Duration::from_secs(1000)).await;
        let _second = places.take(flow()).await;
        assert!(timeout(Duration::from_secs(1), slow.exhausted(Duration::MAX)).await.is_err());
    }
}
