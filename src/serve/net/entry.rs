//! The entry of one request in the log.

use std::fmt;

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
