//! Scenarios: faults with the required behaviour of a client.

use std::time::Duration;

use serde::Deserialize;

use super::{
    faults::Faults,
    language::{Fault, Seconds, parse_document},
    record::Seen,
};
use crate::error::Result;

/// Faults, and the required behaviour of a client.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Name, a sentence.
    pub name: String,
    /// The client's operation.
    pub operation: Operation,
    /// The transferred artifact.
    #[serde(default)]
    pub sample: Sample,
    /// The faults.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// Number of uses of a token; if given, requests need tokens.
    #[serde(default)]
    pub tokens: Option<usize>,
    /// The required behaviour.
    #[serde(default)]
    pub client: Client,
    /// Time limit, after which a client counts as hung.
    pub limit: Seconds,
}

/// The operation of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Pulls an artifact.
    Pull,
    /// Pushes an artifact.
    Push,
}

/// An artifact: a config and some layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sample {
    /// Number of layers.
    pub layers: usize,
    /// Approximate size of each layer, in bytes.
    pub size: usize,
    /// Whether it has a subject, as a signature has.
    pub subject: bool,
    /// Number of referrers. A pull includes them, a push does not.
    pub referrers: usize,
}

impl Default for Sample {
    /// One layer of three mebibytes.
    fn default() -> Self {
        Self { layers: 1, size: 3 << 20, subject: false, referrers: 0 }
    }
}

/// The required behaviour of a client.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Client {
    /// The required end.
    pub must: Must,
    /// Limit of its requests that match a fault.
    pub requests: Option<usize>,
    /// Minimum wait after the first fault before it repeats the request.
    pub waits: Option<Seconds>,
    /// Limit of bytes sent to it.
    pub bytes: Option<u64>,
}

/// The required end of a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Must {
    /// Success, with the right content stored.
    #[default]
    Succeed,
    /// A reported failure, without wrong content stored.
    Fail,
}

/// The end of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It reported success.
    Succeeded {
        /// Whether it stored the right content.
        right: bool,
    },
    /// It reported a failure.
    Failed {
        /// Whether it stored no wrong content.
        clean: bool,
    },
    /// It did not end within the scenario's limit.
    Hung,
}

impl Scenario {
    /// Parses scenarios, one per YAML document. Errors: an invalid document, with its line.
    pub fn parse(text: &str) -> Result<Vec<Self>> {
        text.split("\n---\n").map(parse_document).collect()
    }

    /// The faults, with counts at zero.
    #[must_use]
    pub fn faults(&self) -> Faults {
        Faults::new(self.faults.clone(), self.tokens)
    }

    /// The violation by a client with this end and these requests; `None` if it behaved as required.
    #[must_use]
    pub fn judge(&self, end: End, faults: &Faults) -> Option<String> {
        let seen = faults.seen();
        self.ended(end).or_else(|| self.too_often(&seen)).or_else(|| self.too_soon(&seen)).or_else(|| {
            let most = self.client.bytes?;
            (faults.sent() > most).then(|| format!("took {} bytes", faults.sent()))
        })
    }

    fn ended(&self, end: End) -> Option<String> {
        let wrong = match (end, self.client.must) {
            (End::Succeeded { right: true }, Must::Succeed) | (End::Failed { clean: true }, Must::Fail) => return None,
            (End::Hung, _) => "hangs",
            (End::Succeeded { right: false }, _) => "success, without the right bytes",
            (End::Failed { clean: false }, _) => "wrong bytes",
            (End::Succeeded { .. }, Must::Fail) => "succeeds",
            (End::Failed { .. }, Must::Succeed) => "fails",
        };
        Some(wrong.to_owned())
    }

    fn too_often(&self, seen: &[Seen]) -> Option<String> {
        let met = |seen: &&Seen| self.faults.iter().any(|fault| fault.on.fits(&seen.method, &seen.uri));
        let (made, most) = (seen.iter().filter(met).count(), self.client.requests?);
        (made > most).then(|| format!("{made} requests"))
    }

    fn too_soon(&self, seen: &[Seen]) -> Option<String> {
        let least = self.client.waits?.0;
        let again = |(n, first): (usize, &Seen)| {
            let same = |other: &&Seen| other.method == first.method && other.uri.path() == first.uri.path();
            let next = seen.get(n + 1..)?.iter().find(same)?;
            let waited = next.at.duration_since(first.at);
            (first.faults.contains(&0) && waited < least).then_some(waited)
        };
        let soonest: Duration = seen.iter().enumerate().filter_map(again).min()?;
        Some(format!("back after {:.1} s", soonest.as_secs_f64()))
    }
}
