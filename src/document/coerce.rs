//! Converts a tree to a value: interprets scalars, by a schema if Go's rules need the target type.

use serde_json::{Map, Value};

use super::{
    Located, Options, Scalars, Strings,
    go::GoScalar,
    invalid,
    node::{Kind, Node, Scalar},
    printable, strict,
};

/// Limit of chained `$ref`s.
const MAX_REFS: usize = 16;

/// The value of a tree.
pub(super) fn value(root: &Node, options: &Options<'_>) -> Result<Value, Located> {
    let coercion = Coercion { options };
    let place = Place { schema: options.schema.map(|s| target(s, options.schema)), clean: true };
    coercion.node(root, place)
}

/// The name of a key.
pub(super) fn key(scalar: &Scalar, scalars: Scalars) -> Result<Option<String>, String> {
    match scalars {
        Scalars::GoYaml => Ok(GoScalar::of(scalar)?.key()),
        Scalars::Strict => match strict::value(scalar) {
            Ok(Value::Null) => Ok(None),
            _ => Ok(Some(scalar.text.clone())),
        },
    }
}

/// The place of a node in a document.
#[derive(Clone, Copy)]
struct Place<'a> {
    schema: Option<&'a Value>,
    /// Whether [`super::Strings`] applies here: not in free maps.
    clean: bool,
}

struct Coercion<'a> {
    options: &'a Options<'a>,
}

impl<'a> Coercion<'a> {
    fn node(&self, node: &Node, place: Place<'a>) -> Result<Value, Located> {
        match &node.kind {
            Kind::Scalar(scalar) => self.scalar(scalar, place).map_err(|why| invalid(node.at, why)),
            Kind::List(items) => {
                let inner = Place { schema: place.schema.and_then(|s| self.child(s.get("items"))), ..place };
                // A `collect` of results cannot tell how many there will be, and takes up to four times the room.
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    list.push(self.item(item, inner)?);
                }
                Ok(Value::Array(list))
            }
            Kind::Map(entries) => {
                let mut map = Map::with_capacity(entries.len());
                for (key, node) in entries {
                    if let Some(value) = self.entry(&key.name, node, place)? {
                        map.insert(key.name.clone(), value);
                    }
                }
                Ok(Value::Object(map))
            }
        }
    }

    fn item(&self, node: &Node, place: Place<'a>) -> Result<Value, Located> {
        let value = self.node(node, place)?;
        // In Go, a null element has its zero value.
        match value.is_null() && self.go() && place.schema.is_some_and(is_text) {
            true => Ok(Value::from("")),
            false => Ok(value),
        }
    }

    fn entry(&self, key: &str, node: &Node, place: Place<'a>) -> Result<Option<Value>, Located> {
        let named = place.schema.and_then(|s| self.child(s.get("properties")?.get(key)));
        let free = place.schema.and_then(|s| self.child(s.get("additionalProperties")));
        let verbatim = named.is_some_and(|schema| schema.get("x-verbatim") == Some(&Value::Bool(true)));
        let clean = place.clean && !verbatim && (named.is_some() || place.schema.is_none());
        let value = self.item(node, Place { schema: named.or(free), clean })?;
        // A null field counts as missing; this precedes the zero value of a string.
        let absent = self.go() && named.is_some() && self.is_null(node);
        Ok((!absent).then_some(value))
    }

    fn is_null(&self, node: &Node) -> bool {
        matches!(&node.kind, Kind::Scalar(scalar) if GoScalar::of(scalar) == Ok(GoScalar::Null))
    }

    fn scalar(&self, scalar: &Scalar, place: Place<'a>) -> Result<Value, String> {
        let value = match self.go() {
            false => strict::value(scalar)?,
            true if place.schema.is_some_and(is_text) => GoScalar::of(scalar)?.text().map_or(Value::Null, Value::from),
            true => GoScalar::of(scalar)?.value()?,
        };
        match value {
            Value::String(text) if place.clean && self.options.strings == Strings::Printable => {
                Ok(Value::from(printable(&text)))
            }
            other => Ok(other),
        }
    }

    fn go(&self) -> bool {
        self.options.scalars == Scalars::GoYaml
    }

    fn child(&self, schema: Option<&'a Value>) -> Option<&'a Value> {
        schema.filter(|s| s.is_object()).map(|s| target(s, self.options.schema))
    }
}

