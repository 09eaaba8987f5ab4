//! What the distribution API can do: `registry` and `repository` hold what is known of the two, and the other files have the
//! verbs, one file a noun of the specification, up to the session that writes into a repository.
//!
//! It asks by the transport, which decides where a request may go and with which credentials. Connections, TLS and what a
//! user configures are not for here.

mod answers;
mod blobs;
mod chunked_upload;
pub(super) mod download;
mod manifests;
mod max_body;
mod pages;
mod parallel_download;
pub(super) mod ranges;
mod referrer_lists;
mod referrers;
pub(super) mod registry;
pub(super) mod repository;
mod resume;
pub(super) mod session;
mod streamed_upload;
mod tags;
mod upload;
