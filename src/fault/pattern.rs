//! The requests that a fault affects: method, path, position.

use std::str::FromStr;

use http::{Method, Uri};
use serde::{Deserialize, Deserializer, de};

use crate::error::Error;

/// The method and the path of requests: `METHOD WHAT`.
///
/// METHOD is one method, several separated by `|`, or `*`. WHAT is part of a path and query that starts with `/`, or a
/// kind of request: `api` (`/v2/`), `manifest`, `blob`, `upload` (opening one, and sending to it), `mount`,
/// `referrers`, `tags`, `token`, `any`.
#[derive(Debug, Clone)]
pub struct Pattern {
    methods: Vec<Method>,
    what: String,
}

const KINDS: [&str; 9] = ["api", "manifest", "blob", "upload", "mount", "referrers", "tags", "token", "any"];

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        let (methods, what) = text.split_once(' ').ok_or("`on` must be `METHOD WHAT`")?;
        let methods = if methods == "*" { Vec::new() } else { methods.split('|').collect() };
        let methods = methods.into_iter().map(|m| m.parse().map_err(|_| format!("`{m}` is not a method")));
        if !what.starts_with('/') && !KINDS.contains(&what) {
            return Err(format!("`{what}` must be part of a path, or one of {}", KINDS.join(", ")));
        }
        Ok(Self { methods: methods.collect::<Result<_, _>>()?, what: what.to_owned() })
    }

    /// Whether a request matches.
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

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text).map_err(Error::invalid)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(de::Error::custom)
    }
}

/// Positions among several requests, counted from 1: `3`, `2-5`, `3-` or `all`.
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
    /// Whether position `n` is included.
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
        Self::parse(&text)
            .ok_or_else(|| de::Error::custom("`nth` must be a number or range such as `3`, `2-5` or `3-`, or `all`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, method: &str, uri: &str) -> bool {
        Pattern::parse(pattern).unwrap().fits(&method.parse().unwrap(), &uri.parse().unwrap())
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
            assert!(Pattern::parse(bad).is_err(), "{bad}");
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
