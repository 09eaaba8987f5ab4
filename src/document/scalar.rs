//! Numbers, common to both sets of rules.

use serde_json::{Number, Value};

/// An integer in this base; `None` for no digits, invalid ones, or more than 64 bits.
pub(super) fn integer(negative: bool, digits: &str, radix: u32) -> Option<Value> {
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let size = u64::from_str_radix(digits, radix).ok()?;
    match negative {
        false => Some(Value::from(size)),
        true => 0_i64.checked_sub_unsigned(size).map(Value::from),
    }
}

/// Whether this is a decimal float of YAML: `[-+]? ( \. digits | digits ( \. digits? )? ) ( [eE] [-+]? digits )?`.
pub(super) fn is_float(text: &str) -> bool {
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let mantissa = unsigned(mantissa);
    let well_formed = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    well_formed && exponent.is_none_or(|e| digits(unsigned(e)))
}

/// The text without its sign.
pub(super) fn unsigned(text: &str) -> &str {
    text.strip_prefix(['-', '+']).unwrap_or(text)
}

/// A finite float; `None` if it is too large.
pub(super) fn float(text: &str) -> Option<Value> {
    let number: f64 = text.parse().ok()?;
    Number::from_f64(number).map(Value::Number)
}
