//! Connections: accepted, within this process too, watched while they run, finished before the server stops.
//!
//! It carries requests to an [`App`](super::App) and answers back. What they mean, and how content is kept, is not for
//! here.

mod body;
mod connection;
#[cfg(feature = "registry")]
pub(super) mod local;
pub(super) mod server;
mod watch;
