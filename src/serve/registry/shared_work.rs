//! Work that is done once for all who ask for it before it begins, and by few at a time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OnceCell, Semaphore};

use super::turns::Turns;

/// Forgotten keys are removed once there are so many.
const MOST: usize = 1024;

/// Results to come.
type Waiting<G, K, V> = BTreeMap<(G, K), Arc<OnceCell<Arc<V>>>>;

/// Work by group and key. It is shared by those who ask before it begins; who asks later shares the next, so that no
/// result is older than its question. Of a group, one runs at a time: a slow one keeps no other group waiting.
#[derive(Debug)]
pub(super) struct SharedWork<G, K, V> {
    waiting: Mutex<Waiting<G, K, V>>,
    groups: Turns<G>,
    running: Semaphore,
}

impl<G: Ord + Clone, K: Ord + Clone, V> SharedWork<G, K, V> {
    /// With so much work at a time, of all groups together.
    pub(super) fn new(running: usize) -> Self {
        Self { waiting: Mutex::default(), groups: Turns::new(), running: Semaphore::new(running) }
    }

    /// The result of the work for this key. Of several who ask, one does it; if that one fails or goes away, the next.
    pub(super) async fn get<E>(&self, group: G, key: K, work: impl AsyncFnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        let key = (group, key);
        let cell = {
            let mut waiting = self.waiting();
            if waiting.len() >= MOST {
                waiting.retain(|_, cell| Arc::strong_count(cell) > 1);
            }
            Arc::clone(waiting.entry(key.clone()).or_default())
        };
        let done = cell.get_or_try_init(|| async {
            let _own = self.groups.take(key.0.clone()).await;
            // Never closed.
            let _turn = self.running.acquire().await;
            self.begin(&key, &cell);
            work().await.map(Arc::new)
        });
        done.await.cloned()
    }

    /// Who asks from now on asks anew.
    fn begin(&self, key: &(G, K), cell: &Arc<OnceCell<Arc<V>>>) {
        let mut waiting = self.waiting();
        if waiting.get(key).is_some_and(|known| Arc::ptr_eq(known, cell)) {
            waiting.remove(key);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<G, K, V>> {
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
        let (shared, done) = (SharedWork::new(1), AtomicUsize::new(0));
        let ask = async |key| {
            let work = async || {
                tokio::task::yield_now().await;
                Ok::<_, ()>(done.fetch_add(1, Ordering::Relaxed))
            };
            *shared.get((), key, work).await.unwrap()
        };
        let turn = shared.running.acquire().await.unwrap();
        let all = join_all((0..100).map(|_| ask("a")));
        let (all, ()) = tokio::join!(all, async { drop(turn) });
        assert_eq!(all, [0; 100]);
        assert_eq!((ask("a").await, ask("b").await), (1, 2));
        assert!(shared.waiting().is_empty());
    }

    #[tokio::test]
    async fn who_comes_after_the_begin_gets_what_is_newer() {
        let (shared, begun) = (SharedWork::new(2), tokio::sync::Notify::new());
        let first = shared.get((), "a", async || {
            begun.notify_one();
            tokio::task::yield_now().await;
            Ok::<_, ()>(1)
        });
        let second = async {
            begun.notified().await;
            shared.get((), "a", async || Ok::<_, ()>(2)).await
        };
        let (first, second) = tokio::join!(first, second);
        assert_eq!((*first.unwrap(), *second.unwrap()), (1, 2));
    }

    #[tokio::test]
    async fn a_slow_group_keeps_no_other_waiting_however_much_is_asked_of_it() {
        let (shared, slow) = (SharedWork::new(2), tokio::sync::Notify::new());
        let held = async || {
            slow.notified().await;
            Ok::<_, ()>(1)
        };
        let mut asked = Box::pin(join_all((0..9).map(|key| shared.get("slow", key, &held))));
        assert!(futures_util::poll!(&mut asked).is_pending());
        assert_eq!(*shared.get("quick", 0, async || Ok::<_, ()>(2)).await.unwrap(), 2);
        let wake = async {
            for _ in 0..9 {
                slow.notify_one();
                tokio::task::yield_now().await;
            }
        };
        assert_eq!(tokio::join!(asked, wake).0.len(), 9);
    }

    #[tokio::test]
    async fn a_failure_is_of_the_one_who_met_it() {
        let shared = SharedWork::<_, _, i32>::new(1);
        let fails = shared.get((), "a", async || Err("no"));
        let works = shared.get((), "a", async || Ok::<_, &str>(1));
        let (fails, works) = tokio::join!(fails, works);
        assert_eq!((fails.unwrap_err(), *works.unwrap()), ("no", 1));
    }
}
