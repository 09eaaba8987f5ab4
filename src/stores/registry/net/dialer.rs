//! Opening the connections of a pool: over the network, or by the program's own means.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use tower_service::Service;

use super::{
    dial::{Dial, Duplex},
    tunnel::{self, Route},
};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Opens the connections of a pool.
#[derive(Clone)]
pub(super) enum Dialer {
    /// Over the network.
    Net(Route),
    /// By the program's own means.
    Given(Arc<dyn Dial>),
}

impl Service<Uri> for Dialer {
    type Response = Opened;
    type Error = Cause;
    type Future = Pin<Box<dyn Future<Output = Result<Opened, Cause>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        match self {
            Self::Net(route) => route.poll_ready(cx),
            Self::Given(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        match self {
            Self::Net(route) => {
                let opening = route.call(to);
                Box::pin(async move { Ok(Opened::Net(Box::new(opening.await?))) })
            }
            Self::Given(dial) => {
                let dial = Arc::clone(dial);
                Box::pin(async move {
                    let port = to.port_u16().unwrap_or(if to.scheme_str() == Some("https") { 443 } else { 80 });
                    Ok(Opened::Given(TokioIo::new(dial.dial(to.host().unwrap_or_default(), port).await?)))
                })
            }
        }
    }
}

/// An open connection, in the form that pools expect.
pub(super) enum Opened {
    /// Over the network.
    Net(Box<tunnel::RoutedConnection>),
    /// Opened by the program.
    Given(TokioIo<Box<dyn Duplex>>),
}

impl Connection for Opened {
    fn connected(&self) -> Connected {
        match self {
            Self::Net(line) => line.connected(),
            Self::Given(_) => Connected::new(),
        }
    }
}

impl Read for Opened {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Net(line) => Pin::new(line).poll_read(cx, buf),
            Self::Given(line) => Pin::new(line).poll_read(cx, buf),
        }
    }
}

impl Write for Opened {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Net(line) => Pin::new(line).poll_write(cx, buf),
            Self::Given(line) => Pin::new(line).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Net(line) => Pin::new(line).poll_flush(cx),
            Self::Given(line) => Pin::new(line).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Net(line) => Pin::new(line).poll_shutdown(cx),
            Self::Given(line) => Pin::new(line).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Net(line) => line.is_write_vectored(),
            Self::Given(line) => line.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Net(line) => Pin::new(line).poll_write_vectored(cx, bufs),
            Self::Given(line) => Pin::new(line).poll_write_vectored(cx, bufs),
        }
    }
}
