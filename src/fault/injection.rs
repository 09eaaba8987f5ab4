//! Which faults are about a request, counted: at once, or when it is known how long its body and its answer are.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, Request, header};

use super::{
    Faults,
    language::{Change, Fault, Loss, Refusal, What},
};
use crate::serve::registry::incoming::Cut;

/// A fault, and how many requests it was about so far.
pub(super) struct Rule {
    pub(super) fault: Fault,
    met: AtomicUsize,
}

impl Rule {
    pub(super) fn new(fault: Fault) -> Self {
        Self { fault, met: AtomicUsize::new(0) }
    }

    /// Whether it would happen to the request that is next.
    fn is_next(&self) -> bool {
        self.fault.nth.holds(self.met.load(Ordering::SeqCst) + 1)
    }

    /// Counts a request; whether it happens to that.
    fn happens(&self) -> bool {
        self.fault.nth.holds(self.met.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// The loss of what is on its way there.
    fn loss(&self, what: What) -> Option<&Loss> {
        self.fault.lose.as_ref().filter(|loss| loss.what == what)
    }

    /// How long the request must be, and more.
    fn request(&self) -> Option<u64> {
        self.fault.longer.or_else(|| self.loss(What::Request)?.after)
    }

    /// How long the answer must be, and more.
    fn answer(&self) -> Option<u64> {
        let flip = self.fault.change.as_ref().and_then(|change| change.flip);
        flip.or_else(|| self.loss(What::Answer)?.after.filter(|after| *after > 0))
    }
}

/// What all faults together make of a request.
#[derive(Default)]
pub(super) struct Effects<'a> {
    /// The numbers of those that happen.
    pub(super) hit: Vec<usize>,
    pub(super) delay: Duration,
    pub(super) ignore: Vec<&'a str>,
    pub(super) refuse: Option<&'a Refusal>,
    pub(super) changes: Vec<&'a Change>,
    pub(super) lose: Option<&'a Loss>,
    /// Those that wait for the end of the request, whose length the client has not said.
    late: Vec<(usize, &'a Rule, Meter)>,
    /// Those that wait for the answer.
    later: Vec<(usize, &'a Rule)>,
}

impl Faults {
    /// What happens to this request, as far as its head tells.
    pub(super) fn effects<B>(&self, request: &Request<B>) -> Effects<'_> {
        let length = length(request.headers());
        let mut effects = Effects::default();
        for (n, rule) in self.rules.iter().enumerate() {
            if !rule.fault.on.fits(request.method(), request.uri()) {
                continue;
            }
            match (rule.request(), length) {
                (Some(least), Some(length)) if length <= least => continue,
                (Some(least), None) => {
                    effects.late.push((n, rule, Meter::new(least, rule.is_next())));
                    continue;
                }
                _ => {}
            }
            if rule.answer().is_some() {
                if rule.is_next() {
                    effects.prepare(&rule.fault);
                }
                effects.later.push((n, rule));
            } else if rule.happens() {
                effects.add(n, &rule.fault);
            }
        }
        effects
    }
}

impl<'a> Effects<'a> {
    fn prepare(&mut self, fault: &'a Fault) {
        self.delay += fault.delay.0;
        self.ignore.extend(fault.ignore.iter().map(String::as_str));
    }

    fn add(&mut self, n: usize, fault: &'a Fault) {
        self.prepare(fault);
        self.happen(n, fault);
    }

    fn happen(&mut self, n: usize, fault: &'a Fault) {
        self.hit.push(n);
        self.refuse = self.refuse.or(fault.refuse.as_ref());
        self.lose = self.lose.or(fault.lose.as_ref());
        self.changes.extend(&fault.change);
    }

    /// What watches the body of the request, if anything does.
    pub(super) fn meter(&self) -> Option<Meter> {
        let lost = self.lose.filter(|loss| loss.what == What::Request).and_then(|loss| loss.after);
        lost.map(|after| Meter::new(after, true)).or_else(|| self.late.first().map(|(_, _, meter)| meter.clone()))
    }

    /// Adds what depended on the body of the request, which has been read.
    pub(super) fn request_read(&mut self) {
        for (n, rule, meter) in std::mem::take(&mut self.late) {
            if meter.exceeded() && rule.happens() {
                self.add(n, &rule.fault);
            }
        }
    }

    /// Adds what depends on the answer, whose body is so long.
    pub(super) fn answered(&mut self, length: u64) {
        for (n, rule) in std::mem::take(&mut self.later) {
            if rule.answer().is_some_and(|least| length > least) && rule.happens() {
                self.happen(n, &rule.fault);
            }
        }
    }
}

/// The length of a body, where it is said. A request that says nothing at all has none.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    let said = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    said.or_else(|| (!headers.contains_key(header::TRANSFER_ENCODING)).then_some(0))
}

/// Counts what the registry gets of a request's body, and ends it.
#[derive(Debug, Clone)]
pub(super) struct Meter(Arc<Count>);

#[derive(Debug)]
struct Count {
    most: u64,
    cuts: bool,
    seen: AtomicU64,
}

impl Meter {
    /// The registry gets no more than `most` bytes, if this `cuts`.
    fn new(most: u64, cuts: bool) -> Self {
        Self(Arc::new(Count { most, cuts, seen: AtomicU64::new(0) }))
    }

    /// Whether there was more than it may get.
    fn exceeded(&self) -> bool {
        self.0.seen.load(Ordering::SeqCst) > self.0.most
    }
}

impl Cut for Meter {
    fn take(&self, len: usize) -> Option<usize> {
        let before = self.0.seen.fetch_add(len as u64, Ordering::SeqCst);
        if !self.0.cuts {
            return Some(len);
        }
        let left = usize::try_from(self.0.most.saturating_sub(before)).unwrap_or(usize::MAX);
        (left > 0 || len == 0).then_some(left.min(len))
    }
}
