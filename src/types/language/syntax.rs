//! Syntax limits of templates and expressions, checked before compilation.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    filters::{FILTERS, TESTS},
    scope::unknown_name,
};
use crate::error::{Error, Result};

/// Length limit of a template or expression, in bytes.
const MAX_SOURCE: usize = 4096;

/// Whether a string is a template rather than plain text.
pub(in crate::types) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Refuses `*`, which can repeat strings a hundred million times, and blocks that assign and accumulate.
pub(super) fn check_source(source: &str) -> Result<()> {
    static LITERAL: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*""#).ok());
    static CODE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?s)\{\{.*?\}\}|\{%.*?%\}").ok());
    static BLOCK: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\{%[-+]?\s*(\w+)").ok());
    if source.len() > MAX_SOURCE {
        return Err(Error::limit(format!("the expression has {} bytes; the limit is {MAX_SOURCE}", source.len())));
    }
    let bare = LITERAL.as_ref().map_or_else(|| source.into(), |r| r.replace_all(source, "''"));
    let starred = match CODE.as_ref().filter(|_| is_template(source)) {
        Some(code) => code.find_iter(&bare).any(|m| m.as_str().contains('*')),
        None => bare.contains('*'),
    };
    if starred {
        return Err(Error::invalid(format!("`{}`: expressions do not support `*`", shorten_source(source))));
    }
    let blocks = BLOCK.iter().flat_map(|r| r.captures_iter(&bare)).filter_map(|c| c.get(1));
    for block in blocks.map(|m| m.as_str()) {
        if !matches!(block, "for" | "endfor" | "if" | "elif" | "else" | "endif") {
            return Err(Error::invalid(format!(
                "`{}`: templates do not support `{{% {block} %}}`",
                shorten_source(source)
            )));
        }
    }
    match CODE.as_ref().filter(|_| is_template(source)) {
        Some(code) => code.find_iter(&bare).try_for_each(|m| check_words(m.as_str(), source)),
        None => check_words(&bare, source),
    }
}

/// Checks the names of filters and tests, which the engine itself looks up only on use.
fn check_words(code: &str, source: &str) -> Result<()> {
    static FILTER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\|\s*([A-Za-z_]\w*)").ok());
    static TEST: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\bis\s+(?:not\s+)?([A-Za-z_]\w*)").ok());
    for (regex, known, what) in [(&FILTER, &FILTERS[..], "filter"), (&TEST, &TESTS[..], "test")] {
        let used = regex.iter().flat_map(|r| r.captures_iter(code)).filter_map(|c| c.get(1));
        if let Some(name) = used.map(|m| m.as_str()).find(|name| !known.contains(name)) {
            let message = unknown_name(&format!("the {what}"), name, known.iter().copied());
            return Err(Error::invalid(format!("`{}`: {message}", shorten_source(source))));
        }
    }
    Ok(())
}

/// The first 80 characters of a template, on one line.
pub(super) fn shorten_source(source: &str) -> String {
    let line = source.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(80) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None => line,
    }
}
