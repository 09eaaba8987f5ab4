//! Calculating with two numbers.

use super::{node::Arithmetic, values::Value};

/// Two numbers in the form in which they are calculated with and compared.
pub(super) enum Numbers {
    Whole(i128, i128),
    Float(f64, f64),
}

impl Numbers {
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn as_floats(&self) -> (f64, f64) {
        match *self {
            Self::Whole(a, b) => (a as f64, b as f64),
            Self::Float(a, b) => (a, b),
        }
    }
}

fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::Int(i) => Some(*i),
        Value::Bool(b) => Some(i128::from(*b)),
        _ => None,
    }
}

/// Any number as one that may have a fraction.
#[allow(clippy::cast_precision_loss)]
pub(super) fn as_float(value: &Value) -> Option<f64> {
    match value {
        Value::Float(f) => Some(*f),
        other => whole(other).map(|i| i as f64),
    }
}

/// Both values as numbers, whole if both are; `None` if one is no number.
pub(super) fn numbers(a: &Value, b: &Value) -> Option<Numbers> {
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(Numbers::Whole(a, b)),
        _ => Some(Numbers::Float(as_float(a)?, as_float(b)?)),
    }
}

pub(super) fn whole_result(how: Arithmetic, a: i128, b: i128) -> Option<i128> {
    // Rounded down, with a remainder of the sign of the divisor.
    let floor = || {
        let (quotient, rest) = (a.checked_div(b)?, a.checked_rem(b)?);
        let down = rest != 0 && (rest < 0) != (b < 0);
        Some(if down { (quotient - 1, rest + b) } else { (quotient, rest) })
    };
    match how {
        Arithmetic::Add => a.checked_add(b),
        Arithmetic::Subtract => a.checked_sub(b),
        Arithmetic::Floor => floor().map(|(quotient, _)| quotient),
        Arithmetic::Remainder => floor().map(|(_, rest)| rest),
        Arithmetic::Divide => None,
    }
}

pub(super) fn float_result(how: Arithmetic, a: f64, b: f64) -> Option<f64> {
    match how {
        Arithmetic::Add => Some(a + b),
        Arithmetic::Subtract => Some(a - b),
        Arithmetic::Floor => (b != 0.0).then(|| (a / b).floor()),
        Arithmetic::Remainder => (b != 0.0).then(|| a - b * (a / b).floor()),
        Arithmetic::Divide => None,
    }
}
