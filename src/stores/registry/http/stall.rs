//! Detects a body that trickles, as opposed to a slow connection.

use std::time::Duration;

/// Slowest body, in bytes per second, over two consecutive windows of the length of the read timeout.
pub(super) const MIN_SPEED: u64 = 1 << 10;

/// Detects slow bodies. Only time spent waiting for the body counts, not its reader's.
pub(super) struct StallDetector {
    window: Duration,
    waited: Duration,
    bytes: u64,
    /// True if the previous window was too slow.
    slow: bool,
}

impl StallDetector {
    /// A detector with windows of this length.
    pub(super) fn new(window: Duration) -> Self {
        Self { window, waited: Duration::ZERO, bytes: 0, slow: false }
    }

    /// Records a wait for this many bytes; `false` if [`MIN_SPEED`] was reached in neither of the last two windows.
    pub(super) fn keeps_up(&mut self, waited: Duration, bytes: usize) -> bool {
        self.waited += waited;
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.waited < self.window {
            return true;
        }
        let slow = (self.bytes as f64) < self.waited.as_secs_f64() * MIN_SPEED as f64;
        let failure = slow && std::mem::replace(&mut self.slow, slow);
        (self.waited, self.bytes, self.slow) = (Duration::ZERO, 0, slow);
        !failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_is_told_from_a_slow_line() {
        let second = Duration::from_secs(1);
        let fast_enough = |bytes| {
            let mut stall = StallDetector::new(second * 60);
            (0..600).all(|_| stall.keeps_up(second, bytes))
        };
        assert!(fast_enough(1024) && !fast_enough(1023));
        let mut stall = StallDetector::new(second * 60);
        let mut minute = || (0..59).all(|_| stall.keeps_up(second, 0)) && stall.keeps_up(second, 61_439);
        assert!(minute(), "one slow window is forgiven");
        assert!(!minute());
    }
}
