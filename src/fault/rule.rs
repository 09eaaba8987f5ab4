//! One fault, and how many requests it has been about.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::language::{Fault, Loss, What};

/// A fault, and how many requests it has been about.
pub(super) struct Rule {
    pub(super) fault: Fault,
    met: AtomicUsize,
}

impl Rule {
    pub(super) fn new(fault: Fault) -> Self {
        Self { fault, met: AtomicUsize::new(0) }
    }

    /// Whether the next request is one that the fault happens to.
    pub(super) fn is_next(&self) -> bool {
        self.fault.nth.holds(self.met.load(Ordering::SeqCst) + 1)
    }

    /// Counts a request, and returns whether the fault happens to it.
    pub(super) fn count(&self) -> bool {
        self.fault.nth.holds(self.met.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// The loss of a request, or of an answer.
    fn loss(&self, what: What) -> Option<&Loss> {
        self.fault.lose.as_ref().filter(|loss| loss.what == what)
    }

    /// The length that the body of the request must exceed.
    pub(super) fn least_request(&self) -> Option<u64> {
        self.fault.longer.or_else(|| self.loss(What::Request)?.after)
    }

    /// The length that the body of the answer must exceed.
    pub(super) fn least_answer(&self) -> Option<u64> {
        let flip = self.fault.change.as_ref().and_then(|change| change.flip);
        flip.or_else(|| self.loss(What::Answer)?.after.filter(|after| *after > 0))
    }
}
