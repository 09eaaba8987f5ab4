//! Documents: YAML and JSON as values whose every part knows its line and column.
//!
//! Text becomes a tree of nodes, which remembers positions and how scalars were written; only then is each
//! scalar given a meaning, by the rules of YAML 1.2 or by those of Go's YAML reader.

mod coerce;
mod go;
mod json;
mod node;
mod scalar;
mod strict;
#[cfg(test)]
mod tests;
mod text;
mod typed;
mod yaml;

use serde_json::Value;

use self::node::Node;
pub use self::text::printable;
pub(crate) use self::typed::typed;
#[cfg(feature = "types")]
pub(crate) use self::{text::decode, typed::nearest};
use crate::{
    error::{Context as _, Error, Result},
    fs::escape,
};

/// Largest document, in bytes, unless the caller says otherwise.
pub const DOCUMENT_LIMIT: u64 = 1 << 20;

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// YAML 1.2.
    #[default]
    Yaml,
    /// JSON.
    Json,
}

/// What an unquoted scalar of a YAML document means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scalars {
    /// The core schema of YAML 1.2. What a reader of YAML 1.1 takes for another number (`0644`) is an error.
    #[default]
    Strict,
    /// As `sigs.k8s.io/yaml` reads into a Go struct: YAML 1.1 booleans and numbers, numbers under a string field become
    /// strings, and null is the same as nothing.
    GoYaml,
}

/// What happens to strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strings {
    /// They stay.
    #[default]
    Keep,
    /// Those under `properties` of the schema pass through [`printable`]; those in free maps stay, as Helm does it.
    Printable,
}

/// How a document is read.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// How it is written.
    pub format: Format,
    /// What unquoted scalars mean.
    pub scalars: Scalars,
    /// What happens to strings.
    pub strings: Strings,
    /// The JSON Schema that says which fields are strings; it is not checked here.
    pub schema: Option<&'a Value>,
    /// Largest document, in bytes.
    pub limit: u64,
    /// How often YAML aliases (`*name`) may be used.
    pub aliases: usize,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            format: Format::default(),
            scalars: Scalars::default(),
            strings: Strings::default(),
            schema: None,
            limit: DOCUMENT_LIMIT,
            aliases: 64,
        }
    }
}

/// Where something begins: line and column, counted from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A document: its value, keys in the order of the text, and where each part of it begins.
#[derive(Debug, Clone)]
pub struct Document {
    /// The value.
    pub value: Value,
    /// Where the text comes from, for messages.
    pub origin: String,
    root: Node,
}

impl Document {
    /// Reads the one document of a text; an empty text is null. `origin` names it in errors, which read
    /// `file:line:column: what`.
    ///
    /// Errors: it is malformed, not UTF-8, larger than the limit or deeper than 64; a key comes twice; a number does not
    /// fit 64 bits; there is more than one document.
    pub fn parse(bytes: &[u8], origin: &str, options: &Options<'_>) -> Result<Self> {
        let mut all = Self::parse_stream(bytes, origin, options)?;
        if all.len() > 1 {
            return Err(Error::invalid(format!("{} holds {} documents; one is expected", escape(origin), all.len())));
        }
        match all.pop() {
            Some(document) => Ok(document),
            None => Ok(Self { value: Value::Null, origin: origin.to_owned(), root: Node::nothing() }),
        }
    }

    /// Reads all documents of a text; JSON has one. Documents without content are left out.
    pub fn parse_stream(bytes: &[u8], origin: &str, options: &Options<'_>) -> Result<Vec<Self>> {
        let text = text::decode(bytes, options.limit).context(|| escape(origin))?;
        let roots = match options.format {
            Format::Yaml => yaml::parse(text, options),
            Format::Json => json::parse(text).map(|root| vec![root]),
        };
        let place = |(at, error): Located| error.context(format!("{}:{}:{}", escape(origin), at.line, at.column));
        let document = |root: Node| {
            let value = coerce::value(&root, options).map_err(place)?;
            Ok(Self { value, origin: origin.to_owned(), root })
        };
        roots.map_err(place)?.into_iter().filter(|root| !root.is_nothing()).map(document).collect()
    }

    /// Where the part at this JSON pointer begins; `None` when there is no such part.
    #[must_use]
    pub fn position(&self, pointer: &str) -> Option<Position> {
        self.root.find(pointer).map(|node| node.at)
    }

    /// Where the part at this JSON pointer, or the innermost one around it that exists, begins, as `file:line:column`.
    #[must_use]
    pub fn place(&self, pointer: &str) -> String {
        let mut rest = pointer;
        let at = loop {
            match (self.position(rest), rest.rfind('/')) {
                (Some(at), _) => break at,
                (None, Some(cut)) => rest = rest.get(..cut).unwrap_or_default(),
                (None, None) => break self.root.at,
            }
        };
        self.named(at)
    }

    /// A position as `file:line:column`.
    fn named(&self, at: Position) -> String {
        format!("{}:{}:{}", escape(&self.origin), at.line, at.column)
    }
}

/// An error and where it is.
type Located = (Position, Error);

/// An error of kind `Invalid` at this place.
fn invalid(at: Position, message: impl Into<String>) -> Located {
    (at, Error::invalid(message))
}
