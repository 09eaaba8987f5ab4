//! The core schema of YAML 1.2 (chapter 10.3), with errors for ambiguous numbers: those that do not fit 64 bits, that
//! JSON lacks (`.inf`, `.nan`), or that YAML 1.1 reads as other numbers (`0644`, `0b1`, `1_000`).

use serde_json::Value;

use super::{
    node::{Scalar, Style, Tag},
    scalar::{float, integer, is_float, unsigned},
};

/// The value of a scalar. Errors: a description of the defect.
pub(super) fn value(scalar: &Scalar) -> Result<Value, String> {
    let text = scalar.text.as_str();
    match scalar.style {
        Style::Text => Ok(Value::from(text)),
        Style::Plain => plain(text),
        Style::Json => json(text),
        Style::Tagged(tag) => tagged(tag, text),
    }
}

/// A literal of JSON. An integer beyond 64 bits, which would be rounded, is an error.
fn json(text: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    match value.is_f64() && !text.contains(['.', 'e', 'E']) {
        true => Err(format!("`{text}` does not fit 64 bits; quote it if it is no number")),
        false => Ok(value),
    }
}

fn plain(text: &str) -> Result<Value, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        return Ok(Value::from(text));
    }
    match number(text)? {
        Some(number) => Ok(number),
        None => Ok(Value::from(text)),
    }
}

fn number(text: &str) -> Result<Option<Value>, String> {
    let size = unsigned(text);
    let signed = size.len() != text.len();
    let large = || format!("`{text}` does not fit 64 bits; quote it if it is no number");
    if matches!(size, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(format!("`{text}` is a number that JSON lacks"));
    }
    let based = [("0o", 8), ("0x", 16)].into_iter().find_map(|(p, radix)| Some((size.strip_prefix(p)?, radix)));
    if let Some((digits, radix)) = based {
        if signed || digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
            return Ok(None);
        }
        return integer(false, digits, radix).map(Some).ok_or_else(large);
    }
    if size.bytes().all(|b| b.is_ascii_digit()) && !size.is_empty() {
        if size.len() > 1 && size.starts_with('0') {
            return Err(format!("`{text}` is octal to some readers and decimal to others; write `0o…` or quote it"));
        }
        return integer(text.starts_with('-'), size, 10).map(Some).ok_or_else(large);
    }
    if is_float(text) {
        return float(text).map(Some).ok_or_else(large);
    }
    if is_number_elsewhere(size) {
        return Err(format!("`{text}` is a number to some readers and text to others; quote it"));
    }
    Ok(None)
}

/// Whether the text is a number in YAML 1.1 but not in YAML 1.2: `0b101`, `1_000`.
fn is_number_elsewhere(size: &str) -> bool {
    let binary = size.strip_prefix("0b").is_some_and(|d| !d.is_empty() && d.bytes().all(|b| matches!(b, b'0' | b'1')));
    binary || size.starts_with(|c: char| c.is_ascii_digit()) && size.contains('_') && is_float(&size.replace('_', ""))
}

fn tagged(tag: Tag, text: &str) -> Result<Value, String> {
    let value = plain(text)?;
    let fits = match tag {
        Tag::Null => value.is_null(),
        Tag::Bool => value.is_boolean(),
        Tag::Int => value.is_i64() || value.is_u64(),
        Tag::Float => value.is_number(),
    };
    match fits {
        true => Ok(value),
        false => Err(format!("`{text}` is not what its tag says")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plain_value(text: &str) -> Result<Value, String> {
        value(&Scalar { text: text.to_owned(), style: Style::Plain })
    }

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        for (text, want) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("Null", json!(null)),
            ("nULL", json!("nULL")),
            ("True", json!(true)),
            ("yes", json!("yes")),
            ("on", json!("on")),
            ("y", json!("y")),
            ("0", json!(0)),
            ("-0", json!(0)),
            ("+5", json!(5)),
            ("1.0", json!(1.0)),
            ("1.10", json!(1.1)),
            ("1e3", json!(1000.0)),
            (".5", json!(0.5)),
            ("5.", json!(5.0)),
            ("0x10", json!(16)),
            ("0o17", json!(15)),
            ("-0x10", json!("-0x10")),
            ("0xg", json!("0xg")),
            ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("2020-01-01", json!("2020-01-01")),
            ("2001-12-14T21:59:43Z", json!("2001-12-14T21:59:43Z")),
            ("1.2.3", json!("1.2.3")),
            ("1:30", json!("1:30")),
            ("1_x", json!("1_x")),
            ("-", json!("-")),
            (".", json!(".")),
            ("e5", json!("e5")),
            ("<<", json!("<<")),
        ] {
            assert_eq!(plain_value(text).unwrap(), want, "{text}");
        }
    }

    #[test]
    fn a_scalar_that_readers_disagree_about_is_an_error() {
        for text in [
            "0644",
            "00",
            "-010",
            "089",
            "0b101",
            "1_000",
            "18446744073709551616",
            "-9223372036854775809",
            "1e400",
            "0xffffffffffffffff0",
            ".inf",
            "-.Inf",
            ".nan",
            "123456789012345678901234567890",
        ] {
            assert!(plain_value(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_tag_is_checked_against_the_text() {
        let tagged = |tag, text: &str| value(&Scalar { text: text.to_owned(), style: Style::Tagged(tag) });
        assert_eq!(tagged(Tag::Int, "5").unwrap(), json!(5));
        assert_eq!(tagged(Tag::Float, "5").unwrap(), json!(5));
        assert!(tagged(Tag::Int, "5.5").is_err());
        assert!(tagged(Tag::Bool, "yes").is_err());
        assert!(tagged(Tag::Null, "x").is_err());
    }
}
