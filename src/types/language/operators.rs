//! What operators do with values. Each takes the steps of its work before it works.

use std::sync::Arc;

use super::{
    arithmetic::{Numbers, float_result, numbers, whole_result},
    cost::Meter,
    evaluate::{Fault, Outcome},
    node::{Arithmetic, Comparison},
    order::{equal, order},
    printed::{Printed, text},
    schema::Kind,
    values::Value,
};
use crate::error::{Error, Result};

/// `a + b` and its like.
pub(super) fn calculate(how: Arithmetic, a: &Value, b: &Value, meter: &Arc<Meter>) -> Outcome<Value> {
    if matches!(a, Value::Undefined) || matches!(b, Value::Undefined) {
        return Err(Fault::Undefined);
    }
    let sign = match how {
        Arithmetic::Add => "+",
        Arithmetic::Subtract => "-",
        Arithmetic::Divide => "/",
        Arithmetic::Floor => "//",
        Arithmetic::Remainder => "%",
    };
    let result = match (how, numbers(a, b)) {
        (Arithmetic::Add, None) => return add(a, b, meter),
        (_, None) => return Err(Error::invalid(format!("`{sign}` of a {} and a {}", a.kind(), b.kind())).into()),
        (Arithmetic::Divide, Some(numbers)) => {
            let (a, b) = numbers.as_floats();
            (b != 0.0).then_some(Value::Float(a / b))
        }
        (_, Some(Numbers::Whole(a, b))) => whole_result(how, a, b).map(Value::Int),
        (_, Some(Numbers::Float(a, b))) => float_result(how, a, b).map(Value::Float),
    };
    result.ok_or_else(|| Error::invalid(format!("`{sign}` has no result for these numbers")).into())
}

/// Texts and lists, one after the other.
fn add(a: &Value, b: &Value, meter: &Arc<Meter>) -> Outcome<Value> {
    if a.as_text().is_some() && b.as_text().is_some() {
        return join([a, b], meter);
    }
    let list = |value: &Value| matches!(value, Value::List(..)) || value.lacks() == Kind::Array;
    if !list(a) || !list(b) {
        return Err(Error::invalid(format!("`+` of a {} and a {}", a.kind(), b.kind())).into());
    }
    let mut all = items(a, meter)?.to_vec();
    meter.take(all.len())?;
    all.extend(items(b, meter)?.iter().cloned());
    Ok(Value::List(Arc::new(all), None))
}

/// `a ~ b`
pub(super) fn join<'v>(parts: impl IntoIterator<Item = &'v Value>, meter: &Arc<Meter>) -> Outcome<Value> {
    let mut out = Printed::new(meter);
    parts.into_iter().try_for_each(|part| out.value(part))?;
    Ok(out.finish().into())
}

pub(super) fn minus(value: &Value) -> Outcome<Value> {
    let negative = match value {
        Value::Undefined => return Err(Fault::Undefined),
        Value::Int(i) => i.checked_neg().map(Value::Int),
        Value::Float(f) => Some(Value::Float(-f)),
        _ => None,
    };
    negative.ok_or_else(|| Error::invalid(format!("`-` of a {}", value.kind())).into())
}

/// What an item costs that is a text of its own: it takes as much room as two others.
pub(super) const TEXT_ITEM: usize = 2;

/// The items of a list, the characters of a text, the keys of a map.
pub(super) fn items(value: &Value, meter: &Arc<Meter>) -> Outcome<Arc<Vec<Value>>> {
    let made = match value {
        Value::Undefined => return Err(Fault::Undefined),
        Value::Blank(_) => Vec::new(),
        Value::List(items, None) => {
            meter.take(items.len())?;
            return Ok(Arc::clone(items));
        }
        Value::List(items, Some(_)) => {
            meter.take(items.len())?;
            (0..items.len()).map(|i| value.at(i as i128)).collect()
        }
        Value::Text(text) | Value::Path(text) => {
            meter.take(text.chars().count().saturating_mul(TEXT_ITEM))?;
            text.chars().map(|c| Value::from(c.encode_utf8(&mut [0; 4]) as &str)).collect()
        }
        Value::Map(map, _) => {
            meter.take(map.entries().len())?;
            map.entries().iter().map(|(key, _)| Value::Text(Arc::clone(key))).collect()
        }
        Value::Lazy(lazy) => {
            let names = lazy.keys();
            meter.take(names.len())?;
            names.into_iter().cloned().map(Value::Text).collect()
        }
        other => return Err(Error::invalid(format!("a {} has no items", other.kind())).into()),
    };
    Ok(Arc::new(made))
}

