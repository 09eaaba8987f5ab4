//! Documents: YAML and JSON as values with the line and column of every part.
//!
//! Parsing gives a tree of nodes with positions and the text of scalars. Then scalars are interpreted, by the rules of
//! YAML 1.2 or by those of Go's YAML reader.

mod coerce;
mod fields;
mod go;
mod json;
mod node;
mod older;
mod scalar;
mod strict;
#[cfg(test)]
mod tests;
mod text;
mod typed;
mod yaml;

use serde_json::Value;

#[cfg(feature = "types")]
pub(crate) use self::node::NODE;
use self::node::Node;
pub use self::text::printable;
pub(crate) use self::typed::typed;
#[cfg(feature = "types")]
pub(crate) use self::{text::decode, typed::nearest};
use crate::{
    error::{Context as _, Error, Result},
    fs::escape,
};

/// Default size limit of a document, in bytes.
pub const DOCUMENT_LIMIT: u64 = 1 << 20;
/// Limit of what values of documents take in memory, in bytes, about: that of the largest document of a mebibyte, and a few
/// of usual ones.
pub(crate) const DOCUMENT_MEMORY: u64 = 48 << 20;

/// The format of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// YAML 1.2.
    #[default]
    Yaml,
    /// JSON.
    Json,
}

/// The rules for unquoted scalars of YAML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scalars {
    /// The core schema of YAML 1.2. A number with another meaning in YAML 1.1 (`0644`) is an error.
    #[default]
    Strict,
    /// As `sigs.k8s.io/yaml` reads into a Go struct: YAML 1.1 booleans and numbers, numbers in string fields become
    /// strings, and null counts as missing.
    GoYaml,
}

/// Treatment of strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strings {
    /// Unchanged.
    #[default]
    Keep,
    /// Strings under `properties` of the schema pass through [`printable`]; those in free maps and those with
    /// `x-verbatim: true` do not, as in Helm.
    Printable,
}

/// Options for parsing a document.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The format.
    pub format: Format,
    /// The rules for unquoted scalars.
    pub scalars: Scalars,
    /// Treatment of strings.
    pub strings: Strings,
    /// The JSON Schema, which tells string fields; it is not validated here.
    pub schema: Option<&'a Value>,
    /// Size limit in bytes.
    pub limit: u64,
    /// Limit of uses of YAML aliases (`*name`).
    pub aliases: usize,
    /// Limit of what the value takes in memory, in bytes, about; a text is read up to there.
    pub memory: u64,
    /// What documents before this one take of that.
    pub taken: u64,
    /// Whether a key may come again, and a second document: as in Go, the last key and the first document count. The
    /// document then has warnings.
    pub repeated: bool,
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
            memory: DOCUMENT_MEMORY,
            taken: 0,
            repeated: false,
        }
    }
}

/// The start of a part: line and column, counted from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A document: its value, keys in source order, and the position of each part.
#[derive(Debug, Clone)]
pub struct Document {
    /// The value.
    pub value: Value,
    /// The origin of the text, for messages.
    pub origin: String,
    /// What came again in the text, with its place.
    pub warnings: Vec<String>,
    root: Node,
}

impl Document {
    /// Parses a text with one document; an empty text is null. `origin` is the file name in errors,
    /// `file:line:column: message`.
    ///
    /// Errors: malformed, not UTF-8, larger than a limit or nested deeper than 64; a duplicate key; a number that
    /// does not fit 64 bits; more than one document.
    pub fn parse(bytes: &[u8], origin: &str, options: &Options<'_>) -> Result<Self> {
        let (mut roots, mut again) = trees(bytes, origin, options)?;
        while roots.last().is_some_and(Node::is_nothing) {
            roots.pop();
        }
        // Go reads the first document, even if it is empty.
        if options.scalars == Scalars::Strict {
            roots.retain(|root| !root.is_nothing());
        }
        let count = roots.len();
        let mut roots = roots.into_iter();
        let root = roots.next().unwrap_or_else(Node::nothing);
        if let Some(second) = roots.next() {
            if !options.repeated || root.is_nothing() {
                let message = format!("{} holds {count} documents; one is expected", escape(origin));
                return Err(Error::invalid(message));
            }
            again.push((second.at, "another document starts here; only the first counts".into()));
        }
        Self::of(root, again, origin, options)
    }

    /// Parses all documents of a text; JSON has one. Empty documents are skipped.
    pub fn parse_stream(bytes: &[u8], origin: &str, options: &Options<'_>) -> Result<Vec<Self>> {
        let (roots, _) = trees(bytes, origin, options)?;
        let full = roots.into_iter().filter(|root| !root.is_nothing());
        full.map(|root| Self::of(root, Vec::new(), origin, options)).collect()
    }

    fn of(mut root: Node, again: Vec<Again>, origin: &str, options: &Options<'_>) -> Result<Self> {
        if let (Scalars::GoYaml, Some(schema)) = (options.scalars, options.schema) {
            fields::rename(&mut root, schema);
        }
        let value = coerce::value(&root, options).map_err(|located| placed(located, origin))?;
        let warnings = again.into_iter().map(|(at, what)| format!("{}: {what}", place(origin, at))).collect();
        Ok(Self { value, origin: origin.to_owned(), warnings, root })
    }

    /// The position of the part at this JSON pointer; `None` if there is none.
    #[must_use]
    pub fn position(&self, pointer: &str) -> Option<Position> {
        self.root.find(pointer).map(|node| node.at)
    }

    /// The position of the part at this JSON pointer, or of its innermost existing parent, as `file:line:column`.
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
        place(&self.origin, at)
    }
}

/// The trees of all documents of a text, with what comes again in them.
fn trees(bytes: &[u8], origin: &str, options: &Options<'_>) -> Result<(Vec<Node>, Vec<Again>)> {
    let text = text::decode(bytes, options.limit).context(|| escape(origin))?;
    let trees = match options.format {
        Format::Yaml => yaml::parse(text, options),
        Format::Json => json::parse(text, options).map(|(root, again)| (vec![root], again)),
    };
    trees.map_err(|located| placed(located, origin))
}

/// A position as `file:line:column`.
fn place(origin: &str, at: Position) -> String {
    format!("{}:{}:{}", escape(origin), at.line, at.column)
}

fn placed((at, error): Located, origin: &str) -> Error {
    error.context(place(origin, at))
}

/// What comes again in a text, at its position.
type Again = (Position, String);

/// An error with its position.
type Located = (Position, Error);

/// An error of kind `Invalid` at this position.
fn invalid(at: Position, message: impl Into<String>) -> Located {
    (at, Error::invalid(message))
}
