//! The distribution API: `registry` and `repository` hold what is known of the two; the other files add operations, one
//! file per noun of the specification, up to the writing session of a repository.
//!
//! Requests go through the transport, which decides on targets and credentials. Connections, TLS and user configuration
//! are left to other modules.

mod blobs;
mod chunked_upload;
mod content_digest;
pub(super) mod download;
mod errors;
mod manifests;
mod max_body;
pub(super) mod pages;
mod parallel_download;
pub(super) mod ranges;
mod referrer_lists;
mod referrers;
pub(super) mod registry;
pub(super) mod repository;
pub(super) mod resume;
pub(super) mod session;
mod streamed_upload;
mod tags;
mod upload;
