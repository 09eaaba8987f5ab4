//! What a program puts in the place of TCP.

use std::io;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

/// A line that bytes go both ways over.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Opens the lines to a registry in the place of TCP: through a tunnel, to a socket of this machine, or to a registry
/// in the same process.
#[async_trait]
pub trait Dial: Send + Sync {
    /// A line to this host and port. Where the registry speaks https, TLS runs over it. Errors: nobody answers there.
    async fn dial(&self, host: &str, port: u16) -> io::Result<Box<dyn Duplex>>;
}
