//! The faults of an app, with the requests so far.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::Deserialize;

use super::{
    language::{Fault, parse_document},
    loss::ConnectionLoss,
    pattern::Pattern,
    record::{Record, Seen},
    rule::Rule,
    tokens::Tokens,
};
use crate::error::Result;

/// The faults of an app, and a record of its requests from the first on.
pub struct Faults {
    pub(super) rules: Vec<Rule>,
    pub(super) tokens: Option<Tokens>,
    pub(super) record: Record,
    sent: Arc<AtomicU64>,
}

impl Faults {
    /// Creates the faults. With `tokens`, every request needs a token, and a token can be used `tokens` times.
    #[must_use]
    pub fn new(faults: Vec<Fault>, tokens: Option<usize>) -> Self {
        let rules = faults.into_iter().map(Rule::new).collect();
        Self { rules, tokens: tokens.map(Tokens::new), record: Record::default(), sent: Arc::default() }
    }

    /// Parses a YAML document with the keys `faults` and `tokens`. Errors: anything else, with its line.
    pub fn parse(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Document {
            #[serde(default)]
            faults: Vec<Fault>,
            tokens: Option<usize>,
        }
        let document: Document = parse_document(text)?;
        Ok(Self::new(document.faults, document.tokens))
    }

    /// The requests so far, oldest first, at most the last 65,536.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.record.seen()
    }

    /// The number of requests so far that match this [`Pattern`], `METHOD WHAT`. Errors: a malformed pattern.
    pub fn count(&self, pattern: &str) -> Result<usize> {
        let pattern = pattern.parse::<Pattern>()?;
        Ok(self.seen().iter().filter(|seen| pattern.fits(&seen.method, &seen.uri)).count())
    }

    /// The number of bytes sent so far, including heads of answers.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The loss of a new connection.
    pub(super) fn new_connection(&self) -> ConnectionLoss {
        ConnectionLoss::new(Arc::clone(&self.sent))
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faults({})", self.rules.len())
    }
}
