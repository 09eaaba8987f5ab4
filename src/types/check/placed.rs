//! A definition with positions, after parsing.

use serde_json::Value as Json;

use crate::{
    document::typed,
    error::{Error, Result},
    source::{Document, Options},
    types::definition::{API_VERSION, Definition, MAX_DEFINITION},
};

/// A definition with the positions of its parts.
#[derive(Debug)]
pub(in crate::types) struct Placed {
    pub(in crate::types) definition: Definition,
    pub(in crate::types) document: Document,
}

impl Placed {
    /// Parses a definition: syntax and keys only.
    pub(in crate::types) fn read(text: &str, origin: &str) -> Result<Self> {
        let options = Options { limit: MAX_DEFINITION, aliases: 0, ..Options::default() };
        let document = Document::parse(text.as_bytes(), origin, &options)?;
        let version = document.value.get("apiVersion").and_then(Json::as_str).unwrap_or_default();
        if version != API_VERSION {
            let message = format!("`apiVersion` must be `{API_VERSION}`, not `{version}`");
            return Err(Error::unsupported(message).context(document.place("/apiVersion")));
        }
        let definition = typed(&document)?;
        Ok(Self { definition, document })
    }
}
