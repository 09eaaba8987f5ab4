//! The fault language: what goes wrong, and with which requests, as data.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Deserializer, de, de::DeserializeOwned};

use super::pattern::{Nth, Pattern};
use crate::{document, error::Result};

/// One thing that goes wrong. Without anything but `on`, nothing does: such a fault only counts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// With which requests.
    pub on: Pattern,
    /// With which of these: by default the first.
    #[serde(default)]
    pub nth: Nth,
    /// With those only whose body is longer than this, in bytes.
    #[serde(default)]
    pub longer: Option<u64>,
    /// Seconds that pass before anything else happens.
    #[serde(default)]
    pub delay: Seconds,
    /// Headers and query parameters of the request that the registry does not see.
    #[serde(default)]
    pub ignore: Vec<String>,
    /// This is answered, and the registry hears nothing of the request.
    #[serde(default)]
    pub refuse: Option<Refusal>,
    /// The registry's answer is another one.
    #[serde(default)]
    pub change: Option<Change>,
    /// The connection does not last.
    #[serde(default)]
    pub lose: Option<Loss>,
}

/// An answer that is not the registry's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// Headers. `{host}` and `{path}` stand for those of the request, `{date}` for the time of day as HTTP writes it,
    /// and `{date+N}` for the time in N seconds.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(default)]
    pub body: String,
    /// Answered before the request's body was read. What still comes of it is read and dropped.
    #[serde(default)]
    pub early: bool,
}

/// What is different about an answer of the registry.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The status.
    #[serde(default)]
    pub status: Option<u16>,
    /// Headers, written as in [`Refusal::headers`]; `null` takes one away.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<String>>,
    /// One bit of this byte of the body.
    #[serde(default)]
    pub flip: Option<u64>,
}

/// How a connection is lost.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// While what is on its way.
    pub what: What,
    /// After so many bytes of its body; those of a request get to the registry. Shorter bodies are not hit. Without it,
    /// before a single byte: of a request, the registry hears nothing; of an answer, not even the status comes.
    #[serde(default)]
    pub after: Option<u64>,
    /// How.
    #[serde(default)]
    pub by: Means,
}

/// What is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// From the client.
    Request,
    /// To the client: the registry has done what it was asked to.
    Answer,
}

/// How a connection is lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Means {
    /// Closed in good form.
    #[default]
    Close,
    /// Reset.
    Reset,
    /// It stays open, and nothing comes any more.
    Silence,
    /// It stays open, and every 20 ms comes a byte.
    Trickle,
}

/// Seconds, with decimals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub Duration);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let seconds = Duration::try_from_secs_f64(f64::deserialize(from)?);
        seconds.map(Self).map_err(|_| de::Error::custom("not a time in seconds"))
    }
}

/// Reads a YAML document. Errors: malformed, unknown keys; with line and column.
pub(super) fn parse_document<T: DeserializeOwned>(text: &str) -> Result<T> {
    document::typed(&document::Document::parse(text.as_bytes(), "faults", &document::Options::default())?)
}
