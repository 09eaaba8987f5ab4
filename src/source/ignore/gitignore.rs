//! Git's rules (`dir.c` and `wildmatch.c` in git): the last matching pattern decides, and an ignored directory includes
//! everything below it. As in git, patterns are bytes, so that `?` is one byte of a letter, and one that is malformed matches
//! nothing.

use super::wildmatch::Pattern;
use crate::{error::Result, glob::Effort};

#[derive(Debug)]
pub(super) struct List(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    /// Begins with `!`.
    keeps: bool,
    directories: bool,
    /// Compared with the last component only.
    base_name: bool,
    pattern: Pattern,
}

impl List {
    pub(super) fn new(lines: &[&str]) -> Self {
        Self(lines.iter().filter_map(|line| Rule::new(line)).collect())
    }

    /// Errors: the effort is exhausted.
    pub(super) fn ignores(&self, path: &str, directory: bool, effort: &Effort) -> Result<bool> {
        for rule in self.0.iter().rev() {
            if (directory || !rule.directories) && rule.matches(path, effort)? {
                return Ok(!rule.keeps);
            }
        }
        Ok(false)
    }
}

impl Rule {
    fn new(line: &str) -> Option<Self> {
        let text = without_trailing_spaces(line);
        if line.starts_with('#') || text.is_empty() {
            return None;
        }
        let (keeps, text) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let (directories, text) = text.strip_suffix('/').map_or((false, text), |rest| (true, rest));
        let base_name = !text.contains('/');
        let anchored = text.strip_prefix('/').unwrap_or(text);
        let pattern = Pattern::new(anchored.as_bytes())?;
        Some(Self { keeps, directories, base_name, pattern })
    }

    fn matches(&self, path: &str, effort: &Effort) -> Result<bool> {
        let name = if self.base_name { path.rsplit('/').next().unwrap_or(path) } else { path };
        self.pattern.matches(name.as_bytes(), effort)
    }
}

/// A line without the spaces at its end; one behind a backslash stays.
fn without_trailing_spaces(line: &str) -> &str {
    let mut end = 0;
    let mut rest = line.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        let last = if c == '\\' { rest.next() } else { Some((at, c)).filter(|_| c != ' ') };
        match last {
            Some((at, c)) => end = at.saturating_add(c.len_utf8()),
            None if c == '\\' => return line,
            None => {}
        }
    }
    line.get(..end).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(text: &str, path: &str, directory: bool) -> bool {
        List::new(&text.lines().collect::<Vec<_>>()).ignores(path, directory, &Effort::default()).unwrap()
    }

    #[test]
    fn rules_read_as_git_reads_them() {
        for (text, path, directory, yes) in [
            ("*.o", "d/a.o", false, true),
            ("/a", "a", false, true),
            ("/a", "d/a", false, false),
            ("d/", "d", true, true),
            ("d/", "d", false, false),
            ("d/", "x/d", true, true),
            ("a/b", "a/b", false, true),
            ("a/b", "x/a/b", false, false),
            ("*.o\n!keep.o", "keep.o", false, false),
            ("!keep.o\n*.o", "keep.o", false, true),
            ("a/**/b", "a/x/y/b", false, true),
            ("a/**/b", "a/b", false, true),
            ("**/b", "x/y/b", false, true),
            ("# c\n\\#c", "#c", false, true),
            ("\\!c", "!c", false, true),
            ("a   ", "a", false, true),
            ("a\\ ", "a ", false, true),
            ("a\\  ", "a ", false, true),
        ] {
            assert_eq!(ignored(text, path, directory), yes, "{text:?} {path}");
        }
    }

    #[test]
    fn braces_are_letters_and_what_is_malformed_matches_nothing() {
        for (text, path, yes) in [
            ("*.py{}", "a.py", false),
            ("*.py{}", "a.py{}", true),
            ("{a,b}", "a", false),
            ("{a,b}", "{a,b}", true),
            ("{{cookiecutter.x}}", "{{cookiecutter.x}}", true),
            ("[a", "[a", false),
            ("a\\", "a\\", false),
            ("[[:nothing:]]", "a", false),
            ("?", "é", false),
            ("??", "é", true),
        ] {
            assert_eq!(ignored(text, path, false), yes, "{text:?} {path}");
        }
    }
}
