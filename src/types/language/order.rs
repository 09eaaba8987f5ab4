//! Which values are equal, and which comes first.

use std::{cmp::Ordering, sync::Arc};

use super::{
    arithmetic::{Numbers, numbers},
    cost::Meter,
    map::Map,
    schema::Kind,
    values::Value,
};
use crate::error::{Error, Result};

/// Whether two values are equal, keys in any order.
pub(super) fn equal(a: &Value, b: &Value, meter: &Arc<Meter>) -> Result<bool> {
    match (parts(a), parts(b)) {
        (Parts::List(one), Parts::List(other)) => {
            meter.take(1)?;
            Ok(one.len() == other.len() && meter.deeper(|| same_items(one, other, meter))?)
        }
        (Parts::Map(one), Parts::Map(other)) => {
            meter.take(1)?;
            Ok(one.len() == other.len() && meter.deeper(|| same_entries(one, other, meter))?)
        }
        (Parts::None, Parts::None) => match (a, b) {
            (Value::Quote(one), Value::Quote(other)) => meter.take(1).map(|()| one == other),
            _ => Ok(order(a, b, meter)?.is_eq()),
        },
        _ => Ok(false),
    }
}

fn same_items(one: &[Value], other: &[Value], meter: &Arc<Meter>) -> Result<bool> {
    for (a, b) in one.iter().zip(other) {
        if !equal(a, b, meter)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn same_entries(one: &Map<Value>, other: &Map<Value>, meter: &Arc<Meter>) -> Result<bool> {
    for (key, value) in one.entries() {
        meter.text(key.len())?;
        match other.get(key) {
            Some(same) if equal(value, same, meter)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// What a value is made of, if it is a list or a map.
enum Parts<'v> {
    List(&'v [Value]),
    Map(&'v Map<Value>),
    None,
}

fn parts(value: &Value) -> Parts<'_> {
    match value {
        Value::List(items, _) => Parts::List(items),
        Value::Map(map, _) => Parts::Map(map),
        blank => match blank.lacks() {
            Kind::Array => Parts::List(&[]),
            Kind::Object => Parts::Map(Map::EMPTY),
            Kind::Other => Parts::None,
        },
    }
}

/// The order of values: by kind, then by content; of maps, by their sorted keys. What is equal has the same place.
pub(super) fn order(a: &Value, b: &Value, meter: &Arc<Meter>) -> Result<Ordering> {
    meter.take(1)?;
    if let (Some(a), Some(b)) = (a.as_text(), b.as_text()) {
        meter.text(a.len().min(b.len()))?;
        return Ok(a.cmp(b));
    }
    match numbers(a, b) {
        Some(Numbers::Whole(a, b)) => return Ok(a.cmp(&b)),
        Some(Numbers::Float(a, b)) => return Ok(a.partial_cmp(&b).unwrap_or_else(|| a.total_cmp(&b))),
        None => {}
    }
    match (parts(a), parts(b)) {
        (Parts::List(one), Parts::List(other)) => meter.deeper(|| order_of_lists(one, other, meter)),
        (Parts::Map(one), Parts::Map(other)) => meter.deeper(|| order_of_maps(one, other, meter)),
        _ => Ok(rank(a)?.cmp(&rank(b)?)),
    }
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

fn order_of_maps(one: &Map<Value>, other: &Map<Value>, meter: &Arc<Meter>) -> Result<Ordering> {
    for ((key, a), (other, b)) in one.by_key().zip(other.by_key()) {
        meter.text(key.len())?;
        let order = match key.cmp(other) {
            Ordering::Equal => order(a, b, meter)?,
            unequal => unequal,
        };
        if order.is_ne() {
            return Ok(order);
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
