//! The fault language: what goes wrong, and with which requests, as data.

use std::{collections::BTreeMap, time::Duration};

use http::{Method, Uri};
use serde::{Deserialize, Deserializer, de};

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

/// Which requests: `METHOD WHAT`.
///
/// METHOD is one, several with `|` between them, or `*`. WHAT is part of a path and query that starts with `/`, or a
/// kind of request: `api` (`/v2/`), `manifest`, `blob`, `upload` (opening one, and sending to it), `mount`,
/// `referrers`, `tags`, `token`, `any`.
#[derive(Debug, Clone)]
pub struct Pattern {
    methods: Vec<Method>,
    what: String,
}

const KINDS: [&str; 9] = ["api", "manifest", "blob", "upload", "mount", "referrers", "tags", "token", "any"];

impl Pattern {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let (methods, what) = text.split_once(' ').ok_or("`on` is `METHOD WHAT`")?;
        let methods = if methods == "*" { Vec::new() } else { methods.split('|').collect() };
        let methods = methods.into_iter().map(|m| m.parse().map_err(|_| format!("`{m}` is no method")));
        if !what.starts_with('/') && !KINDS.contains(&what) {
            return Err(format!("`{what}` is neither part of a path nor one of {}", KINDS.join(", ")));
        }
        Ok(Self { methods: methods.collect::<Result<_, _>>()?, what: what.to_owned() })
    }

    /// Whether this is such a request.
    #[must_use]
    pub fn fits(&self, method: &Method, uri: &Uri) -> bool {
        let path = uri.path();
        let upload = path.contains("/blobs/uploads/");
        let fits = match self.what.as_str() {
            "any" => true,
            "api" => path == "/v2/" || path == "/v2",
            "manifest" => path.contains("/manifests/"),
            "blob" => path.contains("/blobs/") && !upload,
            "upload" => upload,
            "mount" => upload && uri.query().unwrap_or_default().contains("mount="),
            "referrers" => path.contains("/referrers/"),
            "tags" => path.ends_with("/tags/list"),
            "token" => path == "/token",
            part => uri.path_and_query().is_some_and(|all| all.as_str().contains(part)),
        };
        fits && (self.methods.is_empty() || self.methods.contains(method))
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::read(&String::deserialize(from)?).map_err(de::Error::custom)
    }
}

/// Which of several requests, counted from 1: `3`, `2-5`, `3-` or `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nth {
    first: usize,
    last: usize,
}

impl Default for Nth {
    fn default() -> Self {
        Self { first: 1, last: 1 }
    }
}

impl Nth {
    /// Whether this one is among them.
    #[must_use]
    pub fn holds(self, n: usize) -> bool {
        (self.first..=self.last).contains(&n)
    }

    fn parse(text: &str) -> Option<Self> {
        let (first, last) = match text.split_once('-') {
            _ if text == "all" => (1, usize::MAX),
            Some((first, "")) => (first.parse().ok()?, usize::MAX),
            Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
            None => (text.parse().ok()?, text.parse().ok()?),
        };
        (0 < first && first <= last).then_some(Self { first, last })
    }
}

impl<'de> Deserialize<'de> for Nth {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(usize),
            Text(String),
        }
        let text = match Written::deserialize(from)? {
            Written::Number(n) => n.to_string(),
            Written::Text(text) => text,
        };
        Self::parse(&text).ok_or_else(|| de::Error::custom("`nth` is `3`, `2-5`, `3-` or `all`"))
    }
}

/// Seconds, with decimals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub Duration);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let seconds = Duration::try_from_secs_f64(f64::deserialize(from)?);
        seconds.map(Self).map_err(|_| de::Error::custom("not a time in seconds"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, method: &str, uri: &str) -> bool {
        Pattern::read(pattern).unwrap().fits(&method.parse().unwrap(), &uri.parse().unwrap())
    }

    #[test]
    fn patterns_name_methods_and_kinds_of_requests() {
        assert!(fits("GET blob", "GET", "/v2/a/blobs/sha256:1"));
        assert!(!fits("GET blob", "HEAD", "/v2/a/blobs/sha256:1"));
        assert!(!fits("* blob", "POST", "/v2/a/blobs/uploads/"));
        assert!(fits("PUT|PATCH upload", "PATCH", "/v2/a/blobs/uploads/1"));
        assert!(fits("POST mount", "POST", "/v2/a/blobs/uploads/?mount=sha256:1&from=b"));
        assert!(fits("* /a/manifests/v", "GET", "/v2/a/manifests/v1") && fits("* any", "GET", "/"));
        for bad in ["GET", "GET thing", "G(T blob", ""] {
            assert!(Pattern::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn requests_are_counted_from_one() {
        let held = |text: &str| {
            let nth = Nth::parse(text).unwrap();
            (0..7).filter(|n| nth.holds(*n)).collect::<Vec<_>>()
        };
        assert_eq!((held("3"), held("2-4"), held("5-"), held("all").len()), (vec![3], vec![2, 3, 4], vec![5, 6], 6));
        for bad in ["0", "4-2", "-3", "x", "1-x", ""] {
            assert!(Nth::parse(bad).is_none(), "{bad}");
        }
    }
}
