//! What a server serves: the trait [`App`], and what passes between an app and the server.

use std::fmt;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Extensions, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{limits::Limits, log::Log};
use crate::blob::{self, ByteStream};

/// Answers the requests that a [`Server`](super::Server) receives: a [`Registry`](super::Registry), or an app around
/// one. All apps are in this library.
pub trait App: fmt::Debug + Send + Sync + 'static {
    /// Answers one request. A failure is an answer, too.
    fn answer(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Body>>;

    /// The limits that the server keeps.
    fn limits(&self) -> &Limits;

    /// Takes a line for every request.
    fn log(&self) -> Option<&Log>;

    /// Returns what carries a new connection: the stream, or one around it. Every request of the connection gets these
    /// extensions.
    fn connect(&self, stream: Box<dyn Stream>, _extensions: &mut Extensions) -> Box<dyn Stream> {
        stream
    }

    /// Drops what clients have left unfinished for too long. Called every minute.
    fn expire(&self) {}

    /// Drops all that clients have left unfinished. Called when the server has stopped.
    fn clear(&self) {}
}

/// Carries a connection.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Closing it after this resets the connection.
    fn reset(&mut self);
}

/// The body of a response.
pub struct Body {
    /// Its bytes; after an error the connection is closed.
    pub(crate) content: ByteStream,
    /// Its length; `None` where a header has it.
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

/// Why a request failed, where the client is not told: an extension of the response.
#[derive(Debug, Clone)]
pub(crate) struct Cause(pub(crate) String);
