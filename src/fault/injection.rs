//! The combined effect of all faults on one request, some of it known only with the length of its body or answer.

use std::time::Duration;

use http::{HeaderMap, Request, header};

use super::{
    body_limit::BodyLimit,
    language::{Change, Fault, Loss, Refusal, What},
    rule::Rule,
};

/// The combined effect of all faults on one request.
#[derive(Default)]
pub(super) struct Injection<'a> {
    /// The numbers of the active faults.
    pub(super) happened: Vec<usize>,
    pub(super) delay: Duration,
    pub(super) ignore: Vec<&'a str>,
    pub(super) refuse: Option<&'a Refusal>,
    pub(super) changes: Vec<&'a Change>,
    pub(super) lose: Option<&'a Loss>,
    /// Faults that depend on the length of the request, which the client did not declare.
    await_request: Vec<(usize, &'a Rule, BodyLimit)>,
    /// Faults that depend on the answer.
    await_answer: Vec<(usize, &'a Rule)>,
}

impl<'a> Injection<'a> {
    /// The effect on this request, as far as its head determines it.
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

    /// Adds a fault's effect on the request.
    fn add_to_request(&mut self, fault: &'a Fault) {
        self.delay += fault.delay.0;
        self.ignore.extend(fault.ignore.iter().map(String::as_str));
    }

    /// Adds a fault's effect on the answer.
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

    /// Adds effects that depend on the request's body, after reading it.
    pub(super) fn request_read(&mut self) {
        for (n, rule, limit) in std::mem::take(&mut self.await_request) {
            if limit.exceeded() && rule.count() {
                self.add_fault(n, &rule.fault);
            }
        }
    }

    /// Adds effects that depend on the answer, which has this length.
    pub(super) fn answered(&mut self, length: u64) {
        for (n, rule) in std::mem::take(&mut self.await_answer) {
            if rule.least_answer().is_some_and(|least| length > least) && rule.count() {
                self.add_to_answer(n, &rule.fault);
            }
        }
    }
}

/// The declared length of a body, if any. A request without any declaration has no body.
pub(super) fn body_length(headers: &HeaderMap) -> Option<u64> {
    let said = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    said.or_else(|| (!headers.contains_key(header::TRANSFER_ENCODING)).then_some(0))
}
