//! Conversion between JSON and the values of expressions.
//!
//! Missing values: a property that the schema lists and the document lacks has the schema's default, or else is
//! *blank*. A missing key where the schema allows any, and an index past the end, are blank too. A property that the
//! schema does not list is undefined, and its use an error. Without a schema, only the document's own keys are defined.

use std::{collections::HashMap, sync::Arc};

use minijinja::value::{Enumerator, Object, ObjectRepr, Value, ValueKind};
use serde_json::{Map, Value as Json};

use crate::{
    error::{Error, Kind, Result},
    plan::Quote,
};

/// Marks a quote inside a text; a noncharacter that no document should contain.
const QUOTE_MARK: char = '\u{FDD0}';

/// Limit of nesting in the conversion to JSON.
const MAX_DEPTH: usize = 64;

/// A value of a document with its schema.
pub(in crate::types) fn view(value: &Json, schema: Option<&Json>) -> Value {
    match value {
        Json::Null => blank(schema),
        Json::Bool(b) => Value::from(*b),
        Json::Number(n) => number(n),
        Json::String(s) => Value::from(s.as_str()),
        Json::Array(items) => {
            let schema = schema.and_then(|s| s.get("items"));
            Value::from_object(SeqView {
                items: items.iter().map(|v| view(v, schema)).collect(),
                beyond: blank(schema),
                absent: false,
            })
        }
        Json::Object(map) => Value::from_object(map_view(Some(map), schema)),
    }
}

/// The value for a missing one.
pub(in crate::types) fn blank(schema: Option<&Json>) -> Value {
    let Some(schema) = schema else { return Value::from(()) };
    if let Some(default) = schema.get("default").filter(|d| !d.is_null()) {
        return view(default, Some(schema));
    }
    match schema.get("type").and_then(Json::as_str) {
        Some("array") => {
            let beyond = blank(schema.get("items"));
            Value::from_object(SeqView { items: Vec::new(), beyond, absent: true })
        }
        Some("object") => Value::from_object(map_view(None, Some(schema))),
        _ => Value::from(()),
    }
}

fn map_view(map: Option<&Map<String, Json>>, schema: Option<&Json>) -> MapView {
    let listed = schema.and_then(|s| s.get("properties")).and_then(Json::as_object);
    let others = schema.and_then(|s| s.get("additionalProperties"));
    let schema_of = |key: &str| listed.and_then(|l| l.get(key)).or(others.filter(|o| o.is_object()));
    let mut values = HashMap::new();
    for (key, value) in map.into_iter().flatten() {
        values.insert(key.clone(), view(value, schema_of(key)));
    }
    for (key, schema) in listed.into_iter().flatten() {
        values.entry(key.clone()).or_insert_with(|| blank(Some(schema)));
    }
    let free = schema.is_some() && (listed.is_none() || others.is_some_and(|o| o != &Json::Bool(false)));
    let rest = free.then(|| blank(others.filter(|o| o.is_object())));
    MapView { keys: map.into_iter().flat_map(Map::keys).cloned().collect(), values, rest, absent: map.is_none() }
}

fn number(n: &serde_json::Number) -> Value {
    match (n.as_i64(), n.as_u64()) {
        (Some(i), _) => Value::from(i),
        (None, Some(u)) => Value::from(u),
        _ => Value::from(n.as_f64().unwrap_or_default()),
    }
}

/// An object, with the optional keys of its schema.
#[derive(Debug)]
struct MapView {
    keys: Vec<String>,
    values: HashMap<String, Value>,
    /// The value of any other key, if allowed.
    rest: Option<Value>,
    absent: bool,
}

impl Object for MapView {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.values.get(key.as_str()?).or(self.rest.as_ref()).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.keys.iter().map(|k| Value::from(k.as_str())).collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.keys.len())
    }
}

/// A list; an index past its end is blank.
#[derive(Debug)]
struct SeqView {
    items: Vec<Value>,
    beyond: Value,
    absent: bool,
}

