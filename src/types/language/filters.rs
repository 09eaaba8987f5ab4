//! The filters of expressions: `a | lower`. Each takes the steps of its work before it works.

use std::{fmt, sync::Arc};

use super::{
    call::Call,
    conditions,
    cost::Meter,
    evaluate::{Fault, Outcome},
    lists, numbers,
    operators::{TEXT_ITEM, items},
    printed::{Printed, text},
    scope::unknown_name,
    values::Value,
};
use crate::error::{Error, Result};

/// A filter.
pub(super) struct Filter {
    pub(super) name: &'static str,
    run: fn(Value, &mut Call<'_>) -> Outcome<Value>,
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Filter {
    /// The result for a value. Errors: also an undefined value, except for `default`.
    pub(super) fn apply(&self, value: Value, mut call: Call<'_>) -> Outcome<Value> {
        if matches!(value, Value::Undefined) && self.name != "default" {
            return Err(Fault::Undefined);
        }
        call.meter.take(1)?;
        let result = (self.run)(value, &mut call)?;
        call.finish()?;
        Ok(result)
    }
}

const fn filter(name: &'static str, run: fn(Value, &mut Call<'_>) -> Outcome<Value>) -> Filter {
    Filter { name, run }
}

/// All filters.
static FILTERS: [Filter; 28] = [
    filter("lower", |value, call| derived(value, call, |text, _| Ok(text.to_lowercase()))),
    filter("upper", |value, call| derived(value, call, |text, _| Ok(text.to_uppercase()))),
    filter("trim", |value, call| derived(value, call, trimmed)),
    filter("replace", replace),
    filter("join", join),
    filter("split", split),
    filter("lines", lines),
    filter("length", length),
    filter("default", default),
    filter("int", numbers::int),
    filter("float", numbers::float),
    filter("string", |value, call| match value {
        Value::Text(_) | Value::Path(_) => Ok(value),
        other => Ok(Value::Text(text(&other, call.meter)?)),
    }),
    filter("bool", |value, _| Ok(Value::Bool(value.is_true()))),
    filter("first", |value, call| end(&value, call, false)),
    filter("last", |value, call| end(&value, call, true)),
    filter("list", |value, call| Ok(Value::List(items(&value, call.meter)?, None))),
    filter("items", lists::pairs),
    filter("sort", lists::sort),
    filter("reverse", lists::reverse),
    filter("unique", lists::unique),
    filter("min", |value, call| lists::extreme(&value, call, std::cmp::Ordering::is_lt)),
    filter("max", |value, call| lists::extreme(&value, call, std::cmp::Ordering::is_ge)),
    filter("sum", numbers::sum),
    filter("map", map),
    filter("select", |value, call| select(&value, call, false, true)),
    filter("reject", |value, call| select(&value, call, false, false)),
    filter("selectattr", |value, call| select(&value, call, true, true)),
    filter("rejectattr", |value, call| select(&value, call, true, false)),
];

/// The filter with this name. Errors: there is none.
pub(super) fn find(name: &str) -> Result<&'static Filter> {
    let found = FILTERS.iter().find(|filter| filter.name == name);
    found.ok_or_else(|| Error::invalid(unknown_name("the filter", name, FILTERS.iter().map(|filter| filter.name))))
}

/// Most bytes that a letter in the other case has, for each byte of the letter.
const CASE_GROWTH: usize = 3;

/// A text made of one other; what was checked as a path stays so.
fn derived(
    value: Value,
    call: &mut Call<'_>,
    make: impl FnOnce(&str, &mut Call<'_>) -> Outcome<String>,
) -> Outcome<Value> {
    let whole = text(&value, call.meter)?;
    call.meter.text(whole.len().saturating_mul(1 + CASE_GROWTH))?;
    let made = make(&whole, call)?;
    Ok(if matches!(value, Value::Path(_)) { Value::Path(made.into()) } else { made.into() })
}

fn trimmed(text: &str, call: &mut Call<'_>) -> Outcome<String> {
    let Some(chars) = call.next_text("chars")? else { return Ok(text.trim().to_owned()) };
    let chars: Vec<char> = chars.chars().collect();
    // Every character is compared with each of these.
    call.meter.text(text.len().saturating_mul(chars.len()))?;
    Ok(text.trim_matches(&chars[..]).to_owned())
}

fn replace(value: Value, call: &mut Call<'_>) -> Outcome<Value> {
    let whole = text(&value, call.meter)?;
    let (from, to) = (call.needed("from")?, call.needed("to")?);
    let (from, to) = (text(&from, call.meter)?, text(&to, call.meter)?);
    let (mut out, mut last) = (Printed::new(call.meter), 0);
    call.meter.text(whole.len() + from.len())?;
    for (at, found) in whole.match_indices(&*from) {
        out.push(whole.get(last..at).unwrap_or_default())?;
        out.push(&to)?;
        last = at + found.len();
    }
    out.push(whole.get(last..).unwrap_or_default())?;
    Ok(out.finish().into())
}

fn join(value: Value, call: &mut Call<'_>) -> Outcome<Value> {
    let with = call.next_text("with")?.unwrap_or_default();
    let mut out = Printed::new(call.meter);
    for (i, item) in items(&value, call.meter)?.iter().enumerate() {
        out.push(if i > 0 { &with } else { "" })?;
        out.value(item)?;
    }
    Ok(out.finish().into())
}

/// Texts that are parts of another; parts of what was checked as a path are so, too.
fn parts<'t>(value: &Value, parts: impl Iterator<Item = &'t str>, meter: &Arc<Meter>) -> Outcome<Value> {
    let mut made = Vec::new();
    for part in parts {
        meter.take(TEXT_ITEM)?;
        meter.text(part.len())?;
        let text = part.into();
        made.push(if matches!(value, Value::Path(_)) { Value::Path(text) } else { Value::Text(text) });
    }
    Ok(made.into_iter().collect())
}

