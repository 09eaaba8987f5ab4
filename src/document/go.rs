//! Scalars as in Go programs with `sigs.k8s.io/yaml`: YAML 1.1 booleans (`yes`, `on`, `y`), numbers with other bases
//! and underscores, and the text of a number in a string field.

use serde_json::Value;

use super::{
    node::{Scalar, Style, Tag},
    scalar::{integer, is_float, unsigned},
};

/// A scalar in Go, before its target type is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum GoScalar {
    Null,
    Bool(bool),
    /// A 64-bit integer.
    Int(Value),
    Float(f64),
    Text(String),
}

impl GoScalar {
    /// Interprets a scalar. Errors: a description of the defect.
    pub(super) fn of(scalar: &Scalar) -> Result<Self, String> {
        let text = scalar.text.as_str();
        let tag = match scalar.style {
            Style::Text => return Ok(Self::Text(text.to_owned())),
            Style::Plain | Style::Json => return Ok(plain(text)),
            Style::Tagged(tag) => tag,
        };
        match (tag, plain(text)) {
            (Tag::Float, Self::Int(number)) => Ok(Self::Float(number.as_f64().unwrap_or_default())),
            (Tag::Null, Self::Null) => Ok(Self::Null),
            (Tag::Bool, Self::Bool(yes)) => Ok(Self::Bool(yes)),
            (Tag::Int, Self::Int(number)) => Ok(Self::Int(number)),
            (Tag::Float, Self::Float(number)) => Ok(Self::Float(number)),
            _ => Err(format!("`{text}` is not what its tag says")),
        }
    }

    /// The value for a target other than a string. A float without fraction is an integer, as in Go's JSON.
    pub(super) fn value(self) -> Result<Value, String> {
        match self {
            Self::Null => Ok(Value::Null),
            Self::Bool(yes) => Ok(Value::Bool(yes)),
            Self::Int(number) => Ok(number),
            Self::Text(text) => Ok(Value::from(text)),
            Self::Float(number) if !number.is_finite() => Err("a number that JSON lacks".to_owned()),
            Self::Float(number) => Ok(whole(number).unwrap_or_else(|| Value::from(number))),
        }
    }

    /// The text for a string target; `None` for null.
    pub(super) fn text(self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Bool(yes) => Some(yes.to_string()),
            Self::Int(number) => Some(number.to_string()),
            Self::Float(number) => Some(shortest(number)),
            Self::Text(text) => Some(text),
        }
    }

    /// The name as a map key; `None` for null, which cannot be a key.
    pub(super) fn key(self) -> Option<String> {
        let name = self.text()?;
        Some(match name.as_str() {
            "+Inf" => ".inf".to_owned(),
            "-Inf" => "-.inf".to_owned(),
            "NaN" => ".nan".to_owned(),
            _ => name,
        })
    }
}

fn plain(text: &str) -> GoScalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => GoScalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => GoScalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => GoScalar::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => GoScalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => GoScalar::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => GoScalar::Float(f64::NAN),
        _ => number(text).unwrap_or_else(|| GoScalar::Text(text.to_owned())),
    }
}

fn number(text: &str) -> Option<GoScalar> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+')) {
        return None;
    }
    // Go drops underscores anywhere, except after a point, where they must be between digits.
    if text.starts_with('.') && !text.split('_').zip(text.split('_').skip(1)).all(|(a, b)| between_digits(a, b)) {
        return None;
    }
    let digits = text.replace('_', "");
    if let Some(number) = whole_number(&digits) {
        return Some(GoScalar::Int(number));
    }
    let number: f64 = is_float(&digits).then(|| digits.parse().ok()).flatten()?;
    number.is_finite().then_some(GoScalar::Float(number))
}

fn between_digits(before: &str, after: &str) -> bool {
    before.ends_with(|c: char| c.is_ascii_digit()) && after.starts_with(|c: char| c.is_ascii_digit())
}

/// Parses an integer: a prefix gives the base; a leading zero alone means octal, as in YAML 1.1.
fn whole_number(text: &str) -> Option<Value> {
    let size = unsigned(text);
    let (radix, digits) = match size.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, size.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, size.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, size.get(2..)?),
        [b'0', _, ..] => (8, size.get(1..)?),
        _ => (10, size),
    };
    // A number of 64 bits cannot have a sign.
    integer(text.starts_with('-'), digits, radix).filter(|number| number.is_i64() || size == text)
}

fn whole(number: f64) -> Option<Value> {
    // Every float of this size without fraction is exactly an `i64`.
    let exact = number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0;
    exact.then(|| format!("{number:.0}").parse::<i64>().ok().map(Value::from)).flatten()
}

