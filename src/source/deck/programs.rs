//! The programs that `slides` runs for an executable deck: found as it finds them, wherever they are, in fenced code, behind
//! text on a line, and in front matter.

use super::Preprocess;

const MARK: &str = "~~~";

/// The blocks `~~~COMMAND`, text, and a line that begins with `~~~`; `first` is the number of the text's first line.
pub(super) fn find(text: &str, first: usize) -> Vec<Preprocess> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (text, first);
    while let Some((before, after)) = rest.split_once(MARK) {
        line += before.matches('\n').count();
        let Some((command, body)) = after.split_once('\n') else { break };
        if command.is_empty() {
            rest = after;
            continue;
        }
        let Some((block, behind)) = body.split_once("\n~~~") else { break };
        // `slides` splits at spaces, and cannot run what has no name.
        if !command.starts_with(' ') {
            found.push(Preprocess { line, command: command.trim_end().to_owned() });
        }
        line += block.matches('\n').count() + 2;
        rest = behind;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_the_viewer_finds_them() {
        for (text, commands) in [
            ("~~~a b\nx\n~~~\n", &[(1, "a b")][..]),
            ("x\n```\n~~~sh -c id\nx\n~~~\n```\ntext ~~~id\ny\n~~~\n", &[(3, "sh -c id"), (7, "id")]),
            ("~~~a\nx\n~~~ ~~~b\ny\n~~~", &[(1, "a"), (3, "b")]),
            ("~~~\nx\n~~~a\ny\n~~~", &[(3, "a")]),
            ("~~~~a\nx\n~~~~", &[(1, "~a")]),
            // An empty block needs an empty line.
            ("~~~a\n~~~\nx", &[]),
            ("~~~a\n\n~~~\nx", &[(1, "a")]),
            ("~~~ a\nx\n~~~", &[]),
            ("~~~a\nx\n ~~~", &[]),
            ("~~~a", &[]),
        ] {
            let found = find(text, 1);
            let found: Vec<_> = found.iter().map(|program| (program.line, program.command.as_str())).collect();
            assert_eq!(found, commands, "{text:?}");
        }
    }
}
