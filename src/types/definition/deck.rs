//! Decks of slides as documents: their keys.

use std::sync::LazyLock;

use serde_json::{Value as Json, json};

/// The schema of a deck. `localLinks` are existing files in the source, `missingLinks` missing ones, `outsideLinks`
/// files outside the source; `themeFile` is the theme if that is a file there.
pub(in crate::types) fn schema() -> &'static Json {
    static SCHEMA: LazyLock<Json> = LazyLock::new(|| {
        let strings = json!({"type": "array", "items": {"type": "string"}});
        json!({
            "type": "object",
            "properties": {
                "title": {"type": "string"},
                "frontMatter": {"type": "object", "additionalProperties": true},
                "authors": strings,
                "date": {"type": "string"},
                "paging": {"type": "string"},
                "theme": {"type": "string"},
                "themeFile": {"type": "string"},
                "unused": strings,
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
