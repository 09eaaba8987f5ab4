//! No TLS: a server without the feature for it.

use std::io;

use tokio::net::TcpStream;

/// There is none.
#[derive(Debug, Clone)]
pub(super) enum Tls {}

impl Tls {
    pub(super) async fn accept(&self, _stream: TcpStream) -> io::Result<TcpStream> {
        match *self {}
    }
}
