//! From the text of a template or expression to what is evaluated.
//!
//! The engine's own parser reads the text. What it gives is taken over part by part, by an explicit list; all else is
//! refused by its name, wherever and however it is written.

use std::collections::BTreeSet;

use minijinja::machinery::{Token, ast::Stmt, parse, parse_expr, tokenize};

use super::{
    node::{Node, Piece},
    reader::{Reader, unsupported_block},
};
use crate::error::{Error, Result};

/// Length limit of a template or expression, in bytes.
const MAX_SOURCE: usize = 4096;
/// Limit of `not` and `-` in a row, which the parser nests without a limit of its own.
const MAX_SIGNS: usize = 16;
/// Limit of parentheses in parentheses, which it nests so around the names of a `for`.
const MAX_OPEN: usize = 64;
/// Limit of `else` and `elif`, each of which it nests in the one before.
const MAX_CHOICES: usize = 64;

/// Whether a string is a template rather than plain text.
pub(in crate::types) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// A template or expression after compilation.
#[derive(Debug)]
pub(super) struct Code<T> {
    pub(super) code: T,
    /// The names that it uses, with their attributes: `chart.name`.
    pub(super) names: BTreeSet<String>,
}

/// Compiles a template. Errors: malformed syntax, or an unsupported feature.
pub(super) fn template(source: &str) -> Result<Code<Vec<Piece>>> {
    compile(source, false, |reader| match parse(source, "", Default::default()).map_err(|e| malformed(&e))? {
        Stmt::Template(template) => reader.pieces(&template.children),
        other => reader.pieces(std::slice::from_ref(&other)),
    })
}

/// Compiles an expression.
pub(super) fn expression(source: &str) -> Result<Code<Node>> {
    compile(source, true, |reader| reader.node(&parse_expr(source).map_err(|e| malformed(&e))?))
}

fn compile<T>(source: &str, expression: bool, read: impl FnOnce(&mut Reader) -> Result<T>) -> Result<Code<T>> {
    if source.len() > MAX_SOURCE {
        return Err(Error::limit(format!("the expression has {} bytes; the limit is {MAX_SOURCE}", source.len())));
    }
    let mut reader = Reader::default();
    let code = check_nesting(source, expression).and_then(|()| read(&mut reader));
    let code = code.map_err(|e| about(source, &e))?;
    Ok(Code { code, names: reader.used })
}

/// Errors: more of what the parser nests without a limit of its own than the stack has room for.
fn check_nesting(source: &str, expression: bool) -> Result<()> {
    let (mut signs, mut open, mut choices) = (0, 0_usize, 0);
    for token in tokenize(source, expression, Default::default()) {
        // The parser says what is wrong with the others.
        let Ok((token, _)) = token else { return Ok(()) };
        signs = if matches!(token, Token::Minus | Token::Ident("not")) { signs + 1 } else { 0 };
        match token {
            Token::ParenOpen => open += 1,
            Token::ParenClose => open = open.saturating_sub(1),
            Token::Ident("elif" | "else") => choices += 1,
            _ => {}
        }
        let too_many = [
            (signs > MAX_SIGNS, MAX_SIGNS, "`not` or `-` in a row"),
            (open > MAX_OPEN, MAX_OPEN, "parentheses in parentheses"),
            (choices > MAX_CHOICES, MAX_CHOICES, "`else` and `elif`"),
        ];
        if let Some((_, limit, what)) = too_many.into_iter().find(|(over, ..)| *over) {
            return Err(Error::limit(format!("more than {limit} {what}")));
        }
    }
    Ok(())
}

/// The parser's message, without its place, which is within one text of many.
fn malformed(error: &minijinja::Error) -> Error {
    if let Some(name) = error.detail().and_then(|detail| detail.strip_prefix("unknown statement ")) {
        return unsupported_block(name);
    }
    let text = error.to_string();
    Error::invalid(text.split(" (in ").next().unwrap_or(&text).replace('\n', " "))
}

/// The error as one about this text.
pub(super) fn about(source: &str, error: &Error) -> Error {
    Error::new(error.kind(), format!("`{}`: {error}", shorten_source(source)))
}

/// The first 80 characters of a template, on one line.
pub(super) fn shorten_source(source: &str) -> String {
    let line = source.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(80) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None => line,
    }
}
