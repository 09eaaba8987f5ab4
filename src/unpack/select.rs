//! Selects files by patterns.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::name::{Name, ancestors};
use crate::error::{Error, Result};

/// The selected files: those that match a pattern, or are in a directory that does.
#[derive(Debug)]
pub(super) struct Select(Option<GlobSet>);

impl Select {
    /// Selects all files if there are no patterns. `*` and `?` match within a component, `**` across components.
    pub(super) fn new(patterns: &[String]) -> Result<Self> {
        if patterns.is_empty() {
            return Ok(Self(None));
        }
        let mut all = GlobSetBuilder::new();
        for pattern in patterns {
            let bad = |e: globset::Error| Error::misuse(format!("malformed pattern `{pattern}`: {e}"));
            all.add(GlobBuilder::new(pattern).literal_separator(true).build().map_err(bad)?);
        }
        let all = all.build().map_err(|e| Error::invalid(format!("patterns: {e}")))?;
        Ok(Self(Some(all)))
    }

    /// Whether this file or directory is selected.
    pub(super) fn includes(&self, name: &Name) -> bool {
        let Some(set) = &self.0 else { return true };
        set.is_match(name.as_str()) || ancestors(name.as_str()).any(|directory| set.is_match(directory))
    }

    /// Whether there are patterns.
    pub(super) fn is_partial(&self) -> bool {
        self.0.is_some()
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
            assert!(select.includes(&name(yes)), "{yes}");
        }
        for no in ["", "doc", "x/docs", "x/a.md", "src/b.rs"] {
            assert!(!select.includes(&name(no)), "{no}");
        }
        assert!(Select::new(&["a[".into()]).is_err());
    }
}
