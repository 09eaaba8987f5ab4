//! Go's path patterns: `*` and `?` match within a component, `[a-z]` and `[^a-z]` are classes, a backslash escapes the
//! next character.

use crate::{
    error::Result,
    glob::{
        Effort,
        automaton::{Automaton, Step},
    },
};

/// A compiled pattern for whole paths.
#[derive(Debug)]
pub(super) struct Pattern(Automaton);

/// The meaning of `**`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stars {
    /// Equal to `*`, as in Go's `filepath.Match`.
    One,
    /// Any number of components, as in `.dockerignore`.
    Any,
}

impl Pattern {
    /// Compiles a pattern. Errors: a description of the defect.
    pub(super) fn new(pattern: &str, stars: Stars) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut rest = pattern.chars().peekable();
        while let Some(c) = rest.next() {
            steps.push(match c {
                '*' if stars == Stars::Any && rest.next_if_eq(&'*').is_some() => {
                    rest.next_if_eq(&'/');
                    if rest.peek().is_none() { Step::Everything } else { Step::Components }
                }
                '*' => Step::Star,
                '?' => Step::Any,
                '[' => class(&mut rest)?,
                '\\' => Step::char(rest.next().ok_or("ends in a backslash")?),
                c => Step::char(c),
            });
        }
        Ok(Self(Automaton::new(steps)))
    }

    /// A pattern for paths that end in this text.
    pub(super) fn suffix(text: &str) -> Self {
        Self(Automaton::new([Step::Everything].into_iter().chain(text.chars().map(Step::char)).collect()))
    }

    /// Errors: the effort is exhausted.
    pub(super) fn matches(&self, path: &str, effort: &Effort) -> Result<bool> {
        self.0.matches(path.chars().map(u32::from), effort)
    }
}

/// Reads a class, after its `[`.
fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Step, String> {
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && rest.next_if_eq(&']').is_some() {
            return Ok(Step::class(ranges, negated));
        }
        let low = class_char(rest)?;
        let high = match rest.next_if_eq(&'-') {
            Some(_) => class_char(rest)?,
            None => low,
        };
        // In Go, a reversed range is empty; here it is an error.
        if high < low {
            return Err("has a reversed range".to_owned());
        }
        ranges.push(u32::from(low)..=u32::from(high));
    }
}

fn class_char(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, String> {
    let unclosed = || "has an unclosed `[`".to_owned();
    match rest.next().ok_or_else(unclosed)? {
        '-' | ']' => Err("has a malformed class".to_owned()),
        '\\' => rest.next().ok_or_else(unclosed),
        c => Ok(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, path, yes) in [
            ("a*", "abc", true),
            ("a*", "a/b", false),
            ("a*/b", "ax/b", true),
            ("a?c", "a/c", false),
            ("a[^b]c", "axc", true),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[\\]a]", "]", true),
            ("[\\-]", "-", true),
            ("[^^]", "^", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("a.b", "axb", false),
            ("[.]", "x", false),
            ("é?", "éé", true),
            ("**", "a/b", false),
            ("*", "a\nb", true),
        ] {
            let matched = Pattern::new(pattern, Stars::One).unwrap().matches(path, &Effort::default()).unwrap();
            assert_eq!(matched, yes, "{pattern} {path}");
        }
    }

    #[test]
    fn what_go_calls_a_bad_pattern_is_an_error() {
        for pattern in ["[", "[a", "[]a]", "[-x]", "[a-]", "[x-", "a\\", "[z-a]", "[^]"] {
            assert!(Pattern::new(pattern, Stars::One).is_err(), "{pattern}");
        }
    }
}
