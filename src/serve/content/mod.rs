//! Content on its way out: files are read ahead into buffers, and verified while they are served.
//!
//! It knows files, ranges and digests. Requests, repositories and who may have the content are not for here.

mod buffers;
mod file_reader;
mod known;
mod verdict;
pub(super) mod verifier;
