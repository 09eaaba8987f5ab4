//! Patterns for the names of a store.

use std::str::FromStr;

use crate::{
    error::{Error, Result},
    glob::{Effort, Globs},
    oci::RefName,
};

/// A glob for names: `*` is any text, `?` one character, `{a,b}` and `[0-9]` select. A slash is nothing special, as names
/// in a layout may be whole references.
#[derive(Debug, Clone)]
pub struct NamePattern(Globs);

impl NamePattern {
    /// The names that match. Errors: kind `Limit` if comparing takes too long.
    pub fn select(&self, names: Vec<RefName>) -> Result<Vec<RefName>> {
        let effort = Effort::default();
        let mut found = Vec::new();
        for name in names {
            if self.0.matches(&name, &effort)? {
                found.push(name);
            }
        }
        Ok(found)
    }
}

impl FromStr for NamePattern {
    type Err = Error;

    /// Errors: a malformed glob.
    fn from_str(text: &str) -> Result<Self> {
        Globs::for_text(text).map(Self).map_err(Error::into_misuse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_selects_names_in_their_order_and_a_slash_is_nothing_special() {
        let names = |all: &[&str]| all.iter().map(|name| name.parse().unwrap()).collect::<Vec<RefName>>();
        let all = ["1.0.0", "1.0.0-rc.1", "ghcr.io/a/b:1.0.0", "latest"];
        for (pattern, matching) in [
            ("*", &all[..]),
            ("1.*", &all[..2]),
            ("*:1.0.0", &all[2..3]),
            ("{latest,1.0.0}", &["1.0.0", "latest"]),
            ("[0-9].?.0", &all[..1]),
            ("none", &[]),
        ] {
            let pattern: NamePattern = pattern.parse().unwrap();
            assert_eq!(pattern.select(names(&all)).unwrap(), names(matching));
        }
        assert!("[a".parse::<NamePattern>().is_err());
    }
}
