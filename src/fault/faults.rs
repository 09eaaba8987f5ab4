//! All faults of an app, and what they have happened to.

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

/// What goes wrong with an app, and what was asked of it. Counts from the first request on.
pub struct Faults {
    pub(super) rules: Vec<Rule>,
    pub(super) tokens: Option<Tokens>,
    pub(super) record: Record,
    sent: Arc<AtomicU64>,
}

impl Faults {
    /// These faults; `tokens`: every request needs a token, each of which can be used so often.
    #[must_use]
    pub fn new(faults: Vec<Fault>, tokens: Option<usize>) -> Self {
        let rules = faults.into_iter().map(Rule::new).collect();
        Self { rules, tokens: tokens.map(Tokens::new), record: Record::default(), sent: Arc::default() }
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
        let document: Document = parse_document(text)?;
        Ok(Self::new(document.faults, document.tokens))
    }

    /// The requests so far, oldest first; of very many, the last 65,536.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.record.seen()
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