/// `a[b]`
pub(super) fn item(of: &Value, key: &Value, meter: &Arc<Meter>) -> Outcome<Value> {
    match (of, key) {
        (Value::Undefined, _) | (_, Value::Undefined) => Err(Fault::Undefined),
        (_, Value::Text(key) | Value::Path(key)) => Ok(of.get(key, meter)?),
        (Value::Text(text) | Value::Path(text), Value::Int(index)) => {
            meter.text(text.len())?;
            Ok(character(text, *index).map_or(Value::Blank(None), |c| c.to_string().into()))
        }
        (_, Value::Int(index)) => Ok(of.at(*index)),
        _ => Ok(Value::Undefined),
    }
}

/// The character with this index, from the end if it is negative.
fn character(text: &str, index: i128) -> Option<char> {
    match usize::try_from(index) {
        Ok(index) => text.chars().nth(index),
        // The last one is -1.
        Err(_) => usize::try_from(-(index + 1)).ok().and_then(|before| text.chars().rev().nth(before)),
    }
}

/// `a[start:stop:step]` of a text or a list.
pub(super) fn part(
    of: &Value,
    start: Option<&Value>,
    stop: Option<&Value>,
    step: Option<&Value>,
    meter: &Arc<Meter>,
) -> Outcome<Value> {
    let number = |value: Option<&Value>| match value {
        None | Some(Value::Blank(_)) => Ok(None),
        Some(Value::Int(i)) => {
            i64::try_from(*i).map(Some).map_err(|_| Error::limit(format!("the index {i} is too large")))
        }
        Some(other) => Err(Error::invalid(format!("a {} is not an index", other.kind()))),
    };
    let (start, stop, step) = (number(start)?, number(stop)?, number(step)?.unwrap_or(1));
    match of {
        Value::Undefined => Err(Fault::Undefined),
        Value::Text(text) | Value::Path(text) => {
            // Four bytes for every character.
            meter.text(text.len().saturating_mul(5))?;
            let all: Vec<char> = text.chars().collect();
            let chosen: String = places(all.len(), start, stop, step)?.filter_map(|i| all.get(i)).collect();
            Ok(chosen.into())
        }
        Value::List(..) | Value::Blank(_) => {
            let all = items(of, meter)?;
            meter.take(all.len())?;
            Ok(places(all.len(), start, stop, step)?.filter_map(|i| all.get(i).cloned()).collect())
        }
        other => Err(Error::invalid(format!("a {} has no parts", other.kind())).into()),
    }
}

/// The places that a slice chooses among `len`, as in Python.
fn places(len: usize, start: Option<i64>, stop: Option<i64>, step: i64) -> Result<impl Iterator<Item = usize>> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let (low, high) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let place = |at: i64| (if at < 0 { at.saturating_add(len) } else { at }).clamp(low, high);
    let first = start.map_or(if step > 0 { low } else { high }, place);
    let last = stop.map_or(if step > 0 { high } else { low }, place);
    let ahead = move |at: &i64| if step > 0 { *at < last } else { *at > last };
    if step == 0 {
        return Err(Error::invalid("a slice cannot have a step of 0"));
    }
    let all = std::iter::successors(Some(first), move |at| at.checked_add(step)).take_while(ahead);
    Ok(all.filter_map(|at| usize::try_from(at).ok()))
}

/// `a < b` and its like.
pub(super) fn compare(how: Comparison, a: &Value, b: &Value, meter: &Arc<Meter>) -> Outcome<bool> {
    if matches!(a, Value::Undefined) || matches!(b, Value::Undefined) {
        return Err(Fault::Undefined);
    }
    Ok(match how {
        Comparison::Equal => equal(a, b, meter)?,
        Comparison::Unequal => !equal(a, b, meter)?,
        Comparison::In => holds(b, a, meter)?,
        Comparison::NotIn => !holds(b, a, meter)?,
        Comparison::Less => order(a, b, meter)?.is_lt(),
        Comparison::AtMost => order(a, b, meter)?.is_le(),
        Comparison::More => order(a, b, meter)?.is_gt(),
        Comparison::AtLeast => order(a, b, meter)?.is_ge(),
    })
}

/// `b in a`
pub(super) fn holds(a: &Value, b: &Value, meter: &Arc<Meter>) -> Outcome<bool> {
    match a {
        Value::Undefined => Err(Fault::Undefined),
        Value::Text(within) | Value::Path(within) => {
            let wanted = text(b, meter)?;
            meter.text(within.len() + wanted.len())?;
            Ok(within.contains(&*wanted))
        }
        Value::List(..) => {
            for item in items(a, meter)?.iter() {
                if equal(item, b, meter)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Map(..) | Value::Lazy(_) => {
            let Some(key) = b.as_text() else { return Ok(false) };
            meter.text(key.len())?;
            Ok(a.own(key).is_some() || matches!(a, Value::Lazy(lazy) if lazy.has(key)))
        }
        Value::Blank(_) => match a.lacks() {
            Kind::Other => Err(Error::invalid("`in` needs a list, a map or a text, not a blank value").into()),
            _ => Ok(false),
        },
        other => Err(Error::invalid(format!("`in` needs a list, a map or a text, not a {}", other.kind())).into()),
    }
}
