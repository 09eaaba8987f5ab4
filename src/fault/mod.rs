//! A registry on a bad day: what goes wrong with which of its requests, as data.
//!
//! An instrument for those who write or choose a client. The registry behind it is a real one, and does what it should
//! with every request that no fault is about. The language is YAML:
//!
//! ```yaml
//! faults:
//!   - on: GET blob                    # the first download of a blob
//!     lose: {what: answer, after: 1500000, by: reset}
//!   - on: GET|HEAD manifest
//!     nth: 1-3
//!     refuse: {status: 429, headers: {Retry-After: "2"}}
//!   - on: PUT|PATCH upload            # a proxy that takes no more than ten mebibytes at once
//!     nth: all
//!     longer: 10485760
//!     refuse: {status: 413, early: true}
//! tokens: 3                           # every token can be used three times
//! ```
//!
//! [`Fault`] lists the keys. All faults that are about a request happen to it: headers are changed by each, and of those
//! that answer it or lose its connection the first counts. A [`Scenario`] adds what a client must make of it.

mod connection;
mod effects;
mod front;
mod language;
mod scenario;
mod tokens;

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderMap, Method, Request, Uri};
use serde::Deserialize;
use tokio::time::Instant;

pub(super) use self::connection::{ConnectionLoss, FaultyConnection};
pub use self::{
    language::{Change, Fault, Loss, Means, Nth, Pattern, Refusal, Seconds, What},
    scenario::{Client, End, Must, Operation, Sample, Scenario},
};
use crate::{document, error::Result};
use effects::Rule;
use tokens::Tokens;

/// How many requests are remembered.
const MEMORY: usize = 1 << 16;

/// What goes wrong with a registry, and what was asked of it. Counts from the first request on.
pub struct Faults {
    rules: Vec<Rule>,
    tokens: Option<Tokens>,
    memory: Mutex<Memory>,
    sent: Arc<AtomicU64>,
}

#[derive(Default)]
struct Memory {
    seen: VecDeque<Seen>,
    /// How many requests there were before those.
    forgotten: usize,
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When its head had been read.
    pub at: Instant,
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
    /// The faults that happened to it, by their number in the list, from 0.
    pub faults: Vec<usize>,
}

impl Seen {
    /// `GET /v2/?x`
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.uri)
    }

    /// A header; empty when there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Faults {
    /// These faults; `tokens`: every request needs a token, each of which can be used so often.
    #[must_use]
    pub fn new(faults: Vec<Fault>, tokens: Option<usize>) -> Self {
        let rules = faults.into_iter().map(Rule::new).collect();
        Self { rules, tokens: tokens.map(Tokens::new), memory: Mutex::default(), sent: Arc::default() }
    }

    /// Reads the keys `faults` and `tokens` of a YAML document. Errors: anything else, with its line.
    pub fn parse(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Document {
            #[serde(default)]
            faults: Vec<Fault>,
            tokens: Option<usize>,
        }
        let document: Document = read(text)?;
        Ok(Self::new(document.faults, document.tokens))
    }

    /// The requests so far, oldest first; of very many, the last 65,536.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.memory().seen.iter().cloned().collect()
    }

    /// How many requests so far were of this pattern: `METHOD WHAT`, as [`Pattern`] has it. Errors: another text.
    pub fn count(&self, pattern: &str) -> Result<usize> {
        let pattern = pattern.parse::<Pattern>()?;
        Ok(self.seen().iter().filter(|seen| pattern.fits(&seen.method, &seen.uri)).count())
    }

    /// How many bytes were sent so far, heads of answers included.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that these faults can be about.
    pub(super) fn wire(&self) -> ConnectionLoss {
        ConnectionLoss::new(Arc::clone(&self.sent))
    }

    /// Remembers a request, by a number.
    fn note<B>(&self, request: &Request<B>) -> usize {
        let (method, uri, headers) = (request.method().clone(), request.uri().clone(), request.headers().clone());
        let mut memory = self.memory();
        if memory.seen.len() == MEMORY {
            memory.seen.pop_front();
            memory.forgotten += 1;
        }
        memory.seen.push_back(Seen { at: Instant::now(), method, uri, headers, faults: Vec::new() });
        memory.forgotten + memory.seen.len() - 1
    }

    /// Remembers what happened to the request of this number.
    fn hit(&self, number: usize, faults: &[usize]) {
        let mut memory = self.memory();
        let at = number.checked_sub(memory.forgotten);
        if let Some(seen) = at.and_then(|at| memory.seen.get_mut(at)) {
            seen.faults = faults.to_vec();
        }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faults({})", self.rules.len())
    }
}

/// A YAML document of ours. Errors: malformed, unknown keys; with line and column.
fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    document::typed(&document::Document::parse(text.as_bytes(), "faults", &document::Options::default())?)
}
