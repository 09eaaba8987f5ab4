//! Content on its way out: files are read ahead into buffers, and verified while they are served.
//!
//! It knows files, ranges and digests. Requests, repositories and who may have the content are not for here.

mod reader;
pub(super) mod verifier;
