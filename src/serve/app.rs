//! The trait [`App`], and the types exchanged between an app and the server.

use std::{fmt, future, net::IpAddr};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Extensions, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{limits::Limits, log::Log};
use crate::blob::{self, ByteStream};

/// Answers the requests that a [`Server`](super::Server) receives: a [`Registry`](super::Registry), or an app around
/// one. All apps are in this library.
pub trait App: fmt::Debug + Send + Sync + 'static {
    /// Answers one request. Failures are answers too.
    fn answer(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Body>>;

    /// The limits that the server enforces.
    fn limits(&self) -> &Limits;

    /// The receiver of log lines, one per request.
    fn log(&self) -> Option<&Log>;

    /// Returns the stream for a new connection: the given one, or one around it. Every request of the connection gets
    /// these extensions.
    fn connect(&self, stream: Box<dyn Stream>, _extensions: &mut Extensions) -> Box<dyn Stream> {
        stream
    }

    /// Discards expired unfinished work of clients. Called every minute.
    fn expire(&self) {}

    /// Discards all unfinished work of clients, and waits for that, but not for long. Called after the server has
    /// stopped.
    fn close(&self) -> BoxFuture<'_, ()> {
        future::ready(()).boxed()
    }
}

/// The stream of a connection.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Makes closing reset the connection.
    fn reset(&mut self);
}

/// The body of a response.
pub struct Body {
    /// The content; an error closes the connection.
    pub(crate) content: ByteStream,
    /// The length; `None` if a header has it.
    pub(crate) length: Option<u64>,
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self { length: Some(bytes.len() as u64), content: blob::once(bytes) }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("length", &self.length).finish_non_exhaustive()
    }
}

/// The address of a client: an extension of its requests. `None` within this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client(pub(crate) Option<IpAddr>);

/// The cause of a failure that is hidden from the client: an extension of the response.
#[derive(Debug, Clone)]
pub(crate) struct Cause(pub(crate) String);
