//! JSON as expressions see it, and back.
//!
//! The rule for what is missing: a document with a schema knows its properties. A property that the schema lists and
//! the document leaves out is its schema's default, else *blank*; so is a missing key where the schema allows any, and
//! an index past the end. What the schema does not list does not exist, and naming it is an error. A document without
//! a schema knows only what it holds.

use std::{collections::HashMap, sync::Arc};

use minijinja::value::{Enumerator, Object, ObjectRepr, Value, ValueKind};
use serde_json::{Map, Value as Json};

use crate::{
    error::{Error, Kind, Result},
    plan::Quote,
};

/// Marks a quote that was made part of a text; a noncharacter that no document should hold.
const QUOTE_MARK: char = '\u{FDD0}';

/// Deepest nesting that is turned back into JSON.
const MAX_DEPTH: usize = 64;

/// A value of a document, seen through its schema.
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

/// What stands for a value that is not there.
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

/// An object; with a schema it also knows what it might have held.
#[derive(Debug)]
struct MapView {
    keys: Vec<String>,
    values: HashMap<String, Value>,
    /// What stands for any other key, where any is allowed.
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

/// Whether this stands for an object or list that is not there.
pub(super) fn is_absent(value: &Value) -> bool {
    value.downcast_object_ref::<MapView>().is_some_and(|m| m.absent)
        || value.downcast_object_ref::<SeqView>().is_some_and(|s| s.absent)
}

/// A value of a layer that is not known yet.
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

/// A quote as expressions see it: opaque, and only good for being placed whole.
pub(in crate::types) fn quote(quote: Quote) -> Value {
    Value::from_object(QuoteView(quote))
}

/// Whether a quote was made part of this text.
pub(super) fn holds_quote(text: &str) -> bool {
    text.contains(QUOTE_MARK)
}

/// The JSON of a value; what is blank is `null`.
///
/// Errors: a key `$layer`, which would read as a quote; nesting of more than 64; a value that JSON does not have.
pub(in crate::types) fn to_json(value: &Value) -> Result<Json> {
    to_json_at(value, 0)
}

fn to_json_at(value: &Value, depth: usize) -> Result<Json> {
    if depth > MAX_DEPTH {
        return Err(Error::limit(format!("a value nested more than {MAX_DEPTH} deep")));
    }
    if let Some(quote) = value.downcast_object_ref::<QuoteView>() {
        return Ok(quote.0.to_value());
    }
    if is_absent(value) {
        return Ok(Json::Null);
    }
    let broken = |e: minijinja::Error| Error::caused(Kind::Invalid, "cannot make JSON of a value", e);
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
        kind => Err(Error::invalid(format!("cannot make JSON of a value of kind {kind}"))),
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
        return Err(Error::invalid("a digest is not known yet: quote it alone, with `$expr`"));
    }
    Ok(Json::String(text.into()))
}

fn checked_key(key: &str) -> Result<String> {
    if key == "$layer" {
        return Err(Error::invalid("the key `$layer` is reserved, and may not come from a document"));
    }
    Ok(key.into())
}

/// An error when JSON that never passed through an expression has a key that reads as a quote.
pub(in crate::types) fn refuse_quotes(value: &Json) -> Result<()> {
    match value {
        Json::Object(map) => map.iter().try_for_each(|(k, v)| checked_key(k).and_then(|_| refuse_quotes(v))),
        Json::Array(items) => items.iter().try_for_each(refuse_quotes),
        _ => Ok(()),
    }
}