impl Object for SeqView {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let index = key.as_i64()?;
        let from_start = if index < 0 { index + i64::try_from(self.items.len()).ok()? } else { index };
        let item = usize::try_from(from_start).ok().and_then(|i| self.items.get(i));
        Some(item.unwrap_or(&self.beyond).clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.items.clone())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.items.len())
    }
}

/// Whether the value is a missing object or list.
pub(super) fn is_absent(value: &Value) -> bool {
    value.downcast_object_ref::<MapView>().is_some_and(|m| m.absent)
        || value.downcast_object_ref::<SeqView>().is_some_and(|s| s.absent)
}

/// A layer's digest, diff ID or size, not yet known.
#[derive(Debug)]
struct QuoteView(Quote);

impl Object for QuoteView {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{QUOTE_MARK}")
    }
}

/// A quote as an expression value: opaque, to be used whole.
pub(in crate::types) fn quote(quote: Quote) -> Value {
    Value::from_object(QuoteView(quote))
}

/// Whether the text contains a quote.
pub(super) fn holds_quote(text: &str) -> bool {
    text.contains(QUOTE_MARK)
}

/// Converts a value to JSON; blank becomes `null`.
///
/// Errors: a key `$layer`, which would read as a quote; nesting deeper than 64; a value that JSON cannot represent.
pub(in crate::types) fn to_json(value: &Value) -> Result<Json> {
    to_json_at(value, 0)
}

fn to_json_at(value: &Value, depth: usize) -> Result<Json> {
    if depth > MAX_DEPTH {
        return Err(Error::limit(format!("the value is nested deeper than {MAX_DEPTH} levels")));
    }
    if let Some(quote) = value.downcast_object_ref::<QuoteView>() {
        return Ok(quote.0.to_value());
    }
    if is_absent(value) {
        return Ok(Json::Null);
    }
    let broken = |e: minijinja::Error| Error::caused(Kind::Invalid, "cannot convert a value to JSON", e);
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => Ok(Json::Null),
        ValueKind::Bool => Ok(Json::Bool(value.is_true())),
        ValueKind::Number => Ok(json_number(value)),
        ValueKind::String => text_to_json(&value.to_string()),
        ValueKind::Seq | ValueKind::Iterable => {
            value.try_iter().map_err(broken)?.map(|v| to_json_at(&v, depth + 1)).collect()
        }
        ValueKind::Map => {
            let mut map = Map::new();
            for key in value.try_iter().map_err(broken)? {
                let item = value.get_item(&key).map_err(broken)?;
                map.insert(checked_key(&key.to_string())?, to_json_at(&item, depth + 1)?);
            }
            Ok(Json::Object(map))
        }
        kind => Err(Error::invalid(format!("cannot convert a value of kind {kind} to JSON"))),
    }
}

fn json_number(value: &Value) -> Json {
    if value.is_integer() {
        if let Some(i) = value.as_i64() {
            return i.into();
        }
        if let Ok(u) = u64::try_from(value.clone()) {
            return u.into();
        }
    }
    f64::try_from(value.clone()).ok().map_or(Json::Null, Json::from)
}

fn text_to_json(text: &str) -> Result<Json> {
    if holds_quote(text) {
        return Err(Error::invalid("the digest is not known yet; use it alone, with `$expr`"));
    }
    Ok(Json::String(text.into()))
}

fn checked_key(key: &str) -> Result<String> {
    if key == "$layer" {
        return Err(Error::invalid("the key `$layer` is reserved; a document cannot contain it"));
    }
    Ok(key.into())
}

/// Errors: literal JSON has a key that would read as a quote.
pub(in crate::types) fn refuse_quotes(value: &Json) -> Result<()> {
    match value {
        Json::Object(map) => map.iter().try_for_each(|(k, v)| checked_key(k).and_then(|_| refuse_quotes(v))),
        Json::Array(items) => items.iter().try_for_each(refuse_quotes),
        _ => Ok(()),
    }
}
