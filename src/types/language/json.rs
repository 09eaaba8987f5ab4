//! Values of expressions as JSON, for configs and annotations.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::{cost::Meter, values::Value};
use crate::{
    document::NODE,
    error::{Error, Result},
};

/// Limit of nesting in the conversion to JSON.
const MAX_DEPTH: usize = 64;

/// Converts a value to JSON; blank becomes `null`.
///
/// Errors: a key `$layer`, which would read as a quote; nesting deeper than 64; a number that is not finite, or a
/// whole one of more than 64 bits; what is no data, such as a function; kind
/// `Limit` if the definition has made too much.
pub(super) fn to_json(value: &Value, meter: &Arc<Meter>) -> Result<Json> {
    at_depth(value, 0, meter)
}

fn at_depth(value: &Value, depth: usize, meter: &Arc<Meter>) -> Result<Json> {
    if depth > MAX_DEPTH {
        return Err(Error::limit(format!("the value is nested deeper than {MAX_DEPTH} levels")));
    }
    meter.take(1)?;
    meter.keep(NODE)?;
    match value {
        Value::Undefined | Value::Blank(_) => Ok(Json::Null),
        Value::Bool(b) => Ok(Json::Bool(*b)),
        Value::Int(i) => integer(*i),
        Value::Float(f) => float(*f),
        Value::Text(text) | Value::Path(text) => {
            meter.text(text.len())?;
            meter.keep(text.len())?;
            Ok(Json::from(&**text))
        }
        Value::Quote(quote) => Ok(quote.to_value()),
        Value::List(items, _) => (0..items.len()).map(|i| at_depth(&value.at(i as i128), depth + 1, meter)).collect(),
        Value::Map(..) | Value::Lazy(_) => object(value, depth, meter),
        Value::Layers(_) | Value::Loop(_) => Err(Error::invalid(format!("cannot convert a {} to JSON", value.kind()))),
    }
}

fn object(value: &Value, depth: usize, meter: &Arc<Meter>) -> Result<Json> {
    let mut out = Map::new();
    let keys = match value {
        Value::Map(map, _) => map.entries().iter().map(|(key, _)| &**key).collect(),
        other => other.keys(),
    };
    for key in keys {
        meter.keep(key_size(key))?;
        out.insert(checked_key(key)?, at_depth(&value.get(key, meter)?, depth + 1, meter)?);
    }
    Ok(Json::Object(out))
}

/// The bytes that this JSON takes in memory, about.
pub(in crate::types) fn size(json: &Json) -> usize {
    NODE + match json {
        Json::String(text) => text.len(),
        Json::Array(items) => items.iter().map(size).sum(),
        Json::Object(map) => map.iter().map(|(key, value)| key_size(key) + size(value)).sum(),
        _ => 0,
    }
}

/// The bytes that a key takes in its object, about, besides its value.
pub(super) fn key_size(key: &str) -> usize {
    NODE + key.len()
}

fn integer(number: i128) -> Result<Json> {
    match (i64::try_from(number), u64::try_from(number)) {
        (Ok(i), _) => Ok(i.into()),
        (_, Ok(u)) => Ok(u.into()),
        _ => Err(Error::invalid(format!("the number {number} has more than 64 bits; make it a text, with `string`"))),
    }
}

fn float(number: f64) -> Result<Json> {
    let finite = serde_json::Number::from_f64(number).map(Json::Number);
    finite.ok_or_else(|| Error::invalid(format!("a result is no finite number ({number}), and JSON has no such value")))
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
