//! What is known about a connection and its requests while they run: for the log, and to end what stalls.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::serve::log::{Log, LogLine};

/// The entry of one request: written to the log when it is dropped.
pub(super) struct Entry {
    pub(super) line: LogLine,
    start: Instant,
    log: Option<Log>,
}

impl Entry {
    /// The entry of a request that has just been read.
    pub(super) fn new<B>(request: &http::Request<B>, log: Option<Log>) -> Self {
        let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
        let method = request.method().to_string();
        let line = LogLine { method, path, status: 0, bytes: 0, micros: 0, error: None };
        Self { line, start: Instant::now(), log }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(log) = &self.log {
            self.line.micros = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
            log(&self.line);
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.line.fmt(f)
    }
}

/// When a connection last moved a byte.
#[derive(Debug, Clone)]
pub(super) struct Activity {
    since: Instant,
    last: Arc<AtomicU64>,
}

impl Activity {
    /// The activity of a connection that has just been made.
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), last: Arc::default() }
    }

    /// Notes that a byte moved.
    pub(super) fn touch(&self) {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// Returns when no byte has moved for this long.
    pub(super) async fn stalled(&self, limit: Duration) {
        loop {
            let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
            let idle = self.since.elapsed().saturating_sub(last);
            if idle >= limit {
                return;
            }
            tokio::time::sleep(limit - idle).await;
        }
    }
}
