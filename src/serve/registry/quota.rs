//! The size of all repositories together, and its limit.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::reply::Refusal;
use crate::{
    error::{Result, ServerCode},
    serve::repositories::Repositories,
};

/// Measuring takes at most this part of the time.
const SHARE: u32 = 10;
/// Shortest time between two measurements.
const INTERVAL: Duration = Duration::from_secs(1);

/// A limit for all content. What is stored is measured before the first write, and again before a write is refused;
/// in between, what comes is added.
pub(super) struct Quota {
    most: u64,
    repositories: Arc<dyn Repositories>,
    state: Mutex<State>,
    measuring: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    stored: u64,
    /// What came to be stored since the last measurement began: it may have missed that.
    since: u64,
    /// Unfinished content.
    pending: u64,
    /// When the last measurement ended, and how long it took.
    measured: Option<(Instant, Duration)>,
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quota").field("most", &self.most).field("state", &self.state).finish_non_exhaustive()
    }
}

impl Quota {
    /// At most this number of bytes.
    pub(super) fn new(most: u64, repositories: Arc<dyn Repositories>) -> Arc<Self> {
        Arc::new(Self { most, repositories, state: Mutex::default(), measuring: tokio::sync::Mutex::default() })
    }

    /// Room for content that has not come yet.
    pub(super) fn reserve(self: &Arc<Self>) -> Reserved {
        Reserved { quota: Arc::clone(self), bytes: 0 }
    }

    /// Content was removed.
    pub(super) fn removed(&self, bytes: u64) {
        let mut state = self.state();
        state.stored = state.stored.saturating_sub(bytes);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds pending bytes, if there is room and it is known how much.
    fn add(&self, bytes: u64) -> bool {
        let mut state = self.state();
        let all = state.stored.saturating_add(state.pending).saturating_add(bytes);
        let fits = state.measured.is_some() && all <= self.most;
        state.pending = if fits { state.pending.saturating_add(bytes) } else { state.pending };
        fits
    }

    async fn take(&self, bytes: u64) -> Result<(), Refusal> {
        if self.most == u64::MAX || self.add(bytes) {
            return Ok(());
        }
        let _alone = self.measuring.lock().await;
        if self.add(bytes)
            || (self.is_stale() && {
                self.measure().await?;
                self.add(bytes)
            })
        {
            return Ok(());
        }
        Err(self.refusal())
    }

    fn is_stale(&self) -> bool {
        let measured = self.state().measured;
        measured.is_none_or(|(at, took)| at.elapsed() >= INTERVAL.max(took.saturating_mul(SHARE)))
    }

    async fn measure(&self) -> Result<()> {
        let start = Instant::now();
        self.state().since = 0;
        let stored = self.repositories.usage().await?;
        let mut state = self.state();
        // Where it cannot be measured, what came counts.
        state.stored = stored.map_or(state.stored, |stored| stored.saturating_add(state.since));
        state.measured = Some((Instant::now(), start.elapsed()));
        Ok(())
    }

    fn refusal(&self) -> Refusal {
        let message = format!("the registry is full: its limit for all content is {} bytes", self.most);
        Refusal::new(ServerCode::QuotaExceeded, message).status(507)
    }
}

/// Room for content on its way; given back when dropped.
#[derive(Debug)]
pub(super) struct Reserved {
    quota: Arc<Quota>,
    bytes: u64,
}

impl Reserved {
    /// More room. Errors: there is none.
    pub(super) async fn grow(&mut self, bytes: u64) -> Result<(), Refusal> {
        self.quota.take(bytes).await?;
        self.bytes = self.bytes.saturating_add(bytes);
        Ok(())
    }

    /// The content is stored.
    pub(super) fn keep(self) {
        let mut state = self.quota.state();
        state.stored = state.stored.saturating_add(self.bytes);
        state.since = state.since.saturating_add(self.bytes);
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut state = self.quota.state();
        state.pending = state.pending.saturating_sub(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use tokio::sync::Notify;

    use super::*;
    use crate::{
        oci::RepositoryName,
        serve::InMemory,
        store::{ReadStore, Store},
    };

    /// Repositories whose measurement takes until it is let go.
    #[derive(Default)]
    struct Slow {
        begun: Notify,
        release: Notify,
    }

    impl fmt::Display for Slow {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("slow")
        }
    }

    #[async_trait]
    impl Repositories for Slow {
        async fn get(&self, _: &RepositoryName) -> Result<Option<Arc<dyn ReadStore>>> {
            unreachable!()
        }

        async fn create(&self, _: &RepositoryName) -> Result<Arc<dyn Store>> {
            unreachable!()
        }

        async fn names(&self) -> Result<Vec<RepositoryName>> {
            unreachable!()
        }

        async fn usage(&self) -> Result<Option<u64>> {
            self.begun.notify_one();
            self.release.notified().await;
            Ok(Some(10))
        }
    }

    #[tokio::test]
    async fn what_comes_while_it_is_measured_counts() {
        let slow = Arc::new(Slow::default());
        let quota = Quota::new(100, Arc::clone(&slow) as Arc<dyn Repositories>);
        slow.release.notify_one();
        let mut coming = quota.reserve();
        coming.grow(60).await.unwrap();
        slow.begun.notified().await;
        let measuring = quota.measure();
        let keeping = async {
            slow.begun.notified().await;
            coming.keep();
            slow.release.notify_one();
        };
        let (measured, ()) = tokio::join!(measuring, keeping);
        measured.unwrap();
        assert_eq!(quota.state().stored, 70);
    }

    #[tokio::test]
    async fn what_is_unfinished_counts_until_it_is_given_up() {
        let quota = Quota::new(100, Arc::new(InMemory::new()));
        let (mut one, mut two) = (quota.reserve(), quota.reserve());
        one.grow(60).await.unwrap();
        assert_eq!(two.grow(41).await.unwrap_err().code, ServerCode::QuotaExceeded);
        two.grow(40).await.unwrap();
        drop(one);
        two.grow(60).await.unwrap();
        two.keep();
        assert!(quota.reserve().grow(1).await.is_err());
        quota.removed(10);
        assert!(quota.reserve().grow(10).await.is_ok());
    }

    #[tokio::test]
    async fn without_a_limit_nothing_is_measured() {
        let quota = Quota::new(u64::MAX, Arc::new(InMemory::new()));
        quota.reserve().grow(u64::MAX).await.unwrap();
        assert!(quota.state().measured.is_none());
    }
}
