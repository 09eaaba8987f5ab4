//! Fenced code (CommonMark 0.31, 4.5): three or more backticks or tildes, closed by at least as many of the same.
//!
//! An unclosed fence is ignored, so that it does not hide the following slides.

use std::collections::HashMap;

/// The fences of a text.
#[derive(Debug, Default)]
pub(super) struct Fences {
    /// For each line, whether it is fenced code.
    covered: Vec<bool>,
}

impl Fences {
    pub(super) fn find(lines: &[&str]) -> Self {
        let mut fences = Self { covered: vec![false; lines.len()] };
        // For each kind of mark, the shortest length known to be unclosed, which needs no further search.
        let mut unclosed: HashMap<char, usize> = HashMap::new();
        let mut at = 0;
        while let Some(line) = lines.get(at) {
            let end = opens(line).filter(|(mark, len)| unclosed.get(mark).is_none_or(|least| len < least));
            let Some((mark, len)) = end else {
                at += 1;
                continue;
            };
            match lines.iter().skip(at + 1).position(|line| closes(line, mark, len)) {
                Some(after) => {
                    let end = at + 1 + after;
                    if let Some(covered) = fences.covered.get_mut(at..=end) {
                        covered.fill(true);
                    }
                    at = end;
                }
                None => {
                    unclosed.insert(mark, len);
                }
            }
            at += 1;
        }
        fences
    }

    /// Whether this line is fenced code.
    pub(super) fn cover(&self, at: usize) -> bool {
        self.covered.get(at).copied().unwrap_or(false)
    }
}

/// The mark, and its length.
fn opens(line: &str) -> Option<(char, usize)> {
    let (mark, len, info) = run(line)?;
    (mark == '~' || !info.contains('`')).then_some((mark, len))
}

fn closes(line: &str, mark: char, least: usize) -> bool {
    run(line).is_some_and(|(own, len, rest)| own == mark && len >= least && rest.trim().is_empty())
}

/// A run of at least three marks, indented by three spaces at most.
fn run(line: &str) -> Option<(char, usize, &str)> {
    let bare = line.trim_start_matches(' ');
    let mark = bare.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let rest = bare.trim_start_matches(mark);
    let len = bare.len() - rest.len();
    (line.len() - bare.len() <= 3 && len >= 3).then_some((mark, len, rest))
}
