//! The filters that make numbers.

use super::{
    arithmetic::as_float,
    call::Call,
    evaluate::{Fault, Outcome},
    filters::attribute,
    node::Arithmetic,
    operators::{calculate, items},
    values::Value,
};
use crate::error::Error;

pub(super) fn int(value: Value, call: &mut Call<'_>) -> Outcome<Value> {
    let other = call.next("default")?;
    let base = match call.next("base")? {
        Some(Value::Int(base)) => u32::try_from(base).ok().filter(|base| (2..=36).contains(base)),
        Some(_) => None,
        None => Some(10),
    };
    let base = base.ok_or_else(|| Error::invalid("`int` takes a base from 2 to 36"))?;
    // Numbers beyond this, and those that are none, are no integers.
    #[allow(clippy::cast_possible_truncation)]
    let whole = |f: f64| (f.abs() < 1e38).then_some(f as i128);
    let made = match &value {
        Value::Blank(_) => return Ok(other.unwrap_or(Value::Int(0))),
        Value::Bool(b) => Some(i128::from(*b)),
        Value::Int(i) => Some(*i),
        Value::Float(f) => whole(*f),
        Value::Text(text) | Value::Path(text) => {
            call.meter.text(text.len())?;
            let text = text.trim();
            i128::from_str_radix(text, base).ok().or_else(|| text.parse().ok().and_then(whole))
        }
        _ => None,
    };
    made.map(Value::Int).or(other).ok_or_else(|| not_a_number(&value))
}

pub(super) fn float(value: Value, call: &mut Call<'_>) -> Outcome<Value> {
    let other = call.next("default")?;
    let made = match &value {
        Value::Blank(_) => return Ok(other.unwrap_or(Value::Float(0.0))),
        Value::Text(text) | Value::Path(text) => {
            call.meter.text(text.len())?;
            text.trim().parse().ok()
        }
        number => as_float(number),
    };
    made.map(Value::Float).or(other).ok_or_else(|| not_a_number(&value))
}

fn not_a_number(value: &Value) -> Fault {
    match value.as_text() {
        Some(text) => Error::invalid(format!("`{}` is not a number", text.chars().take(80).collect::<String>())).into(),
        None => Error::invalid(format!("a {} is not a number", value.kind())).into(),
    }
}

pub(super) fn sum(value: Value, call: &mut Call<'_>) -> Outcome<Value> {
    let path = call.next("attribute")?;
    let mut sum = call.next("start")?.unwrap_or(Value::Int(0));
    for item in items(&value, call.meter)?.iter() {
        call.meter.take(1)?;
        let item = path.as_ref().map_or_else(|| Ok(item.clone()), |path| attribute(item, path, call.meter))?;
        if as_float(&item).is_none() {
            return Err(Error::invalid(format!("`sum` of numbers only, not of a {}", item.kind())).into());
        }
        sum = calculate(Arithmetic::Add, &sum, &item, call.meter)?;
    }
    Ok(sum)
}
