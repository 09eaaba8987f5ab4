//! What may be the name of a file: here, when packing as when unpacking, and on other systems.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;

use crate::text::is_ignorable;

/// Prefix of this program's temporary files and directories.
pub(crate) const RESERVED: &str = ".artifact-";

/// Why a file or directory is neither packed nor unpacked under this name; `None` if it is. What the system at hand
/// cannot hold fails when it is made. Lengths are left to the caller, who has limits.
pub(crate) fn name_fault(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("is empty"),
        "." | ".." => Some("is not a name"),
        _ if name.contains('/') => Some("contains a slash"),
        _ if name.contains(is_unsafe) => {
            Some("contains a control character, or one that changes the direction of text")
        }
        _ if is_reserved(name) => {
            Some("starts with `.artifact-`, which is reserved for temporary files; remove or exclude it")
        }
        _ => None,
    }
}

/// Why Windows refuses this name, or takes it for another, though it may be packed; `None` if it does not ("Naming
/// Files, Paths, and Namespaces"). macOS takes all of them.
#[cfg(feature = "types")]
pub(crate) fn windows_fault(name: &str) -> Option<&'static str> {
    match name {
        _ if name.contains(':') => Some("a colon"),
        _ if name.contains('\\') => Some("a backslash"),
        _ if name.contains(['<', '>', '"', '|', '?', '*']) => Some("one of `<>\"|?*`"),
        _ if name.ends_with('.') => Some("a dot at the end"),
        _ if name.ends_with(' ') => Some("a space at the end"),
        _ if is_device(name) => Some("the name of a device"),
        _ => None,
    }
}

/// Whether this program may have made a file with this name for a while, and may remove it as a leftover.
pub(crate) fn is_reserved(name: &str) -> bool {
    fold(name).starts_with(RESERVED)
}

/// Whether a character controls a terminal, or reorders the text around it so that a name looks like another.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
    let mut folded = String::with_capacity(name.len());
    for c in upper.flat_map(char::to_lowercase).nfkd() {
        // `İ` is `i` with a dot, and there may be more dots.
        if c != '\u{307}' || !folded.ends_with('i') {
            folded.push(c);
        }
    }
    Cow::Owned(folded)
}

/// Whether Windows reserves a name, with any extension.
#[cfg(feature = "types")]
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
    fn what_a_file_is_called_on_linux_is_no_fault() {
        for good in [".wh.x", "%2e%2e", "été", "a b", "{{x}}", "$(id)", "-rf", "~", "...x", "...", "*", "\"", " ", "a."]
        {
            assert_eq!(name_fault(good), None, "{good}");
        }
        for good in ["2024-01-01T12:00:00.log", "C:x", "a::b", "..\\..\\x", "dev-disk\\x2d.swap", "aux.c", "CON"] {
            assert_eq!(name_fault(good), None, "{good}");
        }
        // Joiners and selectors are part of words, and of emoji; marks of direction are left in names by phones.
        for good in ["👨‍👩‍👧", "❤️", "می‌خواهم", "क्‍ष", "so\u{ad}ft", "葛\u{e0100}", "\u{200e}a", "a\u{200b}b"]
        {
            assert_eq!(name_fault(good), None, "{good}");
        }
        for good in [".artifactignore", ".artifacthub-repo.yml", "artifact-x", "x.artifact-y"] {
            assert_eq!(name_fault(good), None, "{good}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_or_change_what_is_shown_have_a_fault() {
        for bad in ["", ".", "..", "a/b", "a\nb", "a\tb", "a\x1b[2Jb", "a\x7fb", "a\0b", "a\u{85}b"] {
            assert!(name_fault(bad).is_some(), "{bad:?}");
        }
        for c in ["\u{202a}", "\u{202e}", "\u{2066}", "\u{2069}", "\u{2028}", "\u{2029}"] {
            assert!(name_fault(&format!("a{c}b")).is_some(), "{c:?}");
        }
    }

    #[cfg(feature = "types")]
    #[test]
    fn names_that_windows_refuses_are_known() {
        for bad in ["C:x", "file:stream", "..\\evil", "a?", "a.", "a ", " ", "...", "CON", "nul.txt", "COM¹", "LPT0"] {
            assert!(windows_fault(bad).is_some(), "{bad}");
        }
        for bad in ["aux .log", "conin$", "Prn", "a|b"] {
            assert!(windows_fault(bad).is_some(), "{bad}");
        }
        for good in ["com", "com10", "console", "a b", "...x", ".x", "été", "~", "a'b", "auxiliary.c", "x.aux"] {
            assert_eq!(windows_fault(good), None, "{good}");
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
