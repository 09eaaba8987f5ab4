//! Markdown decks as documents: what expressions see of one.

use std::sync::LazyLock;

use serde_json::{Value as Json, json};

use crate::{
    error::{Error, Kind, Result},
    source::{DECK_LIMIT, Deck, relative},
    types::planning::reading::Reading,
};

/// The schema of a deck. `localLinks` are files that are there, `missingLinks` those that are not, `outsideLinks` those
/// that lie outside the source.
pub(in crate::types) fn schema() -> &'static Json {
    static SCHEMA: LazyLock<Json> = LazyLock::new(|| {
        let strings = json!({"type": "array", "items": {"type": "string"}});
        json!({
            "type": "object",
            "properties": {
                "title": {"type": "string"},
                "frontMatter": {"type": "object", "additionalProperties": true},
                "slides": {"type": "array", "items": {"type": "object", "properties": {
                    "text": {"type": "string"}, "heading": {"type": "string"}, "line": {"type": "integer"},
                }}},
                "localLinks": strings,
                "missingLinks": strings,
                "outsideLinks": strings,
                "preprocess": {"type": "array", "items": {"type": "object", "properties": {
                    "line": {"type": "integer"}, "command": {"type": "string"},
                }}},
                "differs": {"type": "array", "items": {"type": "object", "properties": {
                    "line": {"type": "integer"}, "what": {"type": "string"},
                }}},
            },
        })
    });
    &SCHEMA
}

/// Reads a deck, and looks which of the files that it links to are there.
pub(in crate::types) fn read(path: &str, reading: &Reading<'_>) -> Result<Json> {
    let deck: Deck = reading.source.deck(path, DECK_LIMIT)?;
    let (mut local, mut missing, mut outside) = (Vec::new(), Vec::new(), Vec::new());
    for link in &deck.local_links {
        match relative(link).and_then(|short| reading.source.resolve(&short)) {
            Ok(member) => local.push(member.path),
            Err(e) if e.kind() == Kind::Escape => outside.push(link.clone()),
            Err(e) if matches!(e.kind(), Kind::NotFound | Kind::Invalid) => missing.push(link.clone()),
            Err(e) => return Err(e),
        }
    }
    let broken = |e| Error::caused(Kind::Internal, "cannot write a deck", e);
    let mut value = serde_json::to_value(&deck).map_err(broken)?;
    if let Some(map) = value.as_object_mut() {
        for (key, links) in [("localLinks", local), ("missingLinks", missing), ("outsideLinks", outside)] {
            map.insert(key.into(), links.into());
        }
    }
    Ok(value)
}
