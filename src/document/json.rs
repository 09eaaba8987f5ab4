//! Parses JSON into a tree: `serde_json` validates the text, then a scanner finds the positions.

use std::collections::HashMap;

use serde::de::IgnoredAny;

use super::{
    Again, Located, Options, Position, invalid,
    node::{Key, Kind, MAX_DEPTH, Memory, Node, Scalar, Style, again, last_of_each, too_deep, twice, weight},
};

/// The tree of a JSON text; null for an empty one.
pub(super) fn parse(text: &str, options: &Options<'_>) -> Result<(Node, Vec<Again>), Located> {
    if text.trim().is_empty() {
        return Ok((Node::nothing(), Vec::new()));
    }
    serde_json::from_str::<IgnoredAny>(text).map_err(|e| syntax(text, &e))?;
    let at = Position { line: 1, column: 1 };
    let (memory, again) = (Memory::new(options), Vec::new());
    let mut scanner = Scanner { rest: text, at, repeated: options.repeated, again, memory };
    Ok((scanner.value(0)?, scanner.again))
}

fn syntax(text: &str, error: &serde_json::Error) -> Located {
    let (line, bytes) = (error.line().max(1), error.column());
    let before = text.lines().nth(line - 1).unwrap_or_default();
    let column = before.char_indices().take_while(|(at, _)| *at < bytes.saturating_sub(1)).count() + 1;
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default().to_owned();
    invalid(Position { line, column }, message)
}

/// Scans a validated JSON text. Errors: it is malformed after all.
struct Scanner<'a> {
    rest: &'a str,
    at: Position,
    repeated: bool,
    again: Vec<Again>,
    memory: Memory,
}

impl<'a> Scanner<'a> {
    fn value(&mut self, depth: usize) -> Result<Node, Located> {
        self.space();
        let at = self.at;
        let kind = match self.rest.as_bytes().first() {
            Some(b'{' | b'[') if depth >= MAX_DEPTH => return Err(too_deep(at)),
            Some(b'{') => self.map(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Kind::Scalar(Scalar { text: self.string()?, style: Style::Text }),
            _ => {
                let len = self.rest.find([',', ']', '}', ' ', '\t', '\r', '\n']).unwrap_or(self.rest.len());
                Kind::Scalar(Scalar { text: self.take(len).to_owned(), style: Style::Json })
            }
        };
        let node = Node { at, kind };
        self.memory.take(at, node.own_weight())?;
        Ok(node)
    }

    fn map(&mut self, depth: usize) -> Result<Kind, Located> {
        let mut entries = Vec::new();
        let mut seen = HashMap::new();
        self.take(1);
        while !self.closes('}')? {
            let key = Key { at: self.at, name: self.string()? };
            self.memory.take(key.at, weight(&key.name))?;
            match seen.insert(key.name.clone(), key.at) {
                Some(first) if self.repeated => self.again.push(again(&key, first)),
                Some(first) => return Err(twice(&key, first)),
                None => {}
            }
            self.space();
            self.take(1);
            entries.push((key, self.value(depth + 1)?));
        }
        if seen.len() < entries.len() {
            entries = last_of_each(entries);
        }
        entries.shrink_to_fit();
        Ok(Kind::Map(entries))
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Located> {
        let mut items = Vec::new();
        self.take(1);
        while !self.closes(']')? {
            items.push(self.value(depth + 1)?);
        }
        items.shrink_to_fit();
        Ok(Kind::List(items))
    }

    /// Skips a separator; true if it found and skipped `end` instead.
    fn closes(&mut self, end: char) -> Result<bool, Located> {
        self.space();
        if self.rest.is_empty() {
            return Err(invalid(self.at, "the text ends too early"));
        }
        if self.rest.starts_with(end) {
            self.take(1);
            return Ok(true);
        }
        if self.rest.starts_with(',') {
            self.take(1);
            self.space();
        }
        Ok(false)
    }

    fn string(&mut self) -> Result<String, Located> {
        let at = self.at;
        let mut escaped = false;
        let end = self.rest.bytes().enumerate().skip(1).find(|(_, byte)| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        });
        let literal = self.take(end.map_or(self.rest.len(), |(at, _)| at + 1));
        serde_json::from_str(literal).map_err(|e| invalid(at, e.to_string()))
    }

    fn space(&mut self) {
        let trimmed = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.take(self.rest.len() - trimmed.len());
    }

    /// Skips and returns `len` bytes.
    fn take(&mut self, len: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, ""));
        for c in taken.chars() {
            match c {
                '\n' => self.at = Position { line: self.at.line + 1, column: 1 },
                _ => self.at.column += 1,
            }
        }
        self.rest = rest;
        taken
    }
}
