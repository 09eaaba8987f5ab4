//! Serves content: reads files ahead into buffers, and verifies them during the transfer.
//!
//! It depends on files, ranges and digests. Requests, repositories and permissions are elsewhere.

mod buffers;
mod file_reader;
mod known;
mod verdict;
pub(super) mod verifier;
