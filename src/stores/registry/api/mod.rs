//! What the distribution API can do, one file a noun of the specification: blobs, uploads, manifests, tags, referrers, and
//! the session that writes them into a repository.
//!
//! It asks by the transport, which decides where a request may go and with which credentials; connections and TLS are not
//! for here.

mod blobs;
pub(super) mod chunked_upload;
pub(super) mod download;
mod manifests;
pub(super) mod pages;
pub(super) mod ranges;
pub(super) mod referrers;
mod resume;
pub(super) mod session;
mod streamed_upload;
pub(super) mod upload;
