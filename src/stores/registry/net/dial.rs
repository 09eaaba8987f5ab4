//! Replacements for TCP.

use std::io;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

/// A bidirectional byte stream.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Opens connections to a registry instead of TCP: through a tunnel, to a local socket, or to a registry in the same
/// process.
#[async_trait]
pub trait Dial: Send + Sync {
    /// Connects to this host and port. For an https registry, TLS runs over the connection. Errors: no server answers.
    async fn dial(&self, host: &str, port: u16) -> io::Result<Box<dyn Duplex>>;
}
