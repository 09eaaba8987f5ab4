//! Monitors connections and their requests, for the log and to end stalled ones.

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

/// The log entry of one request, written on drop.
pub(super) struct Entry {
    pub(super) line: LogLine,
    start: Instant,
    log: Option<Log>,
}

impl Entry {
    /// An entry for a new request.
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

/// The time of a connection's last transfer.
#[derive(Debug, Clone)]
pub(super) struct Activity {
    since: Instant,
    last: Arc<AtomicU64>,
}

impl Activity {
    /// The activity of a new connection.
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), last: Arc::default() }
    }

    /// Records a transfer.
    pub(super) fn touch(&self) {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// Returns after this time without a transfer.
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
