//! Text for people: escaping of external text, sizes and counts, tables.

use std::{fmt::Display, num::NonZeroU64};

use artifact::text::is_harmful;
use unicode_width::UnicodeWidthStr as _;

/// Makes external text safe for a terminal: [harmful](is_harmful) characters become escapes.
pub(crate) fn escape(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' | '\r' => c.escape_default().to_string(),
        c if is_harmful(c) => c.escape_unicode().to_string(),
        c => c.to_string(),
    };
    text.chars().map(shown).collect()
}

/// As [`escape`], but line breaks stay.
pub(crate) fn escape_lines(text: &str) -> String {
    text.lines().map(escape).collect::<Vec<_>>().join("\n")
}

/// As [`escape`], but tabs and line breaks stay: those of a template, and in what it prints.
pub(super) fn escape_but_white_space(text: &str) -> String {
    let stays = |c: char| matches!(c, '\n' | '\t');
    text.chars().map(|c| if stays(c) { c.into() } else { escape(c.encode_utf8(&mut [0; 4])) }).collect()
}

/// Escapes characters that JSON strings may contain but that control terminals. The document parses to the same text.
/// White space between values stays.
pub(super) fn without_controls(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if is_harmful(c) && c > '\u{7e}' {
            // JSON has escapes of 16 bits only.
            safe.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Reads a number of bytes: `500M`, `1.5g`, `10GiB`; units are powers of 1024. `None` for all else, 0 included.
pub(crate) fn bytes(text: &str) -> Option<NonZeroU64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..)?.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    let number: f64 = digits.starts_with(|c: char| c.is_ascii_digit()).then(|| digits.parse().ok())??;
    let bytes = number * (1_u64 << unit) as f64;
    if bytes < u64::MAX as f64 { NonZeroU64::new(bytes as u64) } else { None }
}

/// A size for people: `1023 B`, `1.5 KiB`, `12 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    if value < 9.95 { format!("{value:.1} {name}") } else { format!("{value:.0} {name}") }
}

/// `1 file`, `2 files`.
pub(crate) fn count<N: Display + PartialEq + From<u8>>(n: N, noun: &str) -> String {
    if n == N::from(1) { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// Most characters of a cell that others are aligned with. Annotations may have a million.
const MAX_WIDTH: usize = 256;

/// Aligns the columns of rows, two spaces apart; the last column is not padded, nor are others because of a very long cell.
/// Further lines of a last cell are below its first one.
pub(crate) fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let long = |cell: &String| cell.chars().count();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(long);
        cells.filter(|long| *long <= MAX_WIDTH).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let lines = |row: &Vec<String>| {
        let Some((last, others)) = row.split_last() else { return vec![String::new()] };
        let mut start = String::new();
        for (cell, width) in others.iter().zip(&widths) {
            start.push_str(cell);
            start.extend(std::iter::repeat_n(' ', width.saturating_sub(long(cell)) + 2));
        }
        let below = " ".repeat(long(&start));
        let starts = std::iter::once(start.as_str()).chain(std::iter::repeat(below.as_str()));
        starts.zip(last.split('\n')).map(|(start, line)| format!("{start}{line}").trim_end().to_owned()).collect()
    };
    rows.iter().flat_map(lines).collect()
}

/// Columns of a page of text: what every terminal has.
const PAGE: usize = 80;

/// Columns of a cell in front of the last one, beyond which it does not widen its column.
const MAX_CELL: usize = 24;

/// Aligns the columns of rows, two spaces apart, on a page of 80 columns. The last column is wrapped between words; a word
/// or another cell that is too long for its place moves to a line of its own, and is never broken.
pub(crate) fn page(rows: &[Vec<String>], indent: usize) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter(|row| column + 1 < row.len()).filter_map(|row| row.get(column));
        cells.map(|cell| cell.width()).filter(|width| *width <= MAX_CELL).max().unwrap_or(0)
    };
    let starts = (0..columns).scan(indent, |at, column| {
        let start = *at;
        *at += width(column) + 2;
        Some(start)
    });
    let starts: Vec<usize> = starts.collect();
    rows.iter().flat_map(|row| laid_out(row, &starts)).collect()
}

/// One row of a page, with the columns at which its cells start.
fn laid_out(row: &[String], starts: &[usize]) -> Vec<String> {
    let mut lines = vec![String::new()];
    for (column, (cell, start)) in row.iter().zip(starts).enumerate() {
        if column + 1 < row.len() {
            [cell].into_iter().filter(|cell| !cell.is_empty()).for_each(|cell| put(&mut lines, *start, cell));
            continue;
        }
        for (i, line) in cell.split('\n').enumerate() {
            if i > 0 {
                lines.push(String::new());
            }
            let mut words = line.split(' ').filter(|word| !word.is_empty());
            words.next().into_iter().for_each(|first| put(&mut lines, *start, first));
            words.for_each(|word| follow(&mut lines, *start, word));
        }
    }
    lines
}

