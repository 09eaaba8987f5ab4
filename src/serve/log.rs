//! The log of requests.

use std::sync::Arc;

/// One finished request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The method as sent by the client.
    pub method: String,
    /// Path and query as sent by the client; escape them before printing.
    pub path: String,
    /// The status of the response.
    pub status: u16,
    /// Bytes of the response's body passed to the connection.
    pub bytes: u64,
    /// Time from the end of the request's head to the end of the response, in microseconds.
    pub micros: u64,
    /// The cause of a failure that is hidden from the client.
    pub error: Option<String>,
}

/// Receiver of log lines.
pub type Log = Arc<dyn Fn(&LogLine) + Send + Sync>;
