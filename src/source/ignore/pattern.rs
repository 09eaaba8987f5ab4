//! Go's path patterns as regular expressions, which match in linear time: `*` and `?` match within a component, `[a-z]`
//! and `[^a-z]` are classes, a backslash escapes the next character.

use regex::Regex;

/// Size limit of a compiled pattern, in bytes.
const MAX_COMPILED: usize = 1 << 20;

/// The meaning of `**`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stars {
    /// Equal to `*`, as in Go's `filepath.Match`.
    One,
    /// Any number of components, as in `.dockerignore`.
    Any,
}

/// Compiles a pattern for whole paths. Errors: a description of the defect.
pub(super) fn compile(pattern: &str, stars: Stars) -> Result<Regex, String> {
    let mut regex = String::from("^(?s:");
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' if stars == Stars::Any && rest.next_if_eq(&'*').is_some() => {
                rest.next_if_eq(&'/');
                regex.push_str(if rest.peek().is_none() { ".*" } else { "(.*/)?" });
            }
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '[' => class(&mut rest, &mut regex)?,
            '\\' => literal(rest.next().ok_or("ends in a backslash")?, &mut regex),
            c => literal(c, &mut regex),
        }
    }
    regex.push_str(")$");
    build(&regex)
}

/// Compiles a pattern for paths that end in this text.
pub(super) fn suffix(text: &str) -> Result<Regex, String> {
    build(&format!("{}$", regex::escape(text)))
}

fn build(regex: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(regex).size_limit(MAX_COMPILED).build().map_err(|e| match e {
        regex::Error::CompiledTooBig(_) => "is too complex".to_owned(),
        _ => "is malformed".to_owned(),
    })
}

fn literal(c: char, regex: &mut String) {
    regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
}

/// Translates a class, after its `[`.
fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, regex: &mut String) -> Result<(), String> {
    regex.push_str(if rest.next_if_eq(&'^').is_some() { "[^" } else { "[" });
    let mut empty = true;
    loop {
        if !empty && rest.next_if_eq(&']').is_some() {
            regex.push(']');
            return Ok(());
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
        regex.push_str(&format!("\\x{{{:x}}}-\\x{{{:x}}}", u32::from(low), u32::from(high)));
        empty = false;
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
            assert_eq!(compile(pattern, Stars::One).unwrap().is_match(path), yes, "{pattern} {path}");
        }
    }

    #[test]
    fn what_go_calls_a_bad_pattern_is_an_error() {
        for pattern in ["[", "[a", "[]a]", "[-x]", "[a-]", "[x-", "a\\", "[z-a]", "[^]"] {
            assert!(compile(pattern, Stars::One).is_err(), "{pattern}");
        }
    }
}
