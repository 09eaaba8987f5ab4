//! Limits for clients.

use std::time::Duration;

/// Limits for one client, or for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Concurrent connections; more wait to be accepted, and after a while take the place of the slowest.
    pub connections: usize,
    /// Time limit for the head of a request, for an idle connection between two requests, and for a handshake.
    pub head: Duration,
    /// The least rate of the body of a request or response, in bytes per second.
    pub rate: u64,
    /// Time limit for waiting for a client beyond what the least rate allows.
    pub stall: Duration,
    /// Concurrent unfinished uploads. Of those of one client, and of the client with most of them, the one that has
    /// been idle for longest makes room for a new one; if all are busy, the new one is refused with 429.
    pub uploads: usize,
    /// Time limit for an unfinished upload without requests.
    pub upload: Duration,
    /// Size limit of an uploaded blob, in bytes.
    pub blob: u64,
    /// Size limit of all repositories together, with unfinished uploads, in bytes. Content beyond it is refused with
    /// 507.
    pub quota: u64,
    /// Time limit for open requests when the server stops.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            head: Duration::from_secs(30),
            rate: 1 << 10,
            stall: Duration::from_secs(120),
            uploads: 256,
            upload: Duration::from_secs(3600),
            blob: u64::MAX,
            quota: u64::MAX,
            grace: Duration::from_millis(500),
        }
    }
}
