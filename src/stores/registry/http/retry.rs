//! Retries and their delays: decided only here.
//!
//! The delay is random between zero and a limit that doubles ("full jitter"), so that clients that failed together do
//! not retry together. A delay requested by the registry (`Retry-After`, RFC 9110 section 10.2.3) takes precedence.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::failure::Failure;
use crate::{
    error::{Error, Result},
    progress::{Event, Observer},
    stores::registry::log,
};

/// After this much progress, in bytes, earlier failures no longer count. Some connections break that often; the total
/// budget ends hopeless retries.
const PROGRESS: u64 = 64 << 10;

/// The delay before retries.
#[derive(Debug, Clone)]
pub struct Backoff {
    /// Maximum first delay; it doubles with every further one.
    pub first: Duration,
    /// Maximum delay of our own choice.
    pub longest: Duration,
    /// Maximum delay that a registry may ask for; more is an error.
    pub obeyed: Duration,
    /// Total delay of one client, however many requests wait at the same time.
    pub budget: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            obeyed: Duration::from_secs(300),
            budget: Duration::from_secs(600),
        }
    }
}

/// The remaining retries of a client.
pub(super) struct Retry {
    retries: u32,
    backoff: Backoff,
    progress: Observer,
    spent: Mutex<Spent>,
}

/// Total waiting time of the client; simultaneous waits count once.
#[derive(Default)]
struct Spent {
    all: Duration,
    until: Option<Instant>,
}

impl Spent {
    /// Adds a wait that starts now; `false` if the budget does not permit it.
    fn add(&mut self, wait: Duration, budget: Duration) -> bool {
        let now = Instant::now();
        let end = now + wait;
        let more = end.saturating_duration_since(self.until.map_or(now, |until| until.max(now)));
        let fits = self.all.saturating_add(more) <= budget;
        if fits {
            self.all += more;
            self.until = self.until.max(Some(end));
        }
        fits
    }
}

impl Retry {
    pub(super) fn new(retries: u32, backoff: Backoff, progress: Observer) -> Arc<Self> {
        Arc::new(Self { retries, backoff, progress, spent: Mutex::default() })
    }

    /// Starts a series of attempts.
    pub(super) fn attempts(self: &Arc<Self>) -> Attempts {
        Attempts { retry: Arc::clone(self), failed: 0, moved: 0, hurried: false }
    }

    /// The delay after this many failures.
    fn delay(&self, failed: u32, asked: Option<Duration>) -> Duration {
        let ceiling = self.backoff.first.saturating_mul(1 << failed.min(20)).min(self.backoff.longest);
        ceiling.mul_f64(random()).max(asked.unwrap_or_default())
    }

    async fn wait(&self, wait: Duration, error: Error) -> Result<()> {
        if !self.spent.lock().unwrap_or_else(PoisonError::into_inner).add(wait, self.backoff.budget) {
            let budget = self.backoff.budget.as_secs();
            return Err(error.context(format!("gave up: retries may wait {budget} s in total")));
        }
        log::retry(&error, wait);
        let why = error.to_string();
        self.progress.tell(Event::Waiting { why: why.clone(), time: wait });
        tokio::time::sleep(wait).await;
        self.progress.tell(Event::Retried { why });
        Ok(())
    }
}

/// A number from zero to one, from the process's seeds for hash maps, which is random enough to spread requests.
fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

/// A series of attempts, with a count of failures.
pub(in crate::stores::registry) struct Attempts {
    retry: Arc<Retry>,
    failed: u32,
    moved: u64,
    hurried: bool,
}

impl Attempts {
    /// Records that an attempt moved this many bytes.
    pub(in crate::stores::registry) fn moved(&mut self, bytes: u64) {
        self.moved = self.moved.saturating_add(bytes);
        if self.moved >= PROGRESS {
            (self.failed, self.moved, self.hurried) = (0, 0, false);
        }
    }

    /// Sends a progress event.
    pub(in crate::stores::registry) fn tell(&self, event: Event) {
        self.retry.progress.tell(event);
    }

