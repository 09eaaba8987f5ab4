//! Repository names: parsed once, into a value that is safe in a URL and as a relative path.

use std::{fmt, str::FromStr};

use crate::error::{Error, Result};

/// Longest name: what is left of the 255 characters that many clients allow for `host/name`, with room for a host
/// (distribution-spec, "Pulling manifests"), rounded up.
const MAX: usize = 255;

/// The name of a repository, as the distribution specification's grammar allows it: lower case, no `..`, no empty part.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<str>);

impl Name {
    /// The name as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands between the slashes.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.len() > MAX || !text.split('/').all(is_part) {
            return Err(Error::invalid(format!("`{}` is not a repository name", text.escape_default())));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Runs of `[a-z0-9]`, with `.`, `_`, `__` or any number of `-` between them.
fn is_part(part: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separator = |s: &str| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-');
    part.starts_with(word) && part.ends_with(word) && part.split(word).all(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_grammar_of_the_specification() {
        for good in ["a", "a/b", "0", "a.b/c_d/e__f/g-h/i---j", "library/nginx", &"a".repeat(255)] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            ".",
            "..",
            "a/../b",
            "A",
            "a..b",
            "a___b",
            "a._b",
            "-a",
            "a-",
            "_a",
            "a b",
            "a\0",
            "ä",
            "a%2fb",
            "a\\b",
            &"a".repeat(256),
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
    }
}
