//! What is known about a request while it runs: for the log, and for the watch over stalled connections.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::error::Error;

/// One finished request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The method, as the client sent it.
    pub method: String,
    /// Path and query, as the client sent them: escape them before they reach a terminal.
    pub path: String,
    /// The status of the response.
    pub status: u16,
    /// Bytes of the response's body that were handed to the connection.
    pub bytes: u64,
    /// From the end of the request's head to the end of the response, in microseconds.
    pub micros: u64,
    /// Why it failed, where that is the registry's own matter and not told to the client.
    pub error: Option<String>,
}

/// Takes the log, line by line.
pub type Log = Arc<dyn Fn(&LogLine) + Send + Sync>;

/// The entry of one request: written to the log when it is dropped.
pub(crate) struct Entry {
    line: LogLine,
    start: Instant,
    log: Option<Log>,
    activity: Activity,
}

impl Entry {
    /// The entry of a request that has just been read.
    pub(in crate::serve) fn new<B>(request: &http::Request<B>, log: Option<Log>, activity: Activity) -> Self {
        activity.touch();
        let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
        let method = request.method().to_string();
        let line = LogLine { method, path, status: 0, bytes: 0, micros: 0, error: None };
        Self { line, start: Instant::now(), log, activity }
    }

    /// Notes how the request was answered.
    pub(in crate::serve) fn answered(&mut self, status: u16, cause: Option<String>) {
        self.line.status = status;
        self.line.error = cause;
    }

    /// Notes bytes that went out.
    pub(in crate::serve) fn sent(&mut self, bytes: usize) {
        self.activity.touch();
        self.line.bytes = self.line.bytes.saturating_add(bytes as u64);
    }

    /// Notes why the body was cut short.
    pub(in crate::serve) fn failed(&mut self, error: &Error) {
        self.line.error = Some(error.to_string());
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
pub(crate) struct Activity {
    since: Instant,
    last: Arc<AtomicU64>,
}

impl Activity {
    /// A connection that has just been made.
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), last: Arc::default() }
    }

    /// It moved.
    pub(in crate::serve) fn touch(&self) {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// Returns when it has not moved for this long.
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
