//! Turns: one at a time of each sort, so that what is slow of one keeps no other waiting.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One turn at a time for each key.
#[derive(Debug)]
pub(super) struct Turns<K>(Mutex<BTreeMap<K, Arc<Semaphore>>>);

/// A turn, over when dropped.
pub(super) type Turn = OwnedSemaphorePermit;

impl<K: Ord> Turns<K> {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// Waits for the turn of this key. `None` never happens: nobody closes it.
    pub(super) async fn take(&self, key: K) -> Option<Turn> {
        self.of(key).acquire_owned().await.ok()
    }

    /// The turn of this key. Those that nobody has or waits for are forgotten.
    fn of(&self, key: K) -> Arc<Semaphore> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(key).or_insert_with(|| Arc::new(Semaphore::new(1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_for_one_key_keeps_no_other_waiting_and_nothing_is_remembered() {
        let turns = Turns::new();
        let first = turns.take("a").await;
        let mut second = Box::pin(turns.take("a"));
        assert!(futures_util::poll!(&mut second).is_pending());
        assert!(turns.take("b").await.is_some());
        drop(first);
        assert!(second.await.is_some());
        turns.of("c");
        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }
}
