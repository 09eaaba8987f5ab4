//! JSON as bytes: the encodings behind digests that other tools have published.

use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Kind, Result};

/// How a JSON document becomes bytes. All encodings are compact; they differ in order and in escaping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As Go's `encoding/json` writes it: keys in the given order; `<`, `>`, `&`, U+2028, U+2029 escaped.
    #[default]
    Go,
    /// Keys in the given order, no escapes beyond JSON's own.
    Compact,
    /// Keys sorted by code point, no escapes beyond JSON's own.
    Canonical,
}

impl Encoding {
    /// The value as bytes.
    pub fn encode(self, value: &impl Serialize) -> Result<Vec<u8>> {
        let internal = |e| Error::caused(Kind::Internal, "cannot encode JSON", e);
        match self {
            Self::Compact => serde_json::to_vec(value).map_err(internal),
            Self::Go => Ok(escape_like_go(&serde_json::to_string(value).map_err(internal)?)),
            Self::Canonical => {
                serde_json::to_vec(&sorted(serde_json::to_value(value).map_err(internal)?)).map_err(internal)
            }
        }
    }
}

/// These five characters occur in JSON only inside strings, so replacing them everywhere is safe.
fn escape_like_go(json: &str) -> Vec<u8> {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.into_bytes()
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(pairs.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn go_escapes_what_html_would_read() {
        let bytes = Encoding::Go.encode(&json!({"b": "<a&b>\u{2028}é", "a": 1})).unwrap();
        assert_eq!(bytes, "{\"b\":\"\\u003ca\\u0026b\\u003e\\u2028é\",\"a\":1}".as_bytes());
    }

    #[test]
    fn canonical_sorts_at_every_depth() {
        let bytes = Encoding::Canonical.encode(&json!({"b": [{"d": 1, "c": "<"}], "a": null})).unwrap();
        assert_eq!(bytes, br#"{"a":null,"b":[{"c":"<","d":1}]}"#);
    }
}
