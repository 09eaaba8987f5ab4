//! What may be the name of a file, on every system.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;

use crate::text::{is_harmful, is_ignorable, is_part_of_words};

/// Prefix of this program's temporary files and directories.
pub(crate) const RESERVED: &str = ".artifact-";

/// What is wrong with the name of a file or directory, here or on another system; `None` if nothing is. Lengths are left
/// to the caller, who has limits.
pub(crate) fn name_fault(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("is empty"),
        "." | ".." => Some("is not a name"),
        _ if name.contains('/') => Some("contains a slash"),
        _ if name.contains(is_unsafe) => Some("contains a control or invisible character, a backslash or a colon"),
        _ if name.ends_with(['.', ' ']) => Some("ends with a dot or a space"),
        _ if is_device(name) => Some("is a device name on Windows"),
        _ if is_reserved(name) => Some("starts with `.artifact-`, which is reserved for temporary files"),
        _ => None,
    }
}

/// Whether this program may have made a file with this name for a while, and may remove it as a leftover.
pub(crate) fn is_reserved(name: &str) -> bool {
    fold(name).starts_with(RESERVED)
}

/// Whether a character changes what a terminal shows, or the meaning of a path on Windows. Harmful characters that words
/// are written with are let through.
pub(crate) fn is_unsafe(c: char) -> bool {
    matches!(c, '\\' | ':') || is_harmful(c) && !is_part_of_words(c)
}

/// The form for comparing names: names with equal forms can be the same file on some system.
pub(crate) fn fold(name: &str) -> Cow<'_, str> {
    if name.is_ascii() {
        let upper = name.bytes().any(|b| b.is_ascii_uppercase());
        return if upper { Cow::Owned(name.to_ascii_lowercase()) } else { Cow::Borrowed(name) };
    }
    // Upper case makes names equal that lower case alone keeps apart (`ß` and `ss`, `ı` and `i`), except `ẞ`.
    let plain = name.nfkd().filter(|c| !is_ignorable(*c));
    let upper = plain.flat_map(char::to_lowercase).flat_map(char::to_uppercase);
    let lower: String = upper.flat_map(char::to_lowercase).nfkd().collect();
    Cow::Owned(lower.replace("i\u{307}", "i"))
}

/// Whether Windows reserves a name, with any extension ("Naming Files, Paths, and Namespaces").
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end_matches(' ').to_ascii_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") {
        return true;
    }
    let port = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    let mut rest = port.unwrap_or_default().chars();
    matches!((rest.next(), rest.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_have_no_fault() {
        for good in [".wh.x", "%2e%2e", "été", "com", "com10", "console", "a b", "{{x}}", "$(id)", "-rf", "~", "...x"]
        {
            assert_eq!(name_fault(good), None, "{good}");
        }
        // Joiners and selectors are part of words, and of emoji.
        for good in ["👨‍👩‍👧", "❤️", "می‌خواهم", "क्‍ष", "so\u{ad}ft", "葛\u{e0100}", "\u{600}12"]
        {
            assert_eq!(name_fault(good), None, "{good}");
        }
        for good in [".artifactignore", ".artifacthub-repo.yml", "artifact-x", "x.artifact-y"] {
            assert_eq!(name_fault(good), None, "{good}");
        }
    }

    #[test]
    fn names_that_mean_something_else_somewhere_have_a_fault() {
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "C:x",
            "..\\..\\evil",
            "a.",
            "a ",
            " ",
            "...",
            "CON",
            "nul.txt",
            "COM¹",
            "LPT0",
            "aux .log",
            "conin$",
            "file:stream",
            "a\nb",
            "a\tb",
            "a\x1b[2Jb",
            "a\x7fb",
            "a\0b",
            "a\u{85}b",
        ] {
            assert!(name_fault(bad).is_some(), "{bad:?}");
        }
        for c in ["\u{202e}", "\u{2066}", "\u{61c}", "\u{200b}", "\u{200e}", "\u{2028}", "\u{2060}", "\u{feff}"] {
            assert!(name_fault(&format!("a{c}b")).is_some(), "{c:?}");
        }
        for c in ["\u{fff9}", "\u{fffe}", "\u{2065}", "\u{e0041}", "\u{1d173}", "\u{1bca0}", "\u{fff0}"] {
            assert!(name_fault(&format!("a{c}b")).is_some(), "{c:?}");
        }
    }

    #[test]
    fn the_names_of_our_temporary_files_are_reserved_in_every_spelling() {
        for bad in [".artifact-", ".artifact-unpack-1", ".ARTIFACT-x", ".arti\u{200d}fact-x", ".ａrtifact-x"] {
            assert!(is_reserved(bad) && name_fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn names_that_some_file_system_takes_for_one_have_one_form() {
        for (a, b) in [
            ("A", "a"),
            ("é", "e\u{301}"),
            ("ß", "ss"),
            ("ß", "SS"),
            ("ẞ", "ß"),
            ("I", "ı"),
            ("İ", "i"),
            ("ﬁ", "fi"),
            ("ſ", "s"),
            ("Σ", "ς"),
            ("K", "k"),
            ("Å", "å"),
            ("x\u{200d}", "x"),
            ("x\u{3164}\u{e0100}", "x"),
        ] {
            assert_eq!(fold(a), fold(b), "{a} {b}");
        }
        assert_ne!(fold("e"), fold("é"));
        assert_ne!(fold("a"), fold("b"));
    }
}
