//! What a connection and its client owe each other: how long the server has waited for the client, and how much of a
//! response the client has yet to take.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::{sync::Notify, time::Instant};

/// A response body gives its next chunk once less than this is left of the ones before, in bytes: a client that does
/// not read holds one chunk, and the socket of one that does never runs dry.
const LOW: u64 = 16 << 10;

/// The state of one connection, shared by its stream, its bodies, and the server.
#[derive(Debug, Clone)]
pub(super) struct Flow(Arc<State>);

#[derive(Debug)]
struct State {
    /// The least rate of a body, in bytes per second.
    rate: u64,
    since: Instant,
    /// For the head or the body of a request.
    reading: Wait,
    /// For room in the socket.
    writing: Wait,
    /// Bytes of the response that the stream has not taken yet.
    left: AtomicU64,
    /// A response is complete, but the stream has not taken all of it.
    ends: AtomicBool,
    room: AtomicWaker,
    end: Notify,
}

/// Time spent waiting for a client beyond what the least rate allows, in milliseconds. Only the connection changes it.
#[derive(Debug, Default)]
struct Wait {
    lost: AtomicU64,
    /// When the current wait began, plus one; 0 if there is none.
    began: AtomicU64,
}

impl Wait {
    fn begin(&self, now: impl FnOnce() -> u64) {
        if self.began.load(Ordering::Relaxed) == 0 {
            self.began.store(now().saturating_add(1), Ordering::Relaxed);
        }
    }

    fn end(&self, gained: u64, now: impl FnOnce() -> u64) {
        let (began, lost) = (self.began.load(Ordering::Relaxed), self.lost.load(Ordering::Relaxed));
        if began > 0 || lost > 0 {
            let waited = if began > 0 { now().saturating_add(1).saturating_sub(began) } else { 0 };
            self.lost.store(lost.saturating_add(waited).saturating_sub(gained), Ordering::Relaxed);
            self.began.store(0, Ordering::Relaxed);
        }
    }

    fn forget(&self) {
        self.lost.store(0, Ordering::Relaxed);
        self.began.store(0, Ordering::Relaxed);
    }

    fn lost(&self, now: u64) -> u64 {
        let began = self.began.load(Ordering::Relaxed);
        let waiting = if began > 0 { now.saturating_add(1).saturating_sub(began) } else { 0 };
        self.lost.load(Ordering::Relaxed).saturating_add(waiting)
    }
}