/// Resolves a `$ref` within the same schema.
pub(super) fn target<'a>(mut schema: &'a Value, root: Option<&'a Value>) -> &'a Value {
    for _ in 0..MAX_REFS {
        let pointer = schema.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#'));
        let Some(next) = pointer.and_then(|p| root?.pointer(p)) else {
            break;
        };
        schema = next;
    }
    schema
}

/// Whether a schema allows only strings, and null.
fn is_text(schema: &Value) -> bool {
    let texts = |values: &[Value]| !values.is_empty() && values.iter().all(Value::is_string);
    match schema.get("type") {
        Some(Value::String(name)) => name == "string",
        Some(Value::Array(names)) => {
            names.iter().any(|n| n == "string") && names.iter().all(|n| n == "string" || n == "null")
        }
        _ => match (schema.get("enum"), schema.get("const")) {
            (Some(Value::Array(values)), _) => texts(values),
            (_, Some(value)) => value.is_string(),
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Document, Options, Scalars, Strings};

    fn go(text: &str, schema: &serde_json::Value, strings: Strings) -> serde_json::Value {
        let options = Options { scalars: Scalars::GoYaml, strings, schema: Some(schema), ..Options::default() };
        Document::parse(text.as_bytes(), "Chart.yaml", &options).unwrap().value
    }

    #[test]
    fn a_number_under_a_string_field_becomes_text_and_elsewhere_stays() {
        let schema = json!({"properties": {
            "appVersion": {"type": "string"},
            "kind": {"enum": ["1", "2"]},
            "keywords": {"items": {"type": ["string", "null"]}},
            "annotations": {"additionalProperties": {"$ref": "#/$defs/text"}},
        }, "$defs": {"text": {"type": "string"}}});
        let text =
            "appVersion: 1.10\nkind: 1\nkeywords: [1.0, yes, 0x10]\nannotations: {a: 1e6, on: no}\nother: 1.10\n";
        assert_eq!(
            go(text, &schema, Strings::Keep),
            json!({"appVersion": "1.1", "kind": "1", "keywords": ["1", "true", "16"],
                "annotations": {"a": "1e+06", "true": "false"}, "other": 1.1})
        );
    }

    #[test]
    fn null_is_nothing_in_a_field_and_empty_in_lists_and_free_maps_of_strings() {
        let schema = json!({"properties": {
            "home": {"type": "string"},
            "deprecated": {"type": "boolean"},
            "keywords": {"items": {"type": "string"}},
            "annotations": {"additionalProperties": {"type": "string"}},
        }});
        let text = "home:\ndeprecated: ~\nkeywords: [a, ~]\nannotations: {a: }\nfree: ~\n";
        assert_eq!(
            go(text, &schema, Strings::Keep),
            json!({"keywords": ["a", ""], "annotations": {"a": ""}, "free": null})
        );
    }

    #[test]
    fn strings_of_fields_are_cleaned_and_those_of_free_maps_are_not() {
        let schema = json!({"properties": {
            "description": {"type": "string"},
            "sources": {"items": {"type": "string"}},
            "annotations": {"additionalProperties": {"type": "string"}},
            "version": {"type": "string", "x-verbatim": true},
        }});
        let text = "version: \"1\\t\"\ndescription: \"a\\tb\\e\"\nsources: [\"x\\ny\"]\nannotations: {k: \"a\\nb\"}\n";
        assert_eq!(
            go(text, &schema, Strings::Printable),
            json!({"version": "1\t", "description": "a b", "sources": ["x y"], "annotations": {"k": "a\nb"}})
        );
    }
}
