//! Quotes: values of a layer in a config or annotation, filled in after the layer is packed.

use std::collections::BTreeMap;

use serde_json::Value;

use super::layer::Made;
use crate::{
    error::{Context as _, Error, Result},
    oci::Annotations,
    plan::{Quote, Quoted},
};

/// All quotes in a JSON value. Errors: an object with `$layer` that is not a quote.
pub(super) fn all(value: &Value) -> Result<Vec<Quote>> {
    let mut found = Vec::new();
    match value {
        Value::Object(map) if map.contains_key("$layer") => found.push(read(value)?),
        Value::Object(map) => map.values().try_for_each(|v| all(v).map(|more| found.extend(more)))?,
        Value::Array(items) => items.iter().try_for_each(|v| all(v).map(|more| found.extend(more)))?,
        _ => {}
    }
    Ok(found)
}

/// The value with every quote replaced: digests as strings, sizes as numbers.
pub(super) fn fill(value: &Value, layers: &[Made]) -> Result<Value> {
    Ok(match value {
        Value::Object(map) if map.contains_key("$layer") => resolve(read(value)?, layers)?,
        Value::Object(map) => {
            Value::Object(map.iter().map(|(k, v)| Ok((k.clone(), fill(v, layers)?))).collect::<Result<_>>()?)
        }
        Value::Array(items) => Value::Array(items.iter().map(|v| fill(v, layers)).collect::<Result<_>>()?),
        other => other.clone(),
    })
}

/// Annotations with every quote replaced by text.
pub(super) fn annotations(planned: &BTreeMap<String, Value>, layers: &[Made]) -> Result<Annotations> {
    let text = |value: &Value| match fill(value, layers)? {
        Value::String(text) => Ok(text),
        Value::Number(number) if value.is_object() => Ok(number.to_string()),
        _ => Err(Error::invalid("the value must be a string or a quote")),
    };
    let one = |(key, value): (&String, &Value)| {
        let text = text(value).context(|| format!("annotation `{key}`"))?;
        Ok((key.clone(), text))
    };
    planned.iter().map(one).collect()
}

fn read(value: &Value) -> Result<Quote> {
    Quote::from_value(value).ok_or_else(|| {
        Error::invalid(format!("`{value}` is not a quote such as `{{\"$layer\":0,\"value\":\"digest\"}}`"))
    })
}

fn resolve(quote: Quote, layers: &[Made]) -> Result<Value> {
    let made = layers.get(quote.layer).ok_or_else(|| missing(quote.layer, layers.len()))?;
    Ok(match quote.value {
        Quoted::Digest => made.desc.digest.to_string().into(),
        Quoted::DiffId => made.diff_id.to_string().into(),
        Quoted::Size => made.desc.size.into(),
    })
}

/// The error for a quote of a missing layer.
pub(super) fn missing(layer: usize, layers: usize) -> Error {
    Error::invalid(format!("the quote of layer {layer} is out of range; the plan has {layers} layers, counted from 0"))
}
