//! What all faults together do to one request: at once, or when the length of its body or of its answer is known.

use std::time::Duration;

use http::{HeaderMap, Request, header};

use super::{
    body_limit::BodyLimit,
    language::{Change, Fault, Loss, Refusal, What},
    rule::Rule,
};

/// What all faults together do to one request.
#[derive(Default)]
pub(super) struct Injection<'a> {
    /// The numbers of the faults that happen.
    pub(super) happened: Vec<usize>,
    pub(super) delay: Duration,
    pub(super) ignore: Vec<&'a str>,
    pub(super) refuse: Option<&'a Refusal>,
    pub(super) changes: Vec<&'a Change>,
    pub(super) lose: Option<&'a Loss>,
    /// Faults that wait for the end of the request, whose length the client has not said.
    await_request: Vec<(usize, &'a Rule, BodyLimit)>,
    /// Faults that wait for the answer.
    await_answer: Vec<(usize, &'a Rule)>,
}

impl<'a> Injection<'a> {
    /// What happens to this request, as far as its head tells.
    pub(super) fn new<B>(rules: &'a [Rule], request: &Request<B>) -> Self {
        let length = body_length(request.headers());
        let mut injection = Self::default();
        for (n, rule) in rules.iter().enumerate() {
            if !rule.fault.on.fits(request.method(), request.uri()) {
                continue;
            }
            match (rule.least_request(), length) {
                (Some(least), Some(length)) if length <= least => continue,
                (Some(least), None) => {
                    injection.await_request.push((n, rule, BodyLimit::new(least, rule.is_next())));
                    continue;
                }
                _ => {}
            }
            if rule.least_answer().is_some() {
                if rule.is_next() {
                    injection.add_to_request(&rule.fault);
                }
                injection.await_answer.push((n, rule));
            } else if rule.count() {
                injection.add_fault(n, &rule.fault);
            }
        }
        injection
    }

    fn add_fault(&mut self, n: usize, fault: &'a Fault) {
        self.add_to_request(fault);
        self.add_to_answer(n, fault);
    }

    /// Adds what a fault does before the app gets the request.
    fn add_to_request(&mut self, fault: &'a Fault) {
        self.delay += fault.delay.0;
        self.ignore.extend(fault.ignore.iter().map(String::as_str));
    }

    /// Adds what a fault does instead of the answer, or to it.
    fn add_to_answer(&mut self, n: usize, fault: &'a Fault) {
        self.happened.push(n);
        self.refuse = self.refuse.or(fault.refuse.as_ref());
        self.lose = self.lose.or(fault.lose.as_ref());
        self.changes.extend(&fault.change);
    }

    /// The limit of the request's body, if a fault sets one.
    pub(super) fn body_limit(&self) -> Option<BodyLimit> {
        let lost = self.lose.filter(|loss| loss.what == What::Request).and_then(|loss| loss.after);
        let first = || self.await_request.first().map(|(_, _, limit)| limit.clone());
        lost.map(|after| BodyLimit::new(after, true)).or_else(first)
    }

    /// Adds what depended on the body of the request, which has been read.
    pub(super) fn request_read(&mut self) {
        for (n, rule, limit) in std::mem::take(&mut self.await_request) {
            if limit.exceeded() && rule.count() {
                self.add_fault(n, &rule.fault);
            }
        }
    }

    /// Adds what depends on the answer, whose body has this length.
    pub(super) fn answered(&mut self, length: u64) {
        for (n, rule) in std::mem::take(&mut self.await_answer) {
            if rule.least_answer().is_some_and(|least| length > least) && rule.count() {
                self.add_to_answer(n, &rule.fault);
            }
        }
    }
}

/// The length of a body, where it is said. A request that says nothing at all has none.
pub(super) fn body_length(headers: &HeaderMap) -> Option<u64> {
    let said = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    said.or_else(|| (!headers.contains_key(header::TRANSFER_ENCODING)).then_some(0))
}