    /// Waits until the next attempt. Errors: the failure itself, if there is no retry.
    pub(in crate::stores::registry) async fn again(&mut self, failure: Failure) -> Result<()> {
        let (error, asked, retries) = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Passing { stale: true, error, .. } if !std::mem::replace(&mut self.hurried, true) => {
                log::stale(&error);
                return Ok(());
            }
            Failure::Passing { error, asked, quota: true, .. } => (error, asked, self.retry.retries.min(1)),
            Failure::Passing { error, asked, .. } => (error, asked, self.retry.retries),
        };
        if asked.is_some_and(|asked| asked > self.retry.backoff.obeyed) {
            return Err(error);
        }
        if self.failed >= retries {
            let attempts = self.failed + 1;
            return Err(if attempts == 1 { error } else { error.context(format!("after {attempts} attempts")) });
        }
        let wait = self.retry.delay(self.failed, asked);
        self.failed += 1;
        self.moved = 0;
        self.retry.wait(wait, error).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::Kind, progress::Progress};

    fn failure() -> Failure {
        Failure::passing(Error::new(Kind::Unavailable, "503"))
    }

    fn asking(seconds: u64) -> Failure {
        let error = Error::new(Kind::Unavailable, "asks to wait");
        Failure::Passing { error, asked: Some(Duration::from_secs(seconds)), stale: false, quota: false }
    }

    fn retry() -> Arc<Retry> {
        Retry::new(5, Backoff::default(), Observer::default())
    }

    #[tokio::test(start_paused = true)]
    async fn six_attempts_wait_less_than_the_ceiling_that_doubles() {
        let (mut attempts, start) = (retry().attempts(), Instant::now());
        for failed in 0..5 {
            let before = Instant::now();
            attempts.again(failure()).await.unwrap();
            assert!(before.elapsed() <= Duration::from_millis(500 << failed) + Duration::from_millis(1));
        }
        let error = attempts.again(failure()).await.unwrap_err();
        assert_eq!(error.to_string(), "after 6 attempts: 503");
        assert!(start.elapsed() <= Duration::from_millis(15_600));
    }

    #[test]
    fn no_wait_of_our_own_is_longer_than_thirty_seconds_and_all_lengths_occur() {
        let retry = retry();
        let waits: Vec<Duration> = (0..1000).map(|_| retry.delay(30, None)).collect();
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(30)));
        for bound in [3, 15, 27] {
            let below = waits.iter().filter(|wait| **wait < Duration::from_secs(bound)).count();
            assert!((1..1000).contains(&below), "{below} below {bound} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn progress_makes_earlier_failures_forgotten() {
        let mut attempts = retry().attempts();
        for _ in 0..20 {
            attempts.again(failure()).await.unwrap();
            attempts.moved(PROGRESS / 2);
            attempts.moved(PROGRESS / 2);
        }
        for _ in 0..5 {
            attempts.moved(PROGRESS - 1);
            attempts.again(failure()).await.unwrap();
        }
        assert!(attempts.again(failure()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_names_a_delay_gets_it_up_to_five_minutes() {
        let (mut attempts, start) = (retry().attempts(), Instant::now());
        attempts.again(asking(300)).await.unwrap();
        assert!(start.elapsed() >= Duration::from_secs(300));
        let start = Instant::now();
        assert_eq!(attempts.again(asking(301)).await.unwrap_err().to_string(), "asks to wait");
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_waits_ten_minutes_in_all_and_waits_at_the_same_time_count_once() {
        let (retry, start) = (retry(), Instant::now());
        let mut steps: Vec<Attempts> = (0..6).map(|_| retry.attempts()).collect();
        for _ in 0..2 {
            let all = steps.iter_mut().map(|attempts| attempts.again(asking(300)));
            assert!(futures_util::future::join_all(all).await.iter().all(Result::is_ok));
        }
        assert!(start.elapsed() < Duration::from_secs(601));
        let error = retry.attempts().again(asking(1)).await.unwrap_err().to_string();
        assert_eq!(error, "gave up: retries may wait 600 s in total: asks to wait");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stale_connection_costs_no_wait_once_and_what_is_final_no_attempt() {
        let stale =
            || Failure::Passing { error: Error::new(Kind::Unavailable, "x"), asked: None, stale: true, quota: false };
        let retry_never = Retry::new(0, Backoff::default(), Observer::default());
        let (mut attempts, start) = (retry_never.attempts(), Instant::now());
        attempts.again(stale()).await.unwrap();
        assert_eq!(attempts.again(stale()).await.unwrap_err().to_string(), "x");
        assert!(retry().attempts().again(Failure::Final(Error::invalid("no"))).await.is_err());
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn every_wait_is_told_before_it_begins_and_every_attempt_after_it() {
        struct Waits(Mutex<Vec<String>>, Instant);
        impl Progress for Waits {
            fn event(&self, event: Event) {
                self.0.lock().unwrap().push(format!("{} s: {event:?}", self.1.elapsed().as_secs()));
            }
        }
        let waits = Arc::new(Waits(Mutex::default(), Instant::now()));
        let progress = Observer::new(Arc::clone(&waits) as Arc<dyn Progress>);
        Retry::new(5, Backoff::default(), progress.clone()).attempts().again(asking(7)).await.unwrap();
        let waiting = "0 s: Waiting { why: \"asks to wait\", time: 7s }";
        assert_eq!(*waits.0.lock().unwrap(), [waiting, "7 s: Retried { why: \"asks to wait\" }"]);
        assert_eq!(progress.counts().retried, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_quota_that_is_used_up_gets_one_more_attempt() {
        let used_up =
            || Failure::Passing { error: Error::new(Kind::Unavailable, "429"), asked: None, stale: false, quota: true };
        let mut attempts = retry().attempts();
        attempts.again(used_up()).await.unwrap();
        assert_eq!(attempts.again(used_up()).await.unwrap_err().to_string(), "after 2 attempts: 429");
    }
}
