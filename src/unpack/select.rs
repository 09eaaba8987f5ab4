//! Selects files by patterns.

use super::name::{Name, ancestors};
use crate::{
    error::{Error, Result},
    glob::{Effort, Globs},
};

/// The selected files: those that match a pattern, or are in a directory that does.
#[derive(Debug)]
pub(super) struct Select {
    patterns: Globs,
    effort: Effort,
}

impl Select {
    /// Selects all files if there are no patterns. `*` and `?` match within a component, `**` across components. Errors:
    /// a malformed pattern.
    pub(super) fn new(patterns: &[String]) -> Result<Self> {
        let patterns = Globs::new(patterns.iter().map(String::as_str)).map_err(|e| Error::misuse(e.to_string()))?;
        Ok(Self { patterns, effort: Effort::default() })
    }

    /// Whether this file or directory is selected. Errors: kind `Limit` if names and patterns take too long to compare.
    pub(super) fn includes(&self, name: &Name) -> Result<bool> {
        if self.patterns.is_empty() {
            return Ok(true);
        }
        for place in std::iter::once(name.as_str()).chain(ancestors(name.as_str())) {
            if self.patterns.matches(place, &self.effort)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether there are patterns.
    pub(super) fn is_partial(&self) -> bool {
        !self.patterns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tarball::read::Limits;

    #[test]
    fn a_pattern_takes_files_and_all_that_lies_in_a_directory() {
        let select = Select::new(&["docs".into(), "*.md".into(), "src/**/a.rs".into()]).unwrap();
        let name = |text: &str| Name::parse(text, &Limits::default()).unwrap();
        for yes in ["docs", "docs/deep/x", "a.md", "src/a.rs", "src/x/y/a.rs"] {
            assert!(select.includes(&name(yes)).unwrap(), "{yes}");
        }
        for no in ["", "doc", "x/docs", "x/a.md", "src/b.rs"] {
            assert!(!select.includes(&name(no)).unwrap(), "{no}");
        }
        assert!(Select::new(&["a[".into()]).is_err());
    }
}
