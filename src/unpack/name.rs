//! Checks names of files: relative, below the destination, and safe on all operating systems.

use std::{borrow::Cow, fmt};

use unicode_normalization::UnicodeNormalization as _;

use crate::{
    error::{Error, Kind, Result},
    tarball::read::{Limits, quoted_name},
};

/// Prefix of this program's temporary directories; names in artifacts must not have it.
pub(super) const OWN: &str = ".artifact-";

/// A safe relative path: components joined by `/`; empty for the base itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Name(String);

impl Name {
    /// Parses a path; empty components and `.` are dropped, as in all tar programs.
    ///
    /// Errors: kind `Escape` for absolute paths and `..`, `Limit` for long ones, `Invalid` for names with a special
    /// meaning on some system.
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
        if parts.first().is_some_and(|first| fold(first).starts_with(OWN)) {
            return Err(Error::invalid(format!("names that start with `{OWN}` are reserved")));
        }
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
    let Some(kept) = inside.filter(|_| !parts().skip(up).any(|part| part == "..")) else {
        return Err(escape(&format!("the link to {} is outside the destination", shown())));
    };
    let resolved: Vec<&str> = at.as_str().split('/').take(kept).chain(parts().skip(up)).collect();
    if resolved.join("/") == at.as_str() {
        return Err(Error::invalid("the link points to itself"));
    }
    Ok(())
}

/// The form for comparing names: names with equal forms can be the same file on some system.
pub(super) fn fold(name: &str) -> Cow<'_, str> {
    if name.is_ascii() {
        let upper = name.bytes().any(|b| b.is_ascii_uppercase());
        return if upper { Cow::Owned(name.to_ascii_lowercase()) } else { Cow::Borrowed(name) };
    }
    // Upper case makes names equal that lower case alone keeps apart (`ß` and `ss`, `ı` and `i`), except `ẞ`.
    let plain = name.nfkd().filter(|c| !is_ignorable(*c));
    let upper = plain.flat_map(char::to_lowercase).flat_map(char::to_uppercase);
    let lower: String = upper.flat_map(char::to_lowercase).nfkd().collect();
    Cow::Owned(lower.replace("i\u{307}", "i"))
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
    let bad = |what: &str| Err(Error::invalid(format!("the name {} {what}", quoted_name(part))));
    if part.contains(is_unsafe) {
        return bad("contains a control character, a backslash or a colon");
    }
    if part.ends_with(['.', ' ']) {
        return bad("ends with a dot or a space");
    }
    if is_device(part) {
        return bad("is a device name on Windows");
    }
    Ok(())
}

/// Whether a character changes a terminal's output, or the meaning of a path on Windows.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\\' | ':')
        || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{e0000}'..='\u{e007f}')
}

/// Whether a character is invisible and ignored by some file systems: joiners and variation selectors.
fn is_ignorable(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}')
}

/// Whether Windows reserves a name, with any extension ("Naming Files, Paths, and Namespaces").
fn is_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or_default().trim_end_matches(' ').to_ascii_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") {
        return true;
    }
    let port = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    let mut rest = port.unwrap_or_default().chars();
    matches!((rest.next(), rest.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
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
        for good in [".wh.x", "%2e%2e", "été", "com", "com10", "console", "a b", "{{x}}", "$(id)", "👨‍👩‍👧"]
        {
            assert!(parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_on_some_system_are_refused() {
        for bad in ["/a", "//a", "..", "a/../b", "./../a", "a//..//..//e"] {
            assert_eq!(parse(bad).unwrap_err().kind(), Kind::Escape, "{bad}");
        }
        for bad in [
            "C:\\x",
            "C:x",
            "\\\\server\\share",
            "\\\\?\\x",
            "..\\..\\evil",
            "a.",
            "a ",
            " ",
            "...",
            "CON",
            "a/nul.txt",
            "COM¹",
            "LPT0",
            "aux .log",
            "x/conin$",
            "file:stream",
            "a\nb",
            "a\tb",
            "a\x1b[2Jb",
            "a\x7fb",
            "a\0b",
            "a\u{202e}b",
            "a\u{85}b",
            ".artifact-x",
            ".Artifact-unpack-1/y",
        ] {
            let error = parse(bad).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{bad:?}");
        }
        for long in ["x".repeat(256), "a/".repeat(129), "aaaa/".repeat(900)] {
            assert_eq!(parse(&long).unwrap_err().kind(), Kind::Limit);
        }
    }

    #[test]
    fn names_that_some_file_system_takes_for_one_have_one_form() {
        for (a, b) in [
            ("A", "a"),
            ("é", "e\u{301}"),
            ("ß", "ss"),
            ("ß", "SS"),
            ("ẞ", "ß"),
            ("I", "ı"),
            ("İ", "i"),
            ("ﬁ", "fi"),
            ("ſ", "s"),
            ("Σ", "ς"),
            ("K", "k"),
            ("Å", "å"),
            ("x\u{200d}", "x"),
        ] {
            assert_eq!(fold(a), fold(b), "{a} {b}");
        }
        assert_ne!(fold("e"), fold("é"));
        assert_ne!(fold("a"), fold("b"));
    }

    #[test]
    fn links_stay_inside_whatever_they_pass_through() {
        let at = parse("a/b/link").unwrap();
        for good in ["x", "./x", "../x", "../../x", "x/y/z", "../b/x", "../..", "."] {
            assert!(check_target(good, &at).is_ok(), "{good}");
        }
        for bad in
            ["", "/x", "../../../x", "x/../../../../y", "x/../y", "link", "../b/link", "C:x", "a\\b", "a\nb", "a\0b"]
        {
            assert!(check_target(bad, &at).is_err(), "{bad:?}");
        }
        assert!(check_target("..", &parse("link").unwrap()).is_err());
    }
}
