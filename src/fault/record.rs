//! A record of requests.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use http::{HeaderMap, Method, Request, Uri};
use tokio::time::Instant;

/// Limit of recorded requests.
const MAX_SEEN: usize = 1 << 16;

/// A recorded request.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Time at the end of its head.
    pub at: Instant,
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
    /// The faults that affected it, as indexes of the list.
    pub faults: Vec<usize>,
}

impl Seen {
    /// Method and URI: `GET /v2/?x`.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.uri)
    }

    /// The value of a header; empty if missing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// The last requests, with their numbers.
#[derive(Default)]
pub(super) struct Record(Mutex<Requests>);

#[derive(Default)]
struct Requests {
    seen: VecDeque<Seen>,
    /// The number of earlier, forgotten requests.
    forgotten: usize,
}

impl Record {
    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All recorded requests, oldest first.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.requests().seen.iter().cloned().collect()
    }

    /// Adds a request and returns its number.
    pub(super) fn add<B>(&self, request: &Request<B>) -> usize {
        let (method, uri, headers) = (request.method().clone(), request.uri().clone(), request.headers().clone());
        let mut requests = self.requests();
        if requests.seen.len() == MAX_SEEN {
            requests.seen.pop_front();
            requests.forgotten += 1;
        }
        requests.seen.push_back(Seen { at: Instant::now(), method, uri, headers, faults: Vec::new() });
        requests.forgotten + requests.seen.len() - 1
    }

    /// Adds the faults that affected the request with this number.
    pub(super) fn add_faults(&self, number: usize, faults: &[usize]) {
        let mut requests = self.requests();
        let at = number.checked_sub(requests.forgotten);
        if let Some(seen) = at.and_then(|at| requests.seen.get_mut(at)) {
            seen.faults = faults.to_vec();
        }
    }
}
