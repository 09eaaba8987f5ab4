//! The loss of a connection at an exact byte.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use super::language::Means;

/// The end of the head of an answer.
const END: &[u8] = b"\r\n\r\n";

/// The loss of a connection, shared by the app, which decides on it, and the connection.
#[derive(Clone)]
pub(super) struct ConnectionLoss {
    state: Arc<Mutex<State>>,
    /// The number of bytes sent by all connections.
    sent: Arc<AtomicU64>,
}

#[derive(Default)]
struct State {
    loss: Option<(Means, Left)>,
}

/// The remaining bytes before the loss.
#[derive(Clone, Copy)]
enum Left {
    /// The head, with the number of bytes of its end already sent, then this number of body bytes.
    Head(usize, u64),
    /// This number of body bytes.
    Body(u64),
}

impl ConnectionLoss {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection without loss. Its sent bytes are added to `sent`.
    pub(super) fn new(sent: Arc<AtomicU64>) -> Self {
        Self { state: Arc::default(), sent }
    }

    /// Loses the connection after `after` bytes of the next answer's body, or before its first byte.
    pub(super) fn lose(&self, means: Means, after: Option<u64>) {
        self.state().loss = Some((means, after.map_or(Left::Body(0), |after| Left::Head(0, after))));
    }

    /// The number of these bytes to send. Errors: the connection is lost now.
    pub(super) fn allowed(&self, bytes: &[u8]) -> Result<usize, Means> {
        self.state().allowed(bytes)
    }

    /// Records sent bytes.
    pub(super) fn sent(&self, bytes: &[u8]) {
        self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.state().sent(bytes);
    }
}

impl State {
    fn allowed(&self, bytes: &[u8]) -> Result<usize, Means> {
        match self.loss {
            None => Ok(bytes.len()),
            Some((_, Left::Head(matched, _))) => Ok(end_of_head(bytes, matched).0),
            Some((means, Left::Body(0))) => Err(means),
            Some((_, Left::Body(left))) => Ok(bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))),
        }
    }

    fn sent(&mut self, bytes: &[u8]) {
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

/// The number of these bytes in the head, and the length of its end matched so far.
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
                let Ok(some) = state.allowed(rest) else { return sent };
                state.sent(&rest[..some]);
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
