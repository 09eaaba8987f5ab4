//! Decoding of bytes, and Helm's printable text.

use crate::error::{Error, Result};

/// A document's text, without a byte order mark. Errors: more than `limit` bytes, not UTF-8, a NUL.
pub(crate) fn decode(bytes: &[u8], limit: u64) -> Result<&str> {
    if bytes.len() as u64 > limit {
        return Err(Error::limit(format!("the document has {} bytes; the limit is {limit}", bytes.len())));
    }
    let text =
        std::str::from_utf8(bytes).map_err(|e| Error::invalid(format!("byte {} is not UTF-8", e.valid_up_to())))?;
    if let Some(at) = text.find('\0') {
        return Err(Error::invalid(format!("byte {at} is a NUL")));
    }
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Replaces Unicode white space by spaces and drops unprintable characters.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| prints(*c)).collect()
}

/// Whether a character is printable: not a control, format, private or unassigned one, nor a separator except space.
fn prints(c: char) -> bool {
    use unicode_general_category::{GeneralCategory as G, get_general_category};
    c == ' '
        || !matches!(
            get_general_category(c),
            G::Control
                | G::Format
                | G::Surrogate
                | G::PrivateUse
                | G::Unassigned
                | G::SpaceSeparator
                | G::LineSeparator
                | G::ParagraphSeparator
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_a_space_and_what_does_not_print_is_gone() {
        for (given, clean) in [
            ("My\nChart\t\u{a0}x\u{2028}y", "My Chart  x y"),
            ("a\u{1b}[31m\u{7}b", "a[31mb"),
            ("z\u{200b}w\u{feff}\u{202e}x", "zwx"),
            ("caf\u{e9} \u{1f600} \u{65e5}", "caf\u{e9} \u{1f600} \u{65e5}"),
            ("\u{e000}\u{10ffff}", ""),
        ] {
            assert_eq!(printable(given), clean, "{given:?}");
        }
    }
}
