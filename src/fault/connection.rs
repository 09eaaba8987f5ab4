//! A connection that a fault interrupts at an exact byte.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

use super::{language::Means, loss::ConnectionLoss};
use crate::serve::app::Stream;

/// The time between two bytes of a slow answer.
const TRICKLE_INTERVAL: Duration = Duration::from_millis(20);

/// The stream of a connection with faults.
pub(super) struct FaultyConnection {
    stream: Box<dyn Stream>,
    loss: ConnectionLoss,
    pause: Option<Pin<Box<Sleep>>>,
}

impl FaultyConnection {
    pub(super) fn new(stream: Box<dyn Stream>, loss: ConnectionLoss) -> Self {
        Self { stream, loss, pause: None }
    }

    /// Writes on a lost connection.
    fn poll_lost(&mut self, means: Means, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match means {
            Means::Close => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Means::Reset => {
                self.stream.reset();
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            Means::Silence => self.poll_closed(cx),
            Means::Trickle => self.poll_trickle(cx, bytes),
        }
    }

    /// Waits until the other side closes the connection.
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut scratch = [0; 4096];
        loop {
            let mut heard = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut heard))?;
            if heard.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
        }
    }

    /// Writes one byte after a pause.
    fn poll_trickle(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(TRICKLE_INTERVAL)));
        ready!(pause.as_mut().poll(cx));
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes.get(..1).unwrap_or_default()));
        self.pause = None;
        Poll::Ready(written)
    }
}

impl Stream for FaultyConnection {
    fn reset(&mut self) {
        self.stream.reset();
    }
}

impl AsyncRead for FaultyConnection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for FaultyConnection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = match self.loss.allowed(bytes) {
            Ok(most) => {
                let some = bytes.get(..most).unwrap_or(bytes);
                ready!(Pin::new(&mut self.stream).poll_write(cx, some))?
            }
            Err(means) => ready!(self.poll_lost(means, cx, bytes))?,
        };
        self.loss.sent(bytes.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
