//! Globs and ignore rules, and a path that is compared with them.

use crate::{
    error::{Kind, Result},
    glob::{Effort, Globs},
    source::{Dialect, Rules},
};

const DIALECTS: [Dialect; 3] = [Dialect::Gitignore, Dialect::Docker, Dialect::Helm];

/// A path in the first line, patterns in the others: as globs, and as the rules of each dialect. The answer is the same
/// each time, the path itself is a pattern for it, and nothing takes more than its effort.
pub(super) fn patterns(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some((path, lines)) = text.split_once('\n') else { return };
    let effort = Effort::new(1 << 22);
    if let Ok(globs) = Globs::new(lines.lines()) {
        same(|| globs.matches(path, &effort));
    }
    for dialect in DIALECTS {
        if let Ok(rules) = Rules::new(dialect, lines, &[]) {
            same(|| rules.ignores(path, false));
            same(|| rules.ignores(path, true));
        }
    }
    let own: String = path.chars().flat_map(|c| ['\\', c]).collect();
    if let Ok(globs) = Globs::new([own.as_str()]) {
        assert!(globs.matches(path, &Effort::default()).unwrap_or(false), "{own:?} is not its own glob");
    }
}

/// Asks twice. An answer that is given is given again; the only error is that of a limit.
fn same(answer: impl Fn() -> Result<bool>) {
    match (answer(), answer()) {
        (Ok(first), Ok(second)) => assert_eq!(first, second),
        (first, second) => {
            for error in first.err().into_iter().chain(second.err()) {
                assert_eq!(error.kind(), Kind::Limit, "{error}");
            }
        }
    }
}
