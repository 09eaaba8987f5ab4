//! How much a client, or all clients together, may take.

use std::time::Duration;

/// What one client, or all of them, may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; more wait to be accepted.
    pub connections: usize,
    /// How long the head of a request may take, and how long a connection may stay open between two requests.
    pub head: Duration,
    /// How long a connection may stay open without a byte moving.
    pub stall: Duration,
    /// Upload sessions at a time; more are refused with 429.
    pub sessions: usize,
    /// How long an upload session is kept without a request.
    pub session: Duration,
    /// Largest blob that is taken, in bytes.
    pub blob: u64,
    /// How long requests in flight may take to finish when the server stops.
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
