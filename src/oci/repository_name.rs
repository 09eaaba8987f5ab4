//! Names of repositories: safe in a URL and as a relative path.

use std::str::FromStr;

use super::text::checked_text;
use crate::error::{Error, Result};

/// Longest name without the host, in bytes; many clients apply this limit to `host/name` (distribution-spec, "Pulling
/// manifests").
const MAX: usize = 255;

/// The name of a repository, without its registry: components of lower-case letters and digits, with `.`, `_`, `__` or
/// any number of `-` between them, joined by `/` (distribution-spec, "Pulling manifests"). No `..`, no empty component.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryName(Box<str>);

checked_text!(RepositoryName);

impl RepositoryName {
    /// The components between the slashes.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The last component.
    #[must_use]
    pub fn last(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The repository `self/name`. Errors: the result is not a valid name.
    pub fn below(&self, name: &str) -> Result<Self> {
        format!("{self}/{name}").parse()
    }
}

impl FromStr for RepositoryName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.len() <= MAX && text.split('/').all(is_component) {
            return Ok(Self(text.into()));
        }
        Err(Error::invalid(format!("`{text}` is not a repository name")))
    }
}

fn is_component(part: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separator = |s: &str| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-');
    part.starts_with(word) && part.ends_with(word) && part.split(word).all(separator)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_follow_the_grammar_of_the_specification() {
        for good in ["a", "a/b", "0", "a.b/c_d/e__f/g-h/i---j", "library/nginx", "library/x1", &"a".repeat(255)] {
            assert_eq!(good.parse::<RepositoryName>().unwrap(), good);
        }
        let long = "a/".repeat(128) + "a";
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
            "a_",
            "a b",
            "a\0",
            "ä",
            "a%2fb",
            "a\\b",
            &long,
            &"a".repeat(256),
        ] {
            assert!(bad.parse::<RepositoryName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_has_parts_and_names_below_it() {
        let name: RepositoryName = "charts/stable".parse().unwrap();
        assert_eq!((name.parts().collect::<Vec<_>>(), name.last()), (vec!["charts", "stable"], "stable"));
        assert_eq!(name.below("web").unwrap(), "charts/stable/web");
        assert!(name.below("Web").is_err() && name.below("..").is_err() && name.below("").is_err());
    }

    proptest! {
        #[test]
        fn what_the_grammar_makes_is_a_name(
            text in "[a-z0-9]{1,4}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,4}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}){0,3}",
        ) {
            let name: RepositoryName = text.parse().unwrap();
            prop_assert_eq!(name.to_string(), text.clone());
            prop_assert_eq!(name.parts().collect::<Vec<_>>().join("/"), text);
        }

        /// The published regular expression, by oci-client's implementation of it.
        #[test]
        fn a_name_is_one_to_oci_client_and_the_other_way_round(text in "[a-z0-9A./_-]{1,12}") {
            let theirs = format!("reg.test/{text}").parse::<oci_client::Reference>();
            let theirs = theirs.is_ok_and(|reference| reference.repository() == text);
            prop_assert_eq!(text.parse::<RepositoryName>().is_ok(), theirs);
        }
    }
}