/// The shortest digits that give the same 32-bit float, with an exponent below 1e-4 and from 1e6 on.
fn shortest(number: f64) -> String {
    #[allow(clippy::cast_possible_truncation)]
    let number = number as f32;
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        let fraction = i32::try_from(digits).unwrap_or(0) - 1 - exponent;
        return format!("{number:.*}", usize::try_from(fraction).unwrap_or(0));
    }
    // Halfway between two shortest forms, Go takes the even one, as rounding does.
    let scientific = format!("{number:.*e}", digits.saturating_sub(1));
    let (mantissa, _) = scientific.split_once('e').unwrap_or((mantissa, ""));
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> GoScalar {
        GoScalar::of(&Scalar { text: text.to_owned(), style: Style::Plain }).unwrap()
    }

    /// Scalar, text under a string field, JSON under any other, as `sigs.k8s.io/yaml` v1.6 gave them.
    const GO: &[(&str, &str, &str)] = &[
        ("1.10", "1.1", "1.1"),
        ("1.0", "1", "1"),
        ("1e3", "1000", "1000"),
        ("1e6", "1e+06", "1000000"),
        ("123456.0", "123456", "123456"),
        ("1234567.5", "1.2345675e+06", "1234567.5"),
        ("0x10", "16", "16"),
        ("+0x10", "16", "16"),
        ("-0x10", "-16", "-16"),
        ("0o17", "15", "15"),
        ("-0o7", "-7", "-7"),
        ("010", "8", "8"),
        ("0644", "420", "420"),
        ("089", "89", "89"),
        ("08.5", "8.5", "8.5"),
        ("0_7", "7", "7"),
        ("00", "0", "0"),
        ("0b101", "5", "5"),
        ("-0b11", "-3", "-3"),
        ("0b2", "0b2", "\"0b2\""),
        ("0x", "0x", "\"0x\""),
        ("0x_1", "1", "1"),
        ("1_000", "1000", "1000"),
        ("1_0.5", "10.5", "10.5"),
        ("_1", "_1", "\"_1\""),
        ("2020-01-01", "2020-01-01", "\"2020-01-01\""),
        ("1:30", "1:30", "\"1:30\""),
        ("yes", "true", "true"),
        ("off", "false", "false"),
        ("y", "true", "true"),
        ("N", "false", "false"),
        ("tRUE", "tRUE", "\"tRUE\""),
        ("-5", "-5", "-5"),
        ("+1.5", "1.5", "1.5"),
        (".5", "0.5", "0.5"),
        ("5.", "5", "5"),
        ("1.e5", "100000", "100000"),
        ("1E5", "100000", "100000"),
        ("1e400", "1e400", "\"1e400\""),
        ("0.0001", "0.0001", "0.0001"),
        ("0.00001", "1e-05", "0.00001"),
        ("1.23456789", "1.2345679", "1.23456789"),
        ("16777217.0", "1.6777216e+07", "16777217"),
        ("99999999", "99999999", "99999999"),
        ("9223372036854775807", "9223372036854775807", "9223372036854775807"),
        ("18446744073709551615", "18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "1.8446744e+19", "18446744073709552000.0"),
        ("-9223372036854775809", "-9.223372e+18", "-9223372036854775809.0"),
        ("123456789012345678901234567890", "1.2345679e+29", "1.2345678901234568e29"),
        ("0777777777777777777777777", "7.777778e+23", "7.777777777777778e23"),
        ("1e21", "1e+21", "1e21"),
        ("inf", "inf", "\"inf\""),
        ("e5", "e5", "\"e5\""),
        ("1e", "1e", "\"1e\""),
        ("<", "<", "\"<\""),
        (".8_6", "0.86", "0.86"),
        ("._8", "._8", "\"._8\""),
        ("+9413157568173554641", "9.413158e+18", "9413157568173554641.0"),
        ("339595612922E-5", "3.3959562e+06", "3395956.12922"),
        ("-30550361225E-5", "-305503.62", "-305503.61225"),
    ];

    #[test]
    fn scalars_read_as_go_reads_them() {
        for (scalar, text, json) in GO {
            assert_eq!(read(scalar).text().unwrap(), *text, "{scalar} as text");
            let want: Value = serde_json::from_str(json).unwrap();
            assert_eq!(read(scalar).value().unwrap(), want, "{scalar} as value");
        }
    }

    #[test]
    fn infinities_have_a_name_as_text_and_another_as_key_and_no_value() {
        for (scalar, text, key) in [(".inf", "+Inf", ".inf"), ("-.INF", "-Inf", "-.inf"), (".nan", "NaN", ".nan")] {
            assert_eq!(read(scalar).text().unwrap(), text);
            assert_eq!(read(scalar).key().unwrap(), key);
            assert!(read(scalar).value().is_err());
        }
    }

    #[test]
    fn null_is_no_text_and_no_key() {
        for scalar in ["", "~", "null"] {
            assert_eq!(read(scalar).text(), None);
            assert_eq!(read(scalar).value().unwrap(), Value::Null);
        }
    }
}