fn split(value: Value, call: &mut Call<'_>) -> Outcome<Value> {
    let whole = text(&value, call.meter)?;
    call.meter.text(whole.len())?;
    let (separator, most) = (call.next_text("separator")?, call.next("maxsplit")?);
    match (&separator, most) {
        (None, None) => parts(&value, whole.split_whitespace(), call.meter),
        (Some(separator), None) => parts(&value, whole.split(&**separator), call.meter),
        (Some(separator), Some(Value::Int(most))) => {
            let most = usize::try_from(most).unwrap_or(usize::MAX).saturating_add(1);
            parts(&value, whole.splitn(most, &**separator), call.meter)
        }
        _ => Err(Error::invalid("`split` takes a separator, and how many times it splits at most").into()),
    }
}

fn lines(value: Value, call: &mut Call<'_>) -> Outcome<Value> {
    let whole = text(&value, call.meter)?;
    call.meter.text(whole.len())?;
    parts(&value, whole.lines(), call.meter)
}

fn length(value: Value, call: &mut Call<'_>) -> Outcome<Value> {
    Ok(match &value {
        Value::Text(text) | Value::Path(text) => {
            call.meter.text(text.len())?;
            text.chars().count().into()
        }
        Value::List(items, _) => items.len().into(),
        Value::Map(map, _) => map.entries().len().into(),
        Value::Lazy(lazy) => {
            let keys = lazy.keys().len();
            call.meter.take(keys)?;
            keys.into()
        }
        Value::Blank(_) => 0_usize.into(),
        other => return Err(Error::invalid(format!("a {} has no length", other.kind())).into()),
    })
}

/// Another value for one that does not exist; with `true`, also for one that is not true.
fn default(value: Value, call: &mut Call<'_>) -> Outcome<Value> {
    let other = call.next("value")?.unwrap_or_else(|| "".into());
    let lax = call.next("boolean")?.is_some_and(|lax| lax.is_true());
    Ok(if matches!(value, Value::Undefined) || (lax && !value.is_true()) { other } else { value })
}

/// The first or the last item; blank if there are none.
fn end(value: &Value, call: &Call<'_>, last: bool) -> Outcome<Value> {
    let all = match value {
        Value::List(all, _) if all.is_empty() => return Ok(Value::Blank(None)),
        Value::List(..) => return Ok(value.at(if last { -1 } else { 0 })),
        Value::Text(_) | Value::Path(_) | Value::Map(..) | Value::Lazy(_) => items(value, call.meter)?,
        _ => return Ok(Value::Blank(None)),
    };
    Ok(if last { all.last() } else { all.first() }.cloned().unwrap_or(Value::Blank(None)))
}

/// The value behind a dotted path.
pub(super) fn attribute(of: &Value, path: &Value, meter: &Arc<Meter>) -> Outcome<Value> {
    let Some(path) = path.as_text() else { return super::operators::item(of, path, meter) };
    let mut value = of.clone();
    for key in path.split('.') {
        meter.text(key.len())?;
        value = match (key.parse::<u32>(), &value) {
            (_, Value::Undefined) => return Err(Fault::Undefined),
            (Ok(index), Value::List(..)) => value.at(index.into()),
            _ => value.get(key, meter)?,
        };
    }
    Ok(value)
}

fn map(value: Value, call: &mut Call<'_>) -> Outcome<Value> {
    let (all, mut made) = (items(&value, call.meter)?, Vec::new());
    if let Some(path) = call.named("attribute")? {
        let other = call.named("default")?;
        for item in all.iter() {
            call.meter.take(1)?;
            let found = attribute(item, &path, call.meter)?;
            made.push(match (found, &other) {
                (Value::Undefined, Some(other)) => other.clone(),
                (Value::Undefined, None) => return Err(Fault::Undefined),
                (found, _) => found,
            });
        }
        return Ok(made.into_iter().collect());
    }
    let name = text(&call.needed("filter")?, call.meter)?;
    let inner = find(&name)?;
    let (plain, named) = (call.rest(), std::mem::take(&mut call.named));
    for item in all.iter() {
        call.meter.take(1 + plain.len() + named.len())?;
        let call = Call::new(inner.name, plain.clone(), named.clone(), call.meter);
        let meter = call.meter;
        made.push(meter.deeper(|| inner.apply(item.clone(), call))?);
    }
    Ok(made.into_iter().collect())
}

/// The items, or those whose attribute, for which a test holds or does not hold; without a test, which are true.
fn select(value: &Value, call: &mut Call<'_>, by_attribute: bool, wanted: bool) -> Outcome<Value> {
    let path = if by_attribute { Some(call.needed("attribute")?) } else { None };
    let test = match call.next_text("test")? {
        Some(name) => Some(conditions::find(&name)?.with(call.rest())?),
        None => None,
    };
    let mut chosen = Vec::new();
    for item in items(value, call.meter)?.iter() {
        call.meter.take(1)?;
        let tested = path.as_ref().map_or_else(|| Ok(item.clone()), |path| attribute(item, path, call.meter))?;
        let holds = match &test {
            Some(test) => test.holds(&tested, call.meter)?,
            None if matches!(tested, Value::Undefined) => return Err(Fault::Undefined),
            None => tested.is_true(),
        };
        if holds == wanted {
            chosen.push(item.clone());
        }
    }
    Ok(chosen.into_iter().collect())
}
