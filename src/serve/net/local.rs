//! A server without a network: its connections are pipes within this process.
//!
//! Tests can control the time: in a runtime with a paused clock, all waits and timeouts of both sides elapse at once,
//! since no data passes through the kernel.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use async_trait::async_trait;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::{connection::serve_connection, flow::Flow};
use crate::{
    serve::app::{App, Stream},
    stores::registry::{Dial, Duplex},
};

/// Size of the buffer in each direction, as of a socket, in bytes.
const BUFFER: usize = 64 << 10;

/// Serves an app through [`Dial`] for any host; a client gets it in its options.
#[derive(Debug, Clone)]
pub struct Local {
    app: Arc<dyn App>,
}

impl Local {
    /// Serves this app. Connections are tasks of the runtime that opens them.
    #[must_use]
    pub fn new(app: impl App) -> Self {
        Self { app: Arc::new(app) }
    }
}

#[async_trait]
impl Dial for Local {
    async fn dial(&self, _host: &str, _port: u16) -> io::Result<Box<dyn Duplex>> {
        let (ours, theirs) = tokio::io::duplex(BUFFER);
        let broken = Arc::new(AtomicBool::new(false));
        let ours = Pipe { stream: ours, broken: Arc::clone(&broken) };
        let app = Arc::clone(&self.app);
        tokio::spawn(async move {
            // Never stopped: it ends with its client.
            let never = GracefulShutdown::new();
            let flow = Flow::new(app.limits().rate);
            serve_connection(ours, None, flow, app, never.watcher()).await;
        });
        Ok(Box::new(Pipe { stream: theirs, broken }))
    }
}

/// One end of a connection, which can be reset like a TCP connection.
struct Pipe {
    stream: DuplexStream,
    broken: Arc<AtomicBool>,
}

impl Stream for Pipe {
    fn reset(&mut self) {
        self.broken.store(true, Ordering::SeqCst);
    }
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let ended = buf.filled().len() == before && buf.remaining() > 0;
        match ended && self.broken.load(Ordering::SeqCst) {
            true => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            false => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