/// Adds a text at its column; where something is in the way, or it would not end on the page, on a new line.
fn put(lines: &mut Vec<String>, start: usize, text: &str) {
    let used = lines.last().map_or(0, |line| line.width());
    if used > 0 && (used + 2 > start || start + text.width() > PAGE) {
        lines.push(String::new());
        return put(lines, start, text);
    }
    if let Some(line) = lines.last_mut() {
        let at = if used == 0 { start.min(PAGE.saturating_sub(text.width())) } else { start };
        line.push_str(&" ".repeat(at - used));
        line.push_str(text);
    }
}

/// Adds a word after another, or on a new line.
fn follow(lines: &mut Vec<String>, start: usize, word: &str) {
    match lines.last_mut() {
        Some(line) if line.width() + 1 + word.width() <= PAGE => {
            line.push(' ');
            line.push_str(word);
        }
        _ => {
            lines.push(String::new());
            put(lines, start, word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_talks_to_terminals_is_shown_as_escapes() {
        assert_eq!(escape("a\u{1b}[31mb\u{202e}c\n"), "a\\u{1b}[31mb\\u{202e}c\\n");
        assert_eq!(escape("\u{61c}\u{200d}\u{ad}\u{e0041}"), "\\u{61c}\\u{200d}\\u{ad}\\u{e0041}");
        assert_eq!(escape("slides/übersicht.png"), "slides/übersicht.png");
        assert_eq!(without_controls("\"\u{9b}x\u{202e}\""), "\"\\u009bx\\u202e\"");
        let document = without_controls("\"\u{e0041}\u{61c}\"");
        assert_eq!(document, "\"\\udb40\\udc41\\u061c\"");
        assert_eq!(serde_json::from_str::<String>(&document).unwrap(), "\u{e0041}\u{61c}");
        assert_eq!(without_controls("{\n  \"ü\": 1\n}"), "{\n  \"ü\": 1\n}");
    }

    #[test]
    fn sizes_and_counts_read_well() {
        let sizes = [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 20, "1.0 MiB"), (12 << 30, "12 GiB")];
        for (bytes, text) in sizes {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(count(1_usize, "blob"), "1 blob");
        assert_eq!(count(0_u64, "blob"), "0 blobs");
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".into(), "bb".into()], vec!["ccc".into(), "d".into()]];
        assert_eq!(table(&rows), ["a    bb", "ccc  d"]);
    }

    #[test]
    fn further_lines_of_a_last_cell_are_below_its_first_one() {
        let rows = [vec!["a".into(), "x\ny\n\nz".into()], vec!["ccc".into(), "d".into()]];
        assert_eq!(table(&rows), ["a    x", "     y", "", "     z", "ccc  d"]);
        assert_eq!(escape_lines("a\r\nb\rc\td\u{1b}\n"), "a\nb\\rc\\td\\u{1b}");
    }

    #[test]
    fn a_page_has_eighty_columns_and_no_word_is_broken() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let (long, path) = ("n".repeat(64), format!("/{}", "p".repeat(74)));
        let words = "word ".repeat(30);
        let rows = [
            row(["short", "built-in", words.trim()]),
            row([&long, "built-in", "after a long name"]),
            row(["other", &path, "after a long path"]),
            row(["third", "built-in", &format!("{} end\nmore", "w".repeat(99))]),
        ];
        let lines = page(&rows, 0);
        let indent = "                 ";
        assert_eq!(lines[0], format!("short  built-in  {}", "word ".repeat(12)).trim_end());
        assert_eq!(lines[1], format!("{indent}{}", "word ".repeat(12).trim_end()));
        assert_eq!(lines[3], long);
        assert_eq!(lines[4], "       built-in  after a long name");
        assert_eq!(lines[5], "other");
        assert_eq!(lines[6], format!("     {path}"));
        assert_eq!(lines[7], format!("{indent}after a long path"));
        assert_eq!(lines[8..], ["third  built-in", &"w".repeat(99), &format!("{indent}end"), &format!("{indent}more")]);
        assert!(lines.iter().all(|line| line.width() <= 80 || !line.contains(' ')));
    }

    #[test]
    fn sizes_are_read_with_the_usual_units() {
        for (text, expected) in [
            ("1024", Some(1024)),
            ("5k", Some(5 << 10)),
            ("500M", Some(500 << 20)),
            ("1.5G", Some(3 << 29)),
            ("1GiB", Some(1 << 30)),
            ("2tb", Some(2 << 40)),
            ("0", None),
            ("", None),
            ("G", None),
            ("-1", None),
            ("1X", None),
            ("1GBBB", None),
            ("1kibib", None),
            ("inf", None),
            ("99999999999G", None),
        ] {
            assert_eq!(bytes(text).map(NonZeroU64::get), expected, "{text}");
        }
    }

    #[test]
    fn a_table_has_room_for_cells_of_any_length() {
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        let long = "x".repeat(70_000);
        let lines = table(&[row("a", "b"), row("abc", &long), row(&long, "d")]);
        assert_eq!(lines[0], "a    b");
        assert_eq!((lines[1].len(), lines[2].len()), (70_005, 70_003));
    }
}
