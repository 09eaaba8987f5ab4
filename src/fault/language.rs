//! The fault language: faults and the requests that they affect, as data.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Deserializer, de, de::DeserializeOwned};

use super::pattern::{Nth, Pattern};
use crate::{document, error::Result};

/// A fault. With only `on`, it has no effect but counts requests.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The affected requests.
    pub on: Pattern,
    /// Positions among these requests; by default the first.
    #[serde(default)]
    pub nth: Nth,
    /// Minimum length, exclusive, of the body in bytes.
    #[serde(default)]
    pub longer: Option<u64>,
    /// Delay in seconds before any other effect.
    #[serde(default)]
    pub delay: Seconds,
    /// Headers and query parameters to hide from the registry.
    #[serde(default)]
    pub ignore: Vec<String>,
    /// Answer instead of the registry, which does not get the request.
    #[serde(default)]
    pub refuse: Option<Refusal>,
    /// Changes to the registry's answer.
    #[serde(default)]
    pub change: Option<Change>,
    /// Loss of the connection.
    #[serde(default)]
    pub lose: Option<Loss>,
}

/// An answer instead of the registry's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// Headers. `{host}` and `{path}` are replaced by those of the request, `{date}` by the current time in HTTP's
    /// format, and `{date+N}` by the time in N seconds.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(default)]
    pub body: String,
    /// Answer before reading the request's body, which is then read and discarded.
    #[serde(default)]
    pub early: bool,
}

/// Changes to the registry's answer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The status.
    #[serde(default)]
    pub status: Option<u16>,
    /// Headers, in the format of [`Refusal::headers`]; `null` removes one.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<String>>,
    /// Offset of a byte of the body in which one bit is flipped.
    #[serde(default)]
    pub flip: Option<u64>,
}

/// The loss of a connection.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// The direction in transfer: request or answer.
    pub what: What,
    /// Number of body bytes before the loss; those of a request reach the registry. Shorter bodies are not affected. By
    /// default, the loss precedes the first byte: the registry does not get the request, or the client not even the
    /// status.
    #[serde(default)]
    pub after: Option<u64>,
    /// The kind of loss.
    #[serde(default)]
    pub by: Means,
}

/// The direction of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// From the client.
    Request,
    /// To the client; the registry has processed the request.
    Answer,
}

/// The loss of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Means {
    /// Closed regularly.
    #[default]
    Close,
    /// Reset.
    Reset,
    /// It stays open without further data.
    Silence,
    /// It stays open with one byte every 20 ms.
    Trickle,
}

/// Seconds, with decimals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub Duration);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let seconds = Duration::try_from_secs_f64(f64::deserialize(from)?);
        seconds.map(Self).map_err(|_| de::Error::custom("expected a time in seconds"))
    }
}

/// Parses a YAML document. Errors: malformed YAML or unknown keys, with line and column.
pub(super) fn parse_document<T: DeserializeOwned>(text: &str) -> Result<T> {
    document::typed(&document::Document::parse(text.as_bytes(), "faults", &document::Options::default())?)
}
