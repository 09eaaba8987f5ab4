//! Connections: accepts them, also within this process, ends those whose clients are too slow, and finishes the others
//! before the server stops.
//!
//! It passes requests to an [`App`](super::App) and returns the answers. Their meaning, and storage, are elsewhere.

mod body;
mod connection;
mod entry;
mod flow;
#[cfg(feature = "registry")]
pub(super) mod local;
mod metered;
#[cfg(not(feature = "serve-tls"))]
mod no_tls;
mod places;
pub(super) mod server;
#[cfg(feature = "serve-tls")]
pub(super) mod tls;
