//! Which values are equal, and which comes first.

use std::{cmp::Ordering, sync::Arc};

use super::{
    cost::Meter,
    operators::{Numbers, numbers},
    schema::Kind,
    values::Value,
};
use crate::error::{Error, Result};

/// Whether two values are equal, keys in any order.
pub(super) fn equal(a: &Value, b: &Value, meter: &Arc<Meter>) -> Result<bool> {
    match (entries(a), entries(b)) {
        (Some(one), Some(other)) if one.len() == other.len() => meter.deeper(|| same_entries(one, b, meter)),
        (Some(_), _) | (_, Some(_)) => Ok(false),
        _ => match (a, b) {
            (Value::Quote(one), Value::Quote(other)) => Ok(one == other),
            _ => Ok(order(a, b, meter)?.is_eq()),
        },
    }
}

fn same_entries(one: &[(Arc<str>, Value)], other: &Value, meter: &Arc<Meter>) -> Result<bool> {
    for (key, value) in one {
        meter.text(key.len())?;
        match other.own(key) {
            Some(same) if equal(value, same, meter)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

fn list(value: &Value) -> Option<&[Value]> {
    match value {
        Value::List(items, _) => Some(items),
        blank if blank.lacks() == Kind::Array => Some(&[]),
        _ => None,
    }
}

fn entries(value: &Value) -> Option<&[(Arc<str>, Value)]> {
    match value {
        Value::Map(map, _) => Some(map.entries()),
        blank if blank.lacks() == Kind::Object => Some(&[]),
        _ => None,
    }
}

/// The order of values: by kind, then by content.
pub(super) fn order(a: &Value, b: &Value, meter: &Arc<Meter>) -> Result<Ordering> {
    meter.take(1)?;
    if let (Some(a), Some(b)) = (a.as_text(), b.as_text()) {
        meter.text(a.len().min(b.len()))?;
        return Ok(a.cmp(b));
    }
    match numbers(a, b) {
        Some(Numbers::Whole(a, b)) => return Ok(a.cmp(&b)),
        Some(Numbers::Broken(a, b)) => return Ok(a.partial_cmp(&b).unwrap_or_else(|| a.total_cmp(&b))),
        None => {}
    }
    if let (Some(one), Some(other)) = (list(a), list(b)) {
        return meter.deeper(|| order_of_lists(one, other, meter));
    }
    if let (Some(one), Some(other)) = (entries(a), entries(b)) {
        return meter.deeper(|| order_of_maps(one, other, meter));
    }
    Ok(rank(a)?.cmp(&rank(b)?))
}

fn order_of_lists(one: &[Value], other: &[Value], meter: &Arc<Meter>) -> Result<Ordering> {
    for (a, b) in one.iter().zip(other) {
        match order(a, b, meter)? {
            Ordering::Equal => {}
            unequal => return Ok(unequal),
        }
    }
    Ok(one.len().cmp(&other.len()))
}

type Entries = [(Arc<str>, Value)];

fn order_of_maps(one: &Entries, other: &Entries, meter: &Arc<Meter>) -> Result<Ordering> {
    for ((key, a), (other, b)) in one.iter().zip(other) {
        meter.text(key.len())?;
        match key.cmp(other).then(order(a, b, meter)?) {
            Ordering::Equal => {}
            unequal => return Ok(unequal),
        }
    }
    Ok(one.len().cmp(&other.len()))
}

/// The place of a kind in the order of kinds. Errors: what cannot be compared.
fn rank(value: &Value) -> Result<u8> {
    Ok(match value {
        Value::Undefined => 0,
        Value::Blank(_) => match value.lacks() {
            Kind::Other => 1,
            Kind::Array => 4,
            Kind::Object => 5,
        },
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => 2,
        Value::Text(_) | Value::Path(_) => 3,
        Value::List(..) => 4,
        Value::Map(..) => 5,
        Value::Quote(_) | Value::Lazy(_) | Value::Layers(_) | Value::Loop(_) => {
            return Err(Error::invalid(format!("a {} cannot be compared", value.kind())));
        }
    })
}
