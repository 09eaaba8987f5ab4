//! Checks names of files: relative, below the destination, and without faults.

use std::fmt;

use crate::{
    error::{Error, Kind, Result},
    fs::{is_unsafe, name_fault},
    tarball::read::{Limits, quoted_name},
};

/// A safe relative path: components joined by `/`; empty for the base itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Name(String);

impl Name {
    /// Parses a path; empty components and `.` are dropped, as in all tar programs.
    ///
    /// Errors: kind `Escape` for absolute paths and `..`, `Limit` for long ones, `Invalid` for names that are
    /// not packed either.
    pub(super) fn parse(text: &str, limits: &Limits) -> Result<Self> {
        if text.starts_with('/') {
            return Err(escape("the path is absolute"));
        }
        if text.len() > limits.path {
            return Err(Error::limit(format!("the path has {} bytes; the limit is {}", text.len(), limits.path)));
        }
        let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if parts.len() > limits.depth {
            return Err(Error::limit(format!("the path is more than {} directories deep", limits.depth)));
        }
        parts.iter().try_for_each(|part| check(part, limits))?;
        Ok(Self(parts.join("/")))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The path `other` below this one.
    pub(super) fn join(&self, other: &Self) -> Self {
        match (self.is_empty(), other.is_empty()) {
            (true, _) => other.clone(),
            (_, true) => self.clone(),
            _ => Self(format!("{self}/{other}")),
        }
    }

    /// This path relative to `root`; `None` if it is not below it.
    pub(super) fn below(&self, root: &Self) -> Option<Self> {
        if root.is_empty() {
            return Some(self.clone());
        }
        let rest = self.0.strip_prefix(root.as_str())?;
        if rest.is_empty() { Some(Self::default()) } else { rest.strip_prefix('/').map(|rest| Self(rest.into())) }
    }

    /// This path without its first components; empty if it has no more.
    pub(super) fn without_first(&self, components: usize) -> Self {
        Self(self.0.splitn(components.saturating_add(1), '/').nth(components).unwrap_or_default().into())
    }

    /// The number of components.
    pub(super) fn depth(&self) -> usize {
        if self.is_empty() { 0 } else { self.0.split('/').count() }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The directory and last component of a path.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// All parent directories of a path, outermost first, without the base.
pub(super) fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').filter_map(|(at, _)| path.get(..at))
}

/// Errors: the target of a symbolic link at `at` leaves the base of `at`.
///
/// A `..` is allowed only at the start, where it refers to real directories: after another component, which may be a
/// link, its meaning is unknown.
pub(super) fn check_target(target: &str, at: &Name) -> Result<()> {
    let shown = || quoted_name(target);
    if target.is_empty() || target.starts_with('/') || target.contains(is_unsafe) {
        return Err(escape(&format!("the link to {} is not a safe relative path", shown())));
    }
    let parts = || target.split('/').filter(|part| !matches!(*part, "" | "."));
    let up = parts().take_while(|part| *part == "..").count();
    let inside = at.depth().checked_sub(1).and_then(|depth| depth.checked_sub(up));
    if inside.is_none() || parts().skip(up).any(|part| part == "..") {
        return Err(escape(&format!("the link to {} is outside the destination", shown())));
    }
    Ok(())
}

fn escape(what: &str) -> Error {
    Error::new(Kind::Escape, what)
}

fn check(part: &str, limits: &Limits) -> Result<()> {
    if part == ".." {
        return Err(escape("the path contains `..`"));
    }
    if part.len() > limits.component {
        return Err(Error::limit(format!("a path component is longer than {} bytes", limits.component)));
    }
    match name_fault(part) {
        Some(fault) => Err(Error::invalid(format!("the name {} {fault}", quoted_name(part)))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Name> {
        Name::parse(text, &Limits::default())
    }

    #[test]
    fn ordinary_names_pass_and_dots_are_dropped() {
        for (text, name) in
            [("a/b.c", "a/b.c"), ("./a//b/", "a/b"), (".", ""), ("", ""), ("...x", "...x"), ("-rf", "-rf"), ("~", "~")]
        {
            assert_eq!(parse(text).unwrap().as_str(), name);
        }
        assert!(parse("docs/.artifactignore").is_ok());
    }

    #[test]
    fn names_that_lead_elsewhere_or_are_ours_are_refused() {
        for bad in ["/a", "//a", "..", "a/../b", "./../a", "a//..//..//e"] {
            assert_eq!(parse(bad).unwrap_err().kind(), Kind::Escape, "{bad}");
        }
        for bad in ["a\nb", "a/\u{202e}b", "a\0b", ".artifact-x", "a/.Artifact-unpack-1/y"] {
            let error = parse(bad).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{bad:?}");
        }
        for long in ["x".repeat(256), "a/".repeat(129), "aaaa/".repeat(900)] {
            assert_eq!(parse(&long).unwrap_err().kind(), Kind::Limit);
        }
    }

    #[test]
    fn links_stay_inside_whatever_they_pass_through() {
        let at = parse("a/b/link").unwrap();
        for good in ["x", "./x", "../x", "../../x", "x/y/z", "../b/x", "../..", ".", "link", "C:x", "a\\b"] {
            assert!(check_target(good, &at).is_ok(), "{good}");
        }
        for bad in ["", "/x", "../../../x", "x/../../../../y", "x/../y", "a\nb", "a\0b"] {
            assert!(check_target(bad, &at).is_err(), "{bad:?}");
        }
        assert!(check_target("..", &parse("link").unwrap()).is_err());
    }
}
