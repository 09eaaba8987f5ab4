//! A connection that is lost when a fault orders it, at exactly the byte that the fault names.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

use super::language::Means;
use crate::serve::net::server::Stream;

/// The time between two bytes of an answer that trickles.
const TRICKLE_INTERVAL: Duration = Duration::from_millis(20);
/// What ends the head of an answer.
const END: &[u8] = b"\r\n\r\n";

/// How the connection is to be lost, for both the one who decides that and the connection itself.
#[derive(Clone)]
pub(crate) struct ConnectionLoss {
    state: Arc<Mutex<State>>,
    /// How many bytes all connections have sent.
    sent: Arc<AtomicU64>,
}

#[derive(Default)]
struct State {
    loss: Option<(Means, Left)>,
}

/// What may still be sent.
#[derive(Clone, Copy)]
enum Left {
    /// The head, of whose end so many bytes have gone, and then so many bytes.
    Head(usize, u64),
    /// So many bytes.
    Body(u64),
}

impl ConnectionLoss {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that lasts; what it sends is added to this.
    pub(super) fn new(sent: Arc<AtomicU64>) -> Self {
        Self { state: Arc::default(), sent }
    }

    /// The connection is lost after so many bytes of the body of the next answer, or before its first byte.
    pub(super) fn lose(&self, means: Means, after: Option<u64>) {
        self.state().loss = Some((means, after.map_or(Left::Body(0), |after| Left::Head(0, after))));
    }
}

impl State {
    /// How many of these bytes may go, and what happens at the next one.
    fn allows(&self, bytes: &[u8]) -> Result<usize, Means> {
        match self.loss {
            None => Ok(bytes.len()),
            Some((_, Left::Head(matched, _))) => Ok(end_of_head(bytes, matched).0),
            Some((means, Left::Body(0))) => Err(means),
            Some((_, Left::Body(left))) => Ok(bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))),
        }
    }

    /// Notes that these bytes went.
    fn gone(&mut self, bytes: &[u8]) {
        match &mut self.loss {
            Some((_, left @ Left::Head(..))) => {
                let Left::Head(matched, body) = *left else { return };
                let (_, matched) = end_of_head(bytes, matched);
                *left = if matched == END.len() { Left::Body(body) } else { Left::Head(matched, body) };
            }
            Some((_, Left::Body(left))) => *left = left.saturating_sub(bytes.len() as u64),
            None => {}
        }
    }
}

/// How many of these bytes belong to the head, and how much of its end was seen with them.
fn end_of_head(bytes: &[u8], mut matched: usize) -> (usize, usize) {
    for (at, byte) in bytes.iter().enumerate() {
        matched = match END.get(matched) {
            Some(expected) if expected == byte => matched + 1,
            _ => usize::from(*byte == b'\r'),
        };
        if matched == END.len() {
            return (at + 1, matched);
        }
    }
    (bytes.len(), matched)
}

/// The connection.
pub(crate) struct FaultyConnection<S> {
    stream: S,
    order: ConnectionLoss,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<S: Stream> FaultyConnection<S> {
    pub(crate) fn new(stream: S, order: ConnectionLoss) -> Self {
        Self { stream, order, pause: None }
    }

    fn lost(&mut self, means: Means, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match means {
            Means::Close => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Means::Reset => {
                self.stream.reset();
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            Means::Silence => self.listen(cx),
            Means::Trickle => self.trickle(cx, bytes),
        }
    }

    /// Says nothing until the other side goes.
    fn listen(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut scratch = [0; 4096];
        loop {
            let mut heard = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut heard))?;
            if heard.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
        }
    }

    fn trickle(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(TRICKLE_INTERVAL)));
        ready!(pause.as_mut().poll(cx));
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes.get(..1).unwrap_or_default()));
        self.pause = None;
        Poll::Ready(written)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FaultyConnection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: Stream> AsyncWrite for FaultyConnection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let allowed = self.order.state().allows(bytes);
        let written = match allowed {
            Ok(most) => {
                let some = bytes.get(..most).unwrap_or(bytes);
                ready!(Pin::new(&mut self.stream).poll_write(cx, some))?
            }
            Err(means) => ready!(self.lost(means, cx, bytes))?,
        };
        self.order.sent.fetch_add(written as u64, Ordering::Relaxed);
        self.order.state().gone(bytes.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(after: u64) -> State {
        State { loss: Some((Means::Close, Left::Head(0, after))) }
    }

    /// How many bytes of these writes get through.
    fn through(mut state: State, writes: &[&[u8]]) -> usize {
        let mut sent = 0;
        for write in writes {
            let mut rest = *write;
            while !rest.is_empty() {
                let Ok(some) = state.allows(rest) else { return sent };
                state.gone(&rest[..some]);
                sent += some;
                rest = &rest[some..];
            }
        }
        sent
    }

    #[test]
    fn the_body_is_counted_from_the_end_of_the_head_however_it_is_written() {
        let answer = b"HTTP/1.1 200 OK\r\na: \r\r\nb: c\r\n\r\n0123456789";
        for cut in 0..answer.len() {
            let (one, two) = answer.split_at(cut);
            assert_eq!(through(state(3), &[one, two]), answer.len() - 7, "{cut}");
        }
        assert_eq!(through(state(0), &[answer]), answer.len() - 10);
        assert_eq!(through(State::default(), &[answer]), answer.len());
    }
}
