//! Globs for relative paths: `*` and `?` match within a component, `**` across components, `{a,b}` and `[a-z]` select.

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::{escapes, names::escape};
use crate::error::{Error, Result};

/// Limits that keep compiled globs small: bytes of a glob, globs of a list.
const MAX_GLOB: usize = 1024;
const MAX_GLOBS: usize = 10_000;

/// A compiled list of globs.
#[derive(Debug, Clone)]
pub(crate) struct Globs(GlobSet);

impl Globs {
    /// Compiles a list. Errors: kind `Escape` for an absolute glob or one with `..`, kind `Invalid` for a malformed
    /// one.
    pub(crate) fn new(globs: &[String]) -> Result<Self> {
        if globs.len() > MAX_GLOBS {
            return Err(Error::limit(format!("the list has {} globs; the limit is {MAX_GLOBS}", globs.len())));
        }
        let mut set = GlobSetBuilder::new();
        for glob in globs {
            let tidy = tidy(glob)?;
            let fail = |e: globset::Error| Error::invalid(format!("the glob `{}`: {}", escape(glob), e.kind()));
            set.add(GlobBuilder::new(&tidy).literal_separator(true).backslash_escape(true).build().map_err(fail)?);
        }
        set.build().map(Self).map_err(|e| Error::invalid(format!("the globs are too complex: {e}")))
    }

    /// Whether the list is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the places in the list of the globs that match this relative path; whether there are any.
    pub(crate) fn note(&self, path: &str, places: &mut BTreeSet<usize>) -> bool {
        let found = self.0.matches(path);
        places.extend(&found);
        !found.is_empty()
    }

    /// Whether a glob matches this relative path.
    pub(crate) fn matches(&self, path: &str) -> bool {
        self.0.is_match(path)
    }
}

/// A glob without a leading `./`; one that ends in `/` matches everything below.
fn tidy(glob: &str) -> Result<String> {
    let shown = escape(glob);
    if glob.is_empty() || glob.len() > MAX_GLOB {
        return Err(Error::invalid(format!("a glob has 1 to {MAX_GLOB} bytes: `{shown}`")));
    }
    if glob.starts_with('/') || glob.starts_with("~/") {
        return Err(escapes(format!("the glob `{shown}` is absolute")));
    }
    if glob.split(['/', '{', '}', ',']).any(|part| part == "..") {
        return Err(escapes(format!("the glob `{shown}` leads upwards")));
    }
    let mut rest = glob;
    while let Some(short) = rest.strip_prefix("./") {
        rest = short;
    }
    Ok(match rest.strip_suffix('/') {
        Some(dir) => format!("{dir}/**"),
        None if rest == "." || rest.is_empty() => "**".to_owned(),
        None => rest.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn globs(list: &[&str]) -> Result<Globs> {
        Globs::new(&list.iter().map(|g| (*g).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_star_stays_within_a_component_and_two_do_not() {
        for (glob, path, yes) in [
            ("*.png", "a.png", true),
            ("*.png", "d/a.png", false),
            ("**/*.png", "a.png", true),
            ("**/*.png", "d/e/a.png", true),
            ("d/**", "d/e/f", true),
            ("d/**", "d", false),
            ("d/", "d/e", true),
            ("./d/*.md", "d/x.md", true),
            ("{a,b}.md", "b.md", true),
            ("[a-c].md", "d.md", false),
            (".", "any/thing", true),
            ("a..b", "a..b", true),
        ] {
            assert_eq!(globs(&[glob]).unwrap().matches(path), yes, "{glob} {path}");
        }
    }

    #[test]
    fn a_glob_that_leaves_is_refused() {
        for glob in ["../x", "a/../../b", "/etc/*", "../../**", "~/x", "{..,a}/x", "./../x"] {
            assert_eq!(globs(&[glob]).unwrap_err().kind(), Kind::Escape, "{glob}");
        }
        for glob in ["", "[", "{a", &"*".repeat(2000)] {
            assert_eq!(globs(&[glob]).unwrap_err().kind(), Kind::Invalid, "{glob}");
        }
    }
}
