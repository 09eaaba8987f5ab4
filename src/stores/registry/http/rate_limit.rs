//! A rate limit shared by transfers: each waits for its turn before moving a piece.
//!
//! Turns are granted in the order of requests, each for one small piece, so that concurrent transfers share the rate
//! evenly.

use std::{
    num::NonZeroU64,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use crate::blob::ByteStream;

/// How much unused rate may be used later: enough to bridge short delays on a busy machine.
const BURST: Duration = Duration::from_millis(250);
/// Largest piece, in bytes.
const LARGEST: u64 = 64 << 10;

/// A limit in bytes per second, for uploads and downloads together. A clone is another handle on the same limit, which
/// clients can share.
#[derive(Debug, Clone)]
pub struct Rate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bytes_per_second: NonZeroU64,
    /// When the next piece may pass.
    next: Mutex<Option<Instant>>,
}

impl Rate {
    /// A limit of this many bytes per second.
    #[must_use]
    pub fn new(bytes_per_second: NonZeroU64) -> Self {
        Self(Arc::new(Shared { bytes_per_second, next: Mutex::default() }))
    }

    /// Passes bytes on, in pieces that wait for their turn. `held` learns, before each wait, when the next piece may
    /// pass: until then, a stall is not the peer's fault.
    pub(super) fn limit(&self, stream: ByteStream, held: impl Fn(Instant) + Send + 'static) -> ByteStream {
        let state = (self.clone(), stream, Bytes::new(), held);
        stream::unfold(state, |(rate, mut stream, mut rest, held)| async move {
            while rest.is_empty() {
                match stream.next().await? {
                    Ok(chunk) => rest = chunk,
                    failed => return Some((failed, (rate, stream, rest, held))),
                }
            }
            let piece = rest.split_to(rate.piece().min(rest.len()));
            let turn = rate.turn(piece.len());
            held(turn);
            tokio::time::sleep_until(turn).await;
            Some((Ok(piece), (rate, stream, rest, held)))
        })
        .boxed()
    }

    /// Bytes per turn: twenty turns a second, more at high rates.
    fn piece(&self) -> usize {
        usize::try_from((self.0.bytes_per_second.get() / 20).clamp(1, LARGEST)).unwrap_or(1)
    }

    /// The time at which this many bytes may pass.
    fn turn(&self, bytes: usize) -> Instant {
        let now = Instant::now();
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let takes = Duration::from_secs_f64(bytes as f64 / self.0.bytes_per_second.get() as f64);
        let mut next = self.0.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = next.unwrap_or(now).max(earliest);
        *next = Some(turn + takes);
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob;

    const KIB: u64 = 1 << 10;

    fn rate(bytes_per_second: u64) -> Rate {
        Rate::new(NonZeroU64::new(bytes_per_second).unwrap())
    }

    fn content(len: u64) -> ByteStream {
        blob::once(Bytes::from(vec![0; usize::try_from(len).unwrap()]))
    }

    /// How many bytes pass until this time.
    async fn passed(stream: &mut ByteStream, until: Instant) -> u64 {
        let mut sum = 0;
        while let Ok(Some(piece)) = tokio::time::timeout_at(until, stream.next()).await {
            sum += piece.unwrap().len() as u64;
        }
        sum
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_within_five_percent_of_the_limit_over_seconds() {
        for bytes_per_second in [100, KIB, 300 * KIB, 10 << 20, 1 << 30] {
            let (rate, start) = (rate(bytes_per_second), Instant::now());
            let mut stream = rate.limit(content(3 * bytes_per_second), |_| {});
            let sum = passed(&mut stream, start + Duration::from_secs(2)).await;
            let ratio = sum as f64 / (2 * bytes_per_second) as f64;
            assert!((0.95..1.05).contains(&ratio), "{bytes_per_second}: {ratio}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn transfers_at_the_same_time_share_the_limit_evenly() {
        let (rate, end) = (rate(600 * KIB), Instant::now() + Duration::from_secs(10));
        let streams = (0..6).map(|_| {
            let mut stream = rate.limit(content(2 << 20), |_| {});
            async move { passed(&mut stream, end).await }
        });
        let sums = futures_util::future::join_all(streams).await;
        assert!(sums.iter().all(|sum| (900 * KIB..=1100 * KIB).contains(sum)), "{sums:?}");
        let all: u64 = sums.iter().sum();
        assert!((5900 * KIB..=6100 * KIB).contains(&all), "{all}");
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_pause_a_quarter_of_a_second_is_made_up_for_and_no_more() {
        let rate = rate(100 * KIB);
        let mut stream = rate.limit(content(1 << 20), |_| {});
        passed(&mut stream, Instant::now() + Duration::from_secs(1)).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let sum = passed(&mut stream, Instant::now() + Duration::from_secs(1)).await;
        assert!((125 * KIB..=135 * KIB).contains(&sum), "{sum}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_piece_that_is_held_back_says_until_when() {
        let waits = Arc::new(Mutex::new(Vec::new()));
        let (tell, start) = (Arc::clone(&waits), Instant::now());
        let limited = rate(10).limit(content(3), move |turn| tell.lock().unwrap().push(turn - start));
        assert_eq!(limited.count().await, 3);
        assert_eq!(*waits.lock().unwrap(), [0, 100, 200].map(Duration::from_millis));
    }
}
