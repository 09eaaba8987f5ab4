//! Parses YAML into trees, one per document, within limits of depth, memory and uses of aliases.
//!
//! This uses parser events rather than a deserializer: Go's rules need the text of scalars, and schema violations need
//! the position of every part.

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag as YamlTag};

use super::{
    Again, Located, Options, Position, Scalars, coerce, invalid,
    node::{Key, Kind, MAX_DEPTH, Memory, Node, Scalar, Style, Tag, again, last_of_each, too_deep, twice},
    older::Older,
};
use crate::error::Error;

/// The trees of all documents of a text, and the keys that come again.
pub(super) fn parse(text: &str, options: &Options<'_>) -> Result<(Vec<Node>, Vec<Again>), Located> {
    let mut limits = granit_parser::options! { flow_nesting_limit: MAX_DEPTH, block_nesting_limit: MAX_DEPTH };
    limits.set_emit_comments(false);
    let mut builder = Builder::new(options);
    let mut older = (options.scalars == Scalars::GoYaml).then(Older::default);
    for event in Parser::new_from_str_with_options(text, limits) {
        let (event, span) = event.map_err(scan_error)?;
        older.as_mut().map_or(Ok(()), |older| older.event(&event, &span, text))?;
        builder.event(event, position(&span.start))?;
    }
    older.map_or(Ok(()), |older| older.finish(text))?;
    Ok((builder.roots, builder.again))
}

fn position(marker: &Marker) -> Position {
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}

fn scan_error(error: ScanError) -> Located {
    let (at, message) = (position(error.marker()), error.info().to_lowercase());
    match error.kind() {
        granit_parser::ErrorKind::RecursionLimitExceeded => (at, Error::limit(message)),
        _ => invalid(at, message.trim_end_matches('.')),
    }
}

struct Builder<'a> {
    options: &'a Options<'a>,
    roots: Vec<Node>,
    open: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    aliases: usize,
    memory: Memory,
    again: Vec<Again>,
}

/// An unfinished list or map.
struct Frame {
    at: Position,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, seen: HashMap<String, Position>, key: Pending, merged: Merged },
}

/// The entries of a map from merge keys.
#[derive(Default)]
struct Merged {
    entries: Vec<(Key, Node)>,
    names: HashSet<String>,
}

/// The role of the next node in a map.
enum Pending {
    Key,
    Value(Key),
    /// The value of a merge key, `<<`.
    Merge,
}

impl<'a> Builder<'a> {
    fn new(options: &'a Options<'a>) -> Self {
        let (roots, open) = (Vec::new(), Vec::new());
        let (memory, again) = (Memory::new(options), Vec::new());
        Self { options, roots, open, anchors: HashMap::new(), aliases: 0, memory, again }
    }

