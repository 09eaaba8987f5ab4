//! Scenarios: a fault, and what a client must make of it.

use std::time::Duration;

use serde::Deserialize;

use super::{
    faults::Faults,
    language::{Fault, Seconds, parse_document},
    record::Seen,
};
use crate::error::Result;

/// One fault or several, and what a client must make of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// A sentence.
    pub name: String,
    /// What the client does meanwhile.
    pub operation: Operation,
    /// What is carried.
    #[serde(default)]
    pub sample: Sample,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// How often a token can be used, where one is needed.
    #[serde(default)]
    pub tokens: Option<usize>,
    /// What the client must make of it.
    #[serde(default)]
    pub client: Client,
    /// When a client that has not ended hangs.
    pub limit: Seconds,
}

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// It takes an artifact out of the registry.
    Pull,
    /// It brings an artifact to the registry.
    Push,
}

/// An artifact: a config and some layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sample {
    /// How many.
    pub layers: usize,
    /// How long each is, in bytes, or a little more.
    pub size: usize,
    /// Whether it is about another artifact, as a signature is.
    pub subject: bool,
    /// How many artifacts are about it. They come along with a pull, and not with a push.
    pub referrers: usize,
}

impl Default for Sample {
    /// One layer of three mebibytes.
    fn default() -> Self {
        Self { layers: 1, size: 3 << 20, subject: false, referrers: 0 }
    }
}

/// What a client must make of a fault.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Client {
    /// How it must end.
    pub must: Must,
    /// How many requests it may make, of those that any of the faults is about.
    pub requests: Option<usize>,
    /// How long it must leave alone what the first fault has happened to.
    pub waits: Option<Seconds>,
    /// How many bytes it may be sent.
    pub bytes: Option<u64>,
}

/// How a client must end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Must {
    /// With success, and the right bytes at their place.
    #[default]
    Succeed,
    /// With a failure that it owns up to, and no wrong bytes at any place.
    Fail,
}

/// How a client ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It says that it succeeded. What it has stored is right, or not.
    Succeeded {
        /// Whether it is.
        right: bool,
    },
    /// It says that it failed. What it has stored may pass for right and is not, or there is nothing of the kind.
    Failed {
        /// Whether there is not.
        clean: bool,
    },
    /// It did not end within the scenario's limit.
    Hung,
}

impl Scenario {
    /// Reads scenarios: YAML documents, one each. Errors: anything that is not one, with its line.
    pub fn parse(text: &str) -> Result<Vec<Self>> {
        text.split("\n---\n").map(parse_document).collect()
    }

    /// The faults, none of which has happened yet.
    #[must_use]
    pub fn faults(&self) -> Faults {
        Faults::new(self.faults.clone(), self.tokens)
    }

    /// What a client did wrong that ended in this way after it had asked for this; `None`: nothing.
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
