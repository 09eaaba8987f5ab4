//! A stream that tells the flow of its connection what the client takes.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{Semaphore, SemaphorePermit},
};

use super::flow::Flow;
use crate::serve::app::Stream;

/// Most bytes that are read at a time from a client that has not sent much. hyper begins with a buffer of 8 KiB, and
/// doubles it, and keeps it, whenever a read fills it.
const SMALL: usize = (8 << 10) - 1;
/// Bytes after which a client gets as large a buffer as its connection may have.
const PROBATION: usize = 128 << 10;
/// Connections of this process with large buffers, of 256 KiB: 8 MiB. Each read has costs of its own, so that few large ones
/// are worth more than many of a middle size.
static LARGE: Semaphore = Semaphore::const_new(32);

/// A stream with its flow.
pub(super) struct Metered<S> {
    stream: S,
    flow: Flow,
    /// Bytes read, up to [`PROBATION`].
    came: usize,
    /// For a large buffer, which the connection keeps.
    large: Option<SemaphorePermit<'static>>,
}

impl<S: Stream> Metered<S> {
    pub(super) fn new(stream: S, flow: Flow) -> Self {
        Self { stream, flow, came: 0, large: None }
    }

    /// Whether reads may have any size.
    fn reads_much(&mut self) -> bool {
        if self.large.is_none() && self.came >= PROBATION {
            self.large = LARGE.try_acquire().ok();
        }
        self.large.is_some()
    }

    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Pending => self.flow.waits_for_room(),
            Poll::Ready(Ok(len)) => self.flow.went(*len),
            Poll::Ready(Err(_)) => {}
        }
        written
    }
}

impl<S: Stream> Stream for Metered<S> {
    fn reset(&mut self) {
        self.stream.reset();
    }
}

impl<S: Stream> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.reads_much() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        // Only what comes is written to the memory of the connection.
        let mut space = [MaybeUninit::uninit(); SMALL];
        let room = buf.remaining().min(SMALL);
        let mut small = ReadBuf::uninit(space.get_mut(..room).unwrap_or_default());
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut small);
        buf.put_slice(small.filled());
        self.came = self.came.saturating_add(small.filled().len());
        read
    }
}

impl<S: Stream> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
