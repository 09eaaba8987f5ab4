//! Connections: accepts them, also within this process, monitors them, and finishes them before the server stops.
//!
//! It passes requests to an [`App`](super::App) and returns the answers. Their meaning, and storage, are elsewhere.

mod body;
mod connection;
#[cfg(feature = "registry")]
pub(super) mod local;
pub(super) mod server;
mod watch;
