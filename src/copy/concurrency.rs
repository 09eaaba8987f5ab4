//! How many blobs move at a time: few if answers come fast, more if most of the time is spent waiting.

use std::time::Duration;

/// Enough to keep a nearby registry busy.
const FEW: usize = 6;
/// Tolerated by all registries.
const MANY: usize = 32;
/// Transfers of blobs up to this size, in bytes, consist mostly of waiting on a slow connection.
const SMALL: u64 = 1 << 20;
/// If the fastest small blob takes no longer than this, few are enough.
const FAST: Duration = Duration::from_millis(8);

/// The concurrency of one copy.
#[derive(Debug)]
pub(super) struct Concurrency {
    asked: Option<usize>,
    fastest: Option<Duration>,
}

impl Concurrency {
    /// The requested concurrency, else an automatic one.
    pub(super) fn new(asked: Option<usize>) -> Self {
        Self { asked: asked.map(|n| n.max(1)), fastest: None }
    }

    /// How many blobs may be in transit, including a next one of this size.
    pub(super) fn open(&self, size: u64) -> usize {
        match (self.asked, self.fastest) {
            (Some(asked), _) => asked,
            (None, Some(fastest)) if size <= SMALL => {
                // One more for every two milliseconds, roughly the cost of one blob without waiting.
                let more = fastest.saturating_sub(FAST).as_millis() / 2;
                usize::try_from(more).unwrap_or(MANY).saturating_add(FEW).min(MANY)
            }
            _ => FEW,
        }
    }

    /// Records the duration of a transfer of this size.
    pub(super) fn note(&mut self, size: u64, took: Duration) {
        if size <= SMALL {
            self.fastest = Some(self.fastest.map_or(took, |fastest| fastest.min(took)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_blobs_that_are_waited_for_get_more_lanes() {
        let after = |asked, took: &[u64], size| {
            let mut concurrency = Concurrency::new(asked);
            took.iter().for_each(|ms| concurrency.note(1000, Duration::from_millis(*ms)));
            concurrency.open(size)
        };
        assert_eq!(after(None, &[], 1), 6);
        assert_eq!(after(None, &[3], 1), 6);
        assert_eq!(after(None, &[20], 1), 12);
        assert_eq!(after(None, &[100], 1), 32);
        assert_eq!(after(None, &[100, 3, 100], 1), 6, "the fastest tells how far the registry is");
        assert_eq!(after(None, &[100], 2 << 20), 6, "large ones share the line as it is");
        assert_eq!(after(Some(2), &[100], 1), 2);
        assert_eq!(after(Some(0), &[], 1), 1);
    }

    #[test]
    fn how_long_a_large_blob_takes_says_nothing() {
        let mut concurrency = Concurrency::new(None);
        concurrency.note(1 << 30, Duration::from_secs(9));
        assert_eq!(concurrency.open(1), 6);
    }
}