impl Flow {
    /// The flow of a new connection, which waits for its first request. `rate`: see [`Limits::rate`].
    ///
    /// [`Limits::rate`]: crate::serve::Limits::rate
    pub(super) fn new(rate: u64) -> Self {
        let flow = Self(Arc::new(State {
            rate: rate.max(1),
            since: Instant::now(),
            reading: Wait::default(),
            writing: Wait::default(),
            left: AtomicU64::new(0),
            ends: AtomicBool::new(false),
            room: AtomicWaker::new(),
            end: Notify::new(),
        }));
        flow.waits_for_client();
        flow
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The time that these bytes may take, in milliseconds.
    fn gained(&self, bytes: usize) -> u64 {
        (bytes as u64).saturating_mul(1000) / self.0.rate
    }

    /// A request has come, or a response is ready: what was lost before does not count.
    pub(super) fn starts(&self) {
        self.0.reading.forget();
        self.0.writing.forget();
    }

    /// A response begins: what is left of the one before does not count.
    pub(super) fn responds(&self) {
        self.0.ends.store(false, Ordering::Relaxed);
        self.0.left.store(0, Ordering::Relaxed);
    }

    /// A response is complete: the server waits for the next request once the stream has taken what is left.
    pub(super) fn completes(&self) {
        match self.0.left.load(Ordering::Relaxed) {
            0 => self.waits_for_client(),
            _ => self.0.ends.store(true, Ordering::Relaxed),
        }
    }

    /// The server waits for the head or the body of a request.
    pub(super) fn waits_for_client(&self) {
        self.0.reading.begin(|| self.now());
    }

    /// Bytes of a body came.
    pub(super) fn came(&self, bytes: usize) {
        self.0.reading.end(self.gained(bytes), || self.now());
    }

    /// The socket is full.
    pub(super) fn waits_for_room(&self) {
        self.0.writing.begin(|| self.now());
    }

    /// The socket took bytes.
    pub(super) fn went(&self, bytes: usize) {
        self.0.writing.end(self.gained(bytes), || self.now());
        let before = self.0.left.load(Ordering::Relaxed);
        let left = before.saturating_sub(bytes as u64);
        self.0.left.store(left, Ordering::Relaxed);
        if before >= LOW && left < LOW {
            self.0.room.wake();
        }
        if left == 0 && self.0.ends.swap(false, Ordering::Relaxed) {
            self.waits_for_client();
        }
    }

    /// Ready once the client has taken almost all of what it was given.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        if self.0.left.load(Ordering::Relaxed) < LOW {
            return Poll::Ready(());
        }
        // The same task writes to the stream, so nothing can be taken in between.
        self.0.room.register(cx.waker());
        Poll::Pending
    }

    /// A chunk of a response goes to the stream.
    pub(super) fn gives(&self, bytes: usize) {
        self.0.left.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The time lost on the client so far.
    pub(super) fn lost(&self) -> Duration {
        let now = self.now();
        Duration::from_millis(self.0.reading.lost(now).max(self.0.writing.lost(now)))
    }

    /// Returns once more time than this is lost, or the server has ended the connection.
    pub(super) async fn exhausted(&self, limit: Duration) {
        let slow = async {
            loop {
                let lost = self.lost();
                if lost >= limit {
                    return;
                }
                tokio::time::sleep(limit.saturating_sub(lost)).await;
            }
        };
        tokio::select! {
            () = slow => {}
            () = self.ended() => {}
        }
    }

    /// Returns once the server has ended the connection.
    pub(super) async fn ended(&self) {
        self.0.end.notified().await;
    }

    /// Ends the connection.
    pub(super) fn end(&self) {
        self.0.end.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_at_the_least_rate_loses_nothing_however_large_its_steps() {
        let flow = Flow::new(1024);
        flow.starts();
        for _ in 0..10 {
            flow.waits_for_room();
            pass(64).await;
            assert_eq!(flow.lost(), Duration::from_secs(64));
            flow.went(64 << 10);
            assert_eq!(flow.lost(), Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_now_and_then_is_not_enough() {
        let flow = Flow::new(1024);
        flow.starts();
        let exhausted = tokio::spawn({
            let flow = flow.clone();
            async move { flow.exhausted(Duration::from_secs(60)).await }
        });
        for at in 0..7 {
            assert!(!exhausted.is_finished(), "{at}");
            flow.waits_for_client();
            tokio::time::sleep(Duration::from_secs(10)).await;
            flow.came(1);
        }
        exhausted.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_fast_is_no_credit_and_the_time_of_the_server_does_not_count() {
        let flow = Flow::new(1024);
        flow.starts();
        flow.came(100 << 20);
        pass(1000).await;
        assert_eq!(flow.lost(), Duration::ZERO);
        flow.waits_for_client();
        pass(30).await;
        assert_eq!(flow.lost(), Duration::from_secs(30));
        flow.starts();
        assert_eq!(flow.lost(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_request_is_waited_for_once_the_last_answer_is_taken() {
        let flow = Flow::new(1024);
        flow.starts();
        flow.responds();
        flow.gives(256 << 10);
        flow.completes();
        for _ in 0..4 {
            flow.waits_for_room();
            pass(32).await;
            assert_eq!(flow.lost(), Duration::from_secs(32), "twice the least rate");
            flow.went(64 << 10);
            assert_eq!(flow.lost(), Duration::ZERO);
        }
        pass(5).await;
        assert_eq!(flow.lost(), Duration::from_secs(5));
        flow.starts();
        flow.responds();
        flow.completes();
        pass(5).await;
        assert_eq!(flow.lost(), Duration::from_secs(5), "an empty answer is taken at once");
    }

    #[test]
    fn the_next_chunk_waits_until_the_last_is_taken() {
        let (flow, cx) = (Flow::new(1), Context::from_waker(Waker::noop()));
        assert!(flow.poll_room(&cx).is_ready());
        flow.gives(256 << 10);
        assert!(flow.poll_room(&cx).is_pending());
        flow.went(200 << 10);
        assert!(flow.poll_room(&cx).is_pending());
        flow.went(50 << 10);
        assert!(flow.poll_room(&cx).is_ready());
    }
}
