//! Text that must fit a terminal line.

use unicode_width::UnicodeWidthChar as _;

/// The width of a text on a terminal, in columns.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// Shortens a URL in an error to its host: `GET https://host/path: 429 …` becomes `host: 429 …`.
pub(super) fn without_path(why: &str) -> String {
    let host = |word: &str| Some(word.split_once("://")?.1.split('/').next()?.trim_end_matches(':').to_owned());
    let words: Vec<&str> = why.split(' ').collect();
    let Some((at, host)) = words.iter().enumerate().find_map(|(at, word)| Some((at, host(word)?))) else {
        return why.to_owned();
    };
    let before = words.get(..at.saturating_sub(1)).unwrap_or_default();
    let after = words.get(at + 1..).unwrap_or_default();
    [before, &[format!("{host}:").as_str()], after].concat().join(" ")
}

/// The text, cut to `width` columns with `…` if longer.
pub(super) fn cut_to_width(text: &str, width: usize) -> String {
    // Zero-width characters are limited too: a name may consist of nothing else.
    if columns(text) <= width && text.chars().count() <= width.saturating_mul(2) {
        return text.to_owned();
    }
    let (mut kept, mut used) = (String::new(), 0);
    for c in text.chars().take(width.saturating_mul(2)) {
        used += c.width().unwrap_or(0);
        if used >= width {
            break;
        }
        kept.push(c);
    }
    if width > 0 {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_shown_without_its_path() {
        for (why, short) in [
            (
                "GET https://r.example:5000/v2/a/blobs/x: 503 Service Unavailable",
                "r.example:5000: 503 Service Unavailable",
            ),
            ("given up: PUT http://[::1]:5000/v2/: no answer within 2 s", "given up: [::1]:5000: no answer within 2 s"),
            ("something else", "something else"),
        ] {
            assert_eq!(without_path(why), short);
        }
    }

    #[test]
    fn what_does_not_fit_ends_with_a_sign() {
        for (width, cut_off) in [(0, ""), (1, "…"), (4, "abc…"), (5, "abcde")] {
            assert_eq!(cut_to_width("abcde", width), cut_off);
        }
        assert_eq!(cut_to_width("漢字漢字", 5), "漢字…");
        assert!(cut_to_width(&"\u{301}".repeat(999), 5).chars().count() <= 11);
    }
}
