//! Docker's rules: patterns are relative to the top directory; the last one that matches a path or a parent decides,
//! and `!` includes files that an earlier one ignored.

use super::{
    malformed,
    pattern::{Pattern, Stars},
};
use crate::{error::Result, glob::Effort};

/// Special characters. In Docker, `**` before text without them means a suffix: `**.log` is any log.
const SPECIAL: [char; 6] = ['*', '?', '[', ']', '\\', '/'];

#[derive(Debug)]
pub(super) struct List(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    exception: bool,
    pattern: Pattern,
}

impl List {
    pub(super) fn new(lines: &[&str]) -> Result<Self> {
        (1..).zip(lines).filter_map(|(at, line)| Rule::new(at, line).transpose()).collect::<Result<_>>().map(Self)
    }

    pub(super) fn reincludes(&self) -> bool {
        self.0.iter().any(|rule| rule.exception)
    }

    /// Errors: the effort is exhausted.
    pub(super) fn ignores(&self, path: &str, effort: &Effort) -> Result<bool> {
        for rule in self.0.iter().rev() {
            if rule.matches(path, effort)? {
                return Ok(!rule.exception);
            }
        }
        Ok(false)
    }
}

impl Rule {
    fn new(at: usize, line: &str) -> Result<Option<Self>> {
        // Only a `#` in the first column begins a comment.
        if line.starts_with('#') || line.trim().is_empty() {
            return Ok(None);
        }
        let line = line.trim();
        let (exception, rest) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest.trim()));
        let clean: Vec<&str> = rest.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if rest.is_empty() || exception && clean.is_empty() && rest.starts_with('/') {
            return Err(malformed(at, line, "has nothing after `!`"));
        }
        if clean.is_empty() {
            // `.` and `/` mean the whole context, which cannot be ignored.
            return Ok(None);
        }
        let clean = clean.join("/");
        let ending = clean.strip_prefix("**").filter(|end| !end.is_empty() && !end.contains(SPECIAL));
        let pattern = match ending {
            Some(text) => Pattern::suffix(text),
            None => Pattern::new(&clean, Stars::Any).map_err(|why| malformed(at, line, why))?,
        };
        Ok(Some(Self { exception, pattern }))
    }

    fn matches(&self, path: &str, effort: &Effort) -> Result<bool> {
        let parents = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
        for part in parents.chain([path]) {
            if self.pattern.matches(part, effort)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(text: &str, path: &str) -> bool {
        List::new(&text.lines().collect::<Vec<_>>()).unwrap().ignores(path, &Effort::default()).unwrap()
    }

    #[test]
    fn rules_read_as_docker_reads_them() {
        for (text, path, yes) in [
            ("temp", "temp", true),
            ("temp", "temp/a", true),
            ("temp", "x/temp", false),
            ("*/temp*", "x/temporary", true),
            ("*/*/temp*", "x/temp", false),
            ("temp?", "tempa", true),
            ("**/*.go", "a.go", true),
            ("**/*.go", "x/y/a.go", true),
            ("/foo/bar", "foo/bar", true),
            ("./foo//bar/", "foo/bar/x", true),
            ("*.md\n!README.md", "README.md", false),
            ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true),
            ("*.md\nREADME-secret.md\n!README*.md", "README-secret.md", false),
            ("docs\n!docs/keep", "docs/keep", false),
            ("docs\n!docs/keep", "docs/other", true),
            ("# c", "c", false),
            (" # c", "# c", true),
            (".", "a", false),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("**", "a/b", true),
            ("**.log", "x/a.log", true),
            ("**.log", "x/a.logs", false),
            ("**.l?g", "x/a.log", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
        ] {
            assert_eq!(ignored(text, path), yes, "{text:?} {path}");
        }
    }

    #[test]
    fn an_exception_from_nothing_is_an_error() {
        for text in ["!", "a\n! ", "!/"] {
            assert!(List::new(&text.lines().collect::<Vec<_>>()).is_err(), "{text}");
        }
    }
}
