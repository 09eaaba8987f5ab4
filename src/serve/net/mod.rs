//! Connections of the embedded registry: accepted, within this process too, watched while they run, finished before the
//! server stops.
//!
//! It carries requests and answers. What they mean, and how content is kept, is not for here.

#[cfg(feature = "registry")]
pub(super) mod local;
pub(crate) mod server;
pub(crate) mod watch;
