//! What YAML 1.2 allows and the reader of Go, which is older, refuses: tabs that indent, halves of characters, other
//! versions.

use granit_parser::{Event, ScalarStyle, Span, StructureStyle};

use super::{Located, Position, invalid};

/// Looks for it among the events of a text.
#[derive(Debug, Default)]
pub(super) struct Older {
    /// Lines that begin within a scalar or in brackets, the first and the last.
    inner: Vec<(usize, usize)>,
    /// The open lists and maps: the line of those in brackets.
    open: Vec<Option<usize>>,
}

impl Older {
    pub(super) fn event(&mut self, event: &Event<'_>, span: &Span, text: &str) -> Result<(), Located> {
        let (first, last) = (span.start.line(), span.end.line());
        let at = Position { line: first.max(1), column: span.start.col() + 1 };
        match event {
            Event::DocumentStart(_, Some(version)) if (version.major, version.minor) != (1, 1) => {
                return Err(invalid(at, "a version of YAML that Go does not read; remove the line `%YAML`"));
            }
            Event::Scalar(_, style, ..) => {
                self.inner.push((first + 1, last));
                if *style == ScalarStyle::DoubleQuoted && span.slice(text).is_some_and(has_half) {
                    return Err(invalid(at, "`\\uD800` to `\\uDFFF` are halves of characters; write the character"));
                }
            }
            Event::SequenceStart(style, ..) | Event::MappingStart(style, ..) => {
                self.open.push((*style == StructureStyle::Flow).then_some(first));
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let start = self.open.pop().flatten();
                self.inner.extend(start.map(|start| (start + 1, last)));
            }
            _ => {}
        }
        Ok(())
    }

    /// Errors: a line is indented with a tab.
    pub(super) fn finish(mut self, text: &str) -> Result<(), Located> {
        self.inner.sort_unstable();
        let (mut inner, mut end) = (self.inner.into_iter().peekable(), 0);
        for (number, line) in (1..).zip(text.lines()) {
            while let Some((_, last)) = inner.next_if(|(first, _)| *first <= number) {
                end = end.max(last);
            }
            let blank = line.len() - line.trim_start_matches([' ', '\t']).len();
            if let Some(tab) = line.find('\t').filter(|tab| *tab < blank && number > end) {
                return Err(invalid(Position { line: number, column: tab + 1 }, "a tab where only spaces may be"));
            }
        }
        Ok(())
    }
}

/// Whether a quoted text has an escape for one half of a surrogate pair.
fn has_half(quoted: &str) -> bool {
    let mut parts = quoted.split('\\').skip(1);
    while let Some(part) = parts.next() {
        let digits = part.strip_prefix('u').and_then(|rest| rest.get(..2));
        if digits.is_some_and(|digits| matches!(digits.to_ascii_lowercase().as_bytes(), [b'd', b'8'..=b'f'])) {
            return true;
        }
        // The second of two backslashes begins nothing.
        if part.is_empty() {
            parts.next();
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::{Document, Options, Scalars};

    #[test]
    fn go_reads_no_tabs_that_indent_no_halves_and_no_other_version() {
        for (text, go) in [
            ("a: 1\n\t\n", false),
            ("a: 1\n\t# c\n", false),
            ("a: 1 \t# c\n", true),
            ("a:\tb\n", true),
            ("a: [b,\n\tc]\n", true),
            ("a: \"b\n  \tc\"\n", true),
            ("a: |\n  b\n  \tc\n", true),
            ("a: \"\\ud83d\\ude00\"\n", false),
            ("a: \"\\\\ud83d\"\n", true),
            ("a: '\\ud83d'\n", true),
            ("a: \"\\u00e9\"\n", true),
            ("%YAML 1.2\n---\na: 1\n", false),
            ("%YAML 1.1\n---\na: 1\n", true),
        ] {
            let read = |scalars| {
                let options = Options { scalars, ..Options::default() };
                Document::parse(text.as_bytes(), "x", &options).map(|_| ())
            };
            assert_eq!(read(Scalars::GoYaml).is_ok(), go, "{text:?}");
            assert!(read(Scalars::Strict).is_ok(), "{text:?}: {:?}", read(Scalars::Strict));
        }
    }
}
