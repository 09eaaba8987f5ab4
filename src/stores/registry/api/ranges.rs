//! Conditions for downloading a blob over several connections.

/// Conditions for downloading a blob over several connections.
///
/// Each client does so for one blob at a time, so at most `streams * segment` bytes are in memory ahead of their
/// reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranges {
    /// Minimum number of missing bytes of the blob.
    pub least: u64,
    /// The speed, in bytes per second, from which one connection is enough. Only time spent waiting counts.
    pub fast: u64,
    /// How many bytes one connection fetches at a time. The speed is checked after as many bytes.
    pub segment: u64,
    /// Number of connections; below two, there is never more than one.
    pub streams: usize,
}

impl Default for Ranges {
    /// From 64 MiB, below 48 MiB a second: 4 connections, 2 MiB each.
    fn default() -> Self {
        Self { least: 64 << 20, fast: 48 << 20, segment: 2 << 20, streams: 4 }
    }
}
