//! Work that is done once for all who ask for it before it begins, and by few at a time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OnceCell, Semaphore};

/// Forgotten keys are removed once there are so many.
const MOST: usize = 1024;

/// Work by key. Whoever asks after it has begun gets a result of their own, so that none is older than its question.
#[derive(Debug)]
pub(super) struct Flights<K, V> {
    waiting: Mutex<BTreeMap<K, Arc<OnceCell<Arc<V>>>>>,
    running: Semaphore,
}

impl<K: Ord + Clone, V> Flights<K, V> {
    /// With so much work at a time.
    pub(super) fn new(running: usize) -> Self {
        Self { waiting: Mutex::default(), running: Semaphore::new(running) }
    }

    /// The result of the work for this key. Of several who ask, one does it; if that one fails or goes away, the next.
    pub(super) async fn get<E>(&self, key: K, work: impl AsyncFnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        let cell = {
            let mut waiting = self.waiting();
            if waiting.len() >= MOST {
                waiting.retain(|_, cell| Arc::strong_count(cell) > 1);
            }
            Arc::clone(waiting.entry(key.clone()).or_default())
        };
        let done = cell.get_or_try_init(|| async {
            // Never closed.
            let _turn = self.running.acquire().await;
            self.begin(&key, &cell);
            work().await.map(Arc::new)
        });
        done.await.cloned()
    }

    /// Who asks from now on asks anew.
    fn begin(&self, key: &K, cell: &Arc<OnceCell<Arc<V>>>) {
        let mut waiting = self.waiting();
        if waiting.get(key).is_some_and(|known| Arc::ptr_eq(known, cell)) {
            waiting.remove(key);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<K, Arc<OnceCell<Arc<V>>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn what_many_ask_at_once_is_done_once_and_later_again() {
        let (flights, done) = (Flights::new(1), AtomicUsize::new(0));
        let ask = async |key| {
            let work = async || {
                tokio::task::yield_now().await;
                Ok::<_, ()>(done.fetch_add(1, Ordering::Relaxed))
            };
            *flights.get(key, work).await.unwrap()
        };
        let turn = flights.running.acquire().await.unwrap();
        let all = join_all((0..100).map(|_| ask("a")));
        let (all, ()) = tokio::join!(all, async { drop(turn) });
        assert_eq!(all, [0; 100]);
        assert_eq!((ask("a").await, ask("b").await), (1, 2));
        assert!(flights.waiting().is_empty());
    }

    #[tokio::test]
    async fn who_comes_after_the_begin_gets_what_is_newer() {
        let (flights, begun) = (Flights::new(2), tokio::sync::Notify::new());
        let first = flights.get("a", async || {
            begun.notify_one();
            tokio::task::yield_now().await;
            Ok::<_, ()>(1)
        });
        let second = async {
            begun.notified().await;
            flights.get("a", async || Ok::<_, ()>(2)).await
        };
        let (first, second) = tokio::join!(first, second);
        assert_eq!((*first.unwrap(), *second.unwrap()), (1, 2));
    }

    #[tokio::test]
    async fn a_failure_is_of_the_one_who_met_it() {
        let flights = Flights::<_, i32>::new(1);
        let fails = flights.get("a", async || Err("no"));
        let works = flights.get("a", async || Ok::<_, &str>(1));
        let (fails, works) = tokio::join!(fails, works);
        assert_eq!((fails.unwrap_err(), *works.unwrap()), ("no", 1));
    }
}
