//! A fault with its request count.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::language::{Fault, Loss, What};

/// A fault, with the number of matching requests so far.
pub(super) struct Rule {
    pub(super) fault: Fault,
    met: AtomicUsize,
}

impl Rule {
    pub(super) fn new(fault: Fault) -> Self {
        Self { fault, met: AtomicUsize::new(0) }
    }

    /// Whether the fault affects the next matching request.
    pub(super) fn is_next(&self) -> bool {
        self.fault.nth.holds(self.met.load(Ordering::SeqCst) + 1)
    }

    /// Counts a request, and returns whether the fault affects it.
    pub(super) fn count(&self) -> bool {
        self.fault.nth.holds(self.met.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// The loss in this direction.
    fn loss(&self, what: What) -> Option<&Loss> {
        self.fault.lose.as_ref().filter(|loss| loss.what == what)
    }

    /// The minimum length, exclusive, of the request's body.
    pub(super) fn least_request(&self) -> Option<u64> {
        self.fault.longer.or_else(|| self.loss(What::Request)?.after)
    }

    /// The minimum length, exclusive, of the answer's body.
    pub(super) fn least_answer(&self) -> Option<u64> {
        let flip = self.fault.change.as_ref().and_then(|change| change.flip);
        flip.or_else(|| self.loss(What::Answer)?.after.filter(|after| *after > 0))
    }
}
