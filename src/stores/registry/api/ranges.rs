//! When a blob is downloaded over several connections.

/// When a blob is downloaded over several connections, and how.
///
/// Of one client, one blob at a time is: so there are at most `streams * segment` bytes in memory that are not yet
/// wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranges {
    /// The least that must be missing of the blob, in bytes.
    pub least: u64,
    /// The speed in bytes per second from which on one connection is enough. Only time spent waiting counts.
    pub fast: u64,
    /// How many bytes one connection fetches at a time. After as many, the speed is looked at.
    pub segment: u64,
    /// How many connections there are then; fewer than two: never more than one.
    pub streams: usize,
}

impl Default for Ranges {
    /// From 64 MiB on, below 48 MiB a second: 4 connections, 2 MiB each.
    fn default() -> Self {
        Self { least: 64 << 20, fast: 48 << 20, segment: 2 << 20, streams: 4 }
    }
}