    fn event(&mut self, event: Event<'_>, at: Position) -> Result<(), Located> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let style = self.style(style, tag.as_deref(), at)?;
                self.finish(Node { at, kind: Kind::Scalar(Scalar { text: text.into_owned(), style }) }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.start(at, anchor, tag.as_deref(), "seq", Content::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                let (entries, merged, seen) = (Vec::new(), Merged::default(), HashMap::new());
                let content = Content::Map { entries, seen, key: Pending::Key, merged };
                self.start(at, anchor, tag.as_deref(), "map", content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::DocumentStart(..) => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn style(&self, style: ScalarStyle, tag: Option<&YamlTag>, at: Position) -> Result<Style, Located> {
        let Some(tag) = tag else {
            return Ok(if style == ScalarStyle::Plain { Style::Plain } else { Style::Text });
        };
        match tag.core_suffix() {
            Some("str") => Ok(Style::Text),
            Some("null") => Ok(Style::Tagged(Tag::Null)),
            Some("bool") => Ok(Style::Tagged(Tag::Bool)),
            Some("int") => Ok(Style::Tagged(Tag::Int)),
            Some("float") => Ok(Style::Tagged(Tag::Float)),
            _ if tag.parts() == ("", "!") || tag.parts() == ("!", "") => Ok(Style::Text),
            // Go reads a scalar with an unknown tag as text, but decodes binary ones.
            _ if self.options.scalars == Scalars::GoYaml && tag.suffix() != "binary" => Ok(Style::Text),
            _ => Err(unsupported(tag, at)),
        }
    }

    fn start(
        &mut self,
        at: Position,
        anchor: usize,
        tag: Option<&YamlTag>,
        own: &str,
        content: Content,
    ) -> Result<(), Located> {
        if let Some(tag) = tag.filter(|tag| tag.core_suffix() != Some(own)) {
            return Err(unsupported(tag, at));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.open.push(Frame { at, anchor, content });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Located> {
        let Some(Frame { at, anchor, content }) = self.open.pop() else {
            return Ok(());
        };
        let kind = match content {
            Content::List(mut items) => {
                items.shrink_to_fit();
                Kind::List(items)
            }
            Content::Map { mut entries, seen, merged, .. } => {
                if seen.len() < entries.len() {
                    entries = last_of_each(entries);
                }
                entries.extend(merged.entries.into_iter().filter(|(key, _)| !seen.contains_key(&key.name)));
                entries.shrink_to_fit();
                Kind::Map(entries)
            }
        };
        self.finish(Node { at, kind }, anchor)
    }

    /// Places a complete node, and records it if it has an anchor.
    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), Located> {
        self.memory.take(node.at, node.own_weight())?;
        if anchor != 0 {
            self.memory.take(node.at, node.weight())?;
            self.anchors.insert(anchor, node.clone());
        }
        self.place(node)
    }

    fn alias(&mut self, anchor: usize, at: Position) -> Result<(), Located> {
        self.aliases += 1;
        if self.aliases > self.options.aliases {
            let message = format!("the document uses {} aliases; the limit is {}", self.aliases, self.options.aliases);
            return Err((at, Error::limit(message)));
        }
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(invalid(at, "an alias to what it is part of"));
        };
        if self.open.len() + node.depth() > MAX_DEPTH {
            return Err(too_deep(at));
        }
        let node = Node { at, kind: node.kind.clone() };
        self.memory.take(at, node.weight())?;
        self.place(node)
    }

    /// Adds a complete node to the open list or map, or to the roots.
    fn place(&mut self, node: Node) -> Result<(), Located> {
        let options = self.options;
        match self.open.last_mut().map(|frame| &mut frame.content) {
            None => self.roots.push(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { entries, seen, key, merged }) => match std::mem::replace(key, Pending::Key) {
                Pending::Key => *key = next_key(&node, options, seen, &mut self.again)?,
                Pending::Value(name) => entries.push((name, node)),
                Pending::Merge => merge(node, merged)?,
            },
        }
        Ok(())
    }
}

fn unsupported(tag: &YamlTag, at: Position) -> Located {
    invalid(at, format!("the tag `{}` is not supported", super::escape(tag.original())))
}

fn next_key(
    node: &Node,
    options: &Options<'_>,
    seen: &mut HashMap<String, Position>,
    repeated: &mut Vec<Again>,
) -> Result<Pending, Located> {
    let scalars = options.scalars;
    let Kind::Scalar(scalar) = &node.kind else {
        return Err(invalid(node.at, "a key that is a list or a map"));
    };
    if scalar.text == "<<" && scalar.style == Style::Plain {
        return match scalars {
            Scalars::GoYaml => Ok(Pending::Merge),
            Scalars::Strict => Err(invalid(node.at, "merge keys (`<<`) are not part of YAML 1.2")),
        };
    }
    let name = coerce::key(scalar, scalars).map_err(|why| invalid(node.at, why))?;
    let key = Key { at: node.at, name: name.ok_or_else(|| invalid(node.at, "a key that is null"))? };
    match seen.insert(key.name.clone(), key.at) {
        Some(first) if !options.repeated => return Err(twice(&key, first)),
        Some(first) => repeated.push(again(&key, first)),
        None => {}
    }
    Ok(Pending::Value(key))
}

/// Merges the entries of a map, or of each map of a list, for keys without an entry.
fn merge(node: Node, merged: &mut Merged) -> Result<(), Located> {
    let at = node.at;
    match node.kind {
        Kind::Map(entries) => {
            for (key, node) in entries {
                if merged.names.insert(key.name.clone()) {
                    merged.entries.push((key, node));
                }
            }
            Ok(())
        }
        Kind::List(items) if items.iter().all(|item| matches!(item.kind, Kind::Map(_))) => {
            items.into_iter().try_for_each(|item| merge(item, merged))
        }
        _ => Err(invalid(at, "only maps can be merged")),
    }
}
