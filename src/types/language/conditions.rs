//! The tests of expressions: `a is startingwith 'b'`.

use std::{fmt, sync::Arc};

use super::{
    cost::Meter,
    evaluate::{Fault, Outcome},
    operators::holds,
    order::equal,
    printed::text,
    schema::Kind,
    scope::unknown_name,
    values::Value,
};
use crate::error::{Error, Result};

/// A test.
pub(super) struct Condition {
    pub(super) name: &'static str,
    /// How many arguments it takes, none or one.
    arguments: usize,
    holds: fn(&Value, &[Value], &Arc<Meter>) -> Outcome<bool>,
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const fn condition(
    name: &'static str,
    arguments: usize,
    holds: fn(&Value, &[Value], &Arc<Meter>) -> Outcome<bool>,
) -> Condition {
    Condition { name, arguments, holds }
}

/// All tests.
static CONDITIONS: [Condition; 11] = [
    condition("none", 0, |value, _, _| Ok(matches!(value, Value::Blank(_)) && value.lacks() == Kind::Other)),
    condition("string", 0, |value, _, _| Ok(value.as_text().is_some())),
    condition("number", 0, |value, _, _| Ok(matches!(value, Value::Int(_) | Value::Float(_) | Value::Bool(_)))),
    condition("boolean", 0, |value, _, _| Ok(matches!(value, Value::Bool(_)))),
    condition("mapping", 0, |value, _, _| {
        Ok(matches!(value, Value::Map(..) | Value::Lazy(_)) || value.lacks() == Kind::Object)
    }),
    condition("sequence", 0, |value, _, _| Ok(matches!(value, Value::List(..)) || value.lacks() == Kind::Array)),
    condition("startingwith", 1, |value, with, meter| both(value, with, meter, |a, b| a.starts_with(b))),
    condition("endingwith", 1, |value, with, meter| both(value, with, meter, |a, b| a.ends_with(b))),
    condition("in", 1, |value, of, meter| of.first().map_or(Ok(false), |of| holds(of, value, meter))),
    condition("eq", 1, same),
    condition("ne", 1, |value, other, meter| same(value, other, meter).map(|same| !same)),
];

/// The test with this name. Errors: there is none.
pub(super) fn find(name: &str) -> Result<&'static Condition> {
    let found = CONDITIONS.iter().find(|condition| condition.name == name);
    found.ok_or_else(|| Error::invalid(unknown_name("the test", name, CONDITIONS.iter().map(|test| test.name))))
}

/// A test with its arguments.
pub(super) struct Test {
    condition: &'static Condition,
    arguments: Vec<Value>,
}

impl Condition {
    /// Errors: too many arguments or too few, or one that does not exist.
    pub(super) fn with(&'static self, arguments: Vec<Value>) -> Outcome<Test> {
        if arguments.len() != self.arguments {
            let wanted = if self.arguments == 0 { "no argument" } else { "one argument" };
            return Err(Error::invalid(format!("`{}` takes {wanted}", self.name)).into());
        }
        if arguments.iter().any(|value| matches!(value, Value::Undefined)) {
            return Err(Fault::Undefined);
        }
        Ok(Test { condition: self, arguments })
    }
}

impl Test {
    /// Whether the test holds for a value. Errors: a value that does not exist.
    pub(super) fn holds(&self, value: &Value, meter: &Arc<Meter>) -> Outcome<bool> {
        match value {
            Value::Undefined => Err(Fault::Undefined),
            value => (self.condition.holds)(value, &self.arguments, meter),
        }
    }
}

fn both(value: &Value, with: &[Value], meter: &Arc<Meter>, holds: fn(&str, &str) -> bool) -> Outcome<bool> {
    let Some(with) = with.first() else { return Ok(false) };
    let (value, with) = (text(value, meter)?, text(with, meter)?);
    meter.text(with.len())?;
    Ok(holds(&value, &with))
}

fn same(value: &Value, other: &[Value], meter: &Arc<Meter>) -> Outcome<bool> {
    other.first().map_or(Ok(false), |other| Ok(equal(value, other, meter)?))
}
