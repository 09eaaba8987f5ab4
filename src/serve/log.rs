//! The log of requests.

use std::sync::Arc;

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
    /// Why it failed, where that is the server's own matter and not told to the client.
    pub error: Option<String>,
}

/// Takes the log, line by line.
pub type Log = Arc<dyn Fn(&LogLine) + Send + Sync>;
