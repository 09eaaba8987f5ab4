//! Limits for clients.

use std::time::Duration;

/// Limits for one client, or for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Concurrent connections; more wait to be accepted.
    pub connections: usize,
    /// Time limit for the head of a request, and for an idle connection between two requests.
    pub head: Duration,
    /// Time limit for a connection without data transfer.
    pub stall: Duration,
    /// Concurrent upload sessions; more are refused with 429.
    pub sessions: usize,
    /// Time limit for an upload session without requests.
    pub session: Duration,
    /// Size limit of an uploaded blob, in bytes.
    pub blob: u64,
    /// Time limit for open requests when the server stops.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            head: Duration::from_secs(30),
            stall: Duration::from_secs(300),
            sessions: 256,
            session: Duration::from_secs(3600),
            blob: u64::MAX,
            grace: Duration::from_secs(10),
        }
    }
}
