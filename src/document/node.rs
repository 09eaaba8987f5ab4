//! The tree between text and value: parts with positions, scalars as text.

use std::collections::HashMap;

use super::{Again, Located, Options, Position, invalid};
use crate::error::Error;

/// Limit of nesting of lists and maps.
pub(super) const MAX_DEPTH: usize = 64;

/// What a value takes in memory, in bytes, besides its text; and a key, besides its name.
pub(crate) const NODE: usize = 80;

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A scalar as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) style: Style,
}

/// The style of a scalar, which affects its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Unquoted: the text determines the type.
    Plain,
    /// Quoted, a block, or tagged `!!str`: a string.
    Text,
    /// Tagged with a type of the core schema.
    Tagged(Tag),
    /// A literal of JSON: number, `true`, `false` or `null`.
    Json,
}

/// The scalar types of the core schema except strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    Null,
    Bool,
    Int,
    Float,
}

/// The key of a map, with its name in a value.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) at: Position,
    pub(super) name: String,
}

impl Node {
    /// The null of an empty text.
    pub(super) fn nothing() -> Self {
        let scalar = Scalar { text: String::new(), style: Style::Plain };
        Self { at: Position { line: 1, column: 1 }, kind: Kind::Scalar(scalar) }
    }

    /// Whether this is the null of an empty document, for which the parser gives `~`.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(s) if matches!(s.text.as_str(), "" | "~") && s.style == Style::Plain)
    }

    /// What the value of this node takes in memory, without its parts, in bytes.
    pub(super) fn own_weight(&self) -> u64 {
        match &self.kind {
            Kind::Scalar(scalar) => weight(&scalar.text),
            Kind::List(_) | Kind::Map(_) => weight(""),
        }
    }

    /// What the value of this node takes in memory, with its parts, in bytes.
    pub(super) fn weight(&self) -> u64 {
        self.own_weight()
            + match &self.kind {
                Kind::Scalar(_) => 0,
                Kind::List(items) => items.iter().map(Self::weight).sum(),
                Kind::Map(entries) => entries.iter().map(|(key, node)| weight(&key.name) + node.weight()).sum(),
            }
    }

    /// The nesting of lists and maps in this node.
    pub(super) fn depth(&self) -> usize {
        match &self.kind {
            Kind::Scalar(_) => 0,
            Kind::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Kind::Map(entries) => 1 + entries.iter().map(|(_, node)| node.depth()).max().unwrap_or(0),
        }
    }

    /// The node at a JSON pointer (RFC 6901).
    pub(super) fn find(&self, pointer: &str) -> Option<&Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, |node, token| {
            let name = token.replace("~1", "/").replace("~0", "~");
            match &node.kind {
                Kind::Scalar(_) => None,
                Kind::List(items) => items.get(name.parse::<usize>().ok()?),
                Kind::Map(entries) => entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node),
            }
        })
    }
}

/// What a scalar or a key with this text takes in memory, in bytes.
pub(super) fn weight(text: &str) -> u64 {
    (NODE + text.len()) as u64
}

/// Counts what has been read of a text, so that what is too much ends where it becomes so.
#[derive(Debug)]
pub(super) struct Memory {
    limit: u64,
    /// Whether documents before this one take a part of it.
    shared: bool,
    taken: u64,
}

impl Memory {
    pub(super) fn new(options: &Options<'_>) -> Self {
        Self { limit: options.memory, shared: options.taken > 0, taken: options.taken }
    }

    /// Errors (kind `Limit`): it is too much.
    pub(super) fn take(&mut self, at: Position, weight: u64) -> Result<(), Located> {
        self.taken = self.taken.saturating_add(weight);
        if self.taken <= self.limit {
            return Ok(());
        }
        let who = if self.shared { "it and the documents before it take" } else { "the document takes" };
        Err((at, Error::limit(format!("{who} more than {} bytes of memory", self.limit))))
    }
}

/// The error for excessive nesting.
pub(super) fn too_deep(at: Position) -> Located {
    (at, Error::limit(format!("nested deeper than {MAX_DEPTH} levels")))
}

/// The entries with only the last of each key.
pub(super) fn last_of_each(entries: Vec<(Key, Node)>) -> Vec<(Key, Node)> {
    let last: HashMap<String, usize> =
        entries.iter().enumerate().map(|(at, (key, _))| (key.name.clone(), at)).collect();
    let kept = |(at, (key, _)): &(usize, (Key, Node))| last.get(&key.name) == Some(at);
    entries.into_iter().enumerate().filter(kept).map(|(_, entry)| entry).collect()
}

/// What is said of a key that comes again, where it may.
pub(super) fn again(key: &Key, first: Position) -> Again {
    let name = super::escape(&key.name);
    (key.at, format!("the key `{name}` comes again; the last one counts, not the one in line {}", first.line))
}

/// The error for a duplicate key.
pub(super) fn twice(key: &Key, first: Position) -> Located {
    invalid(key.at, format!("the key `{}` comes twice; the first is in line {}", super::escape(&key.name), first.line))
}
