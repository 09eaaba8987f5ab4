//! File names in messages.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

/// A name as text, for messages: bytes that are not UTF-8 are escaped. Control characters are left to the caller that
/// prints it.
#[must_use]
pub fn escape(name: impl AsRef<OsStr>) -> String {
    let mut shown = String::new();
    for chunk in name.as_ref().as_bytes().utf8_chunks() {
        shown.push_str(chunk.valid());
        shown.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_its_own_text_but_for_bytes_that_are_none() {
        assert_eq!(escape("täst\\\u{1b}"), "täst\\\u{1b}");
        assert_eq!(escape(OsStr::from_bytes(b"a\xffb\\")), "a\\xffb\\");
    }
}
