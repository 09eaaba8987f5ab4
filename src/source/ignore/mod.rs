//! Ignore rules: a module for each dialect, with [`Rules::ignores`] for all.

mod docker;
mod gitignore;
mod helm;
mod pattern;
mod wildmatch;

use super::{Source, escapes, names::escape};
use crate::{
    error::{Context as _, Error, Kind, Result},
    glob::Effort,
};

/// Size limit of an ignore file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Limits: rules of a list, bytes of a rule.
const MAX_RULES: usize = 10_000;
const MAX_RULE: usize = 4096;

/// Limit of the work for all paths, in steps ([`Effort`]): several times that of the largest trees, and some seconds.
const MAX_STEPS: u64 = 1 << 31;

/// The syntax of ignore rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Git's `.gitignore`; only the file in the top directory.
    Gitignore,
    /// Docker's `.dockerignore`.
    Docker,
    /// Helm's `.helmignore`; `templates/.?*` is always ignored.
    Helm,
}

/// The ignore rules of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignore {
    /// The syntax of the patterns.
    pub dialect: Dialect,
    /// Name of an optional ignore file in the listed directory.
    pub file: Option<String>,
    /// Patterns that always apply, regardless of the file.
    pub always: Vec<String>,
}

impl Ignore {
    /// Reads the rules in this directory of the source. Errors: a file larger than 1 MiB, a malformed pattern.
    pub(super) fn load(&self, source: &Source, dir: &str) -> Result<Rules> {
        let mut text = Vec::new();
        let mut origin = String::new();
        if let Some(file) = &self.file {
            origin = if dir.is_empty() { file.clone() } else { format!("{dir}/{file}") };
            text = match source.read(&origin, MAX_FILE) {
                Err(e) if e.kind() == Kind::NotFound => Vec::new(),
                other => other?,
            };
        }
        let text =
            String::from_utf8(text).map_err(|_| Error::invalid(format!("`{}` is not UTF-8", escape(&origin))))?;
        Rules::new(self.dialect, &text, &self.always).context(|| escape(&origin))
    }
}

/// Compiled ignore rules.
#[derive(Debug)]
pub struct Rules {
    file: List,
    always: List,
    effort: Effort,
}

#[derive(Debug)]
enum List {
    Gitignore(gitignore::List),
    Docker(docker::List),
    Helm(helm::List),
}

impl Rules {
    /// Compiles the text of an ignore file and patterns that always apply.
    ///
    /// Errors name the line: kind `Escape` for a pattern with `..`, kind `Invalid` for a malformed one.
    pub fn new(dialect: Dialect, text: &str, always: &[String]) -> Result<Self> {
        // Also the last line may end in a carriage return.
        let text = &format!("{}\n", text.strip_prefix('\u{feff}').unwrap_or(text));
        Ok(Self {
            file: List::new(dialect, text.lines())?,
            always: List::new(dialect, always.iter().map(String::as_str))?,
            effort: Effort::new(MAX_STEPS),
        })
    }

    /// Whether this relative path is ignored. Check directories before their content: content of an ignored directory
    /// is ignored too, unless [`Rules::reincludes`].
    ///
    /// Errors: kind `Limit` if the rules and all paths up to this one take too long to compare.
    pub fn ignores(&self, path: &str, directory: bool) -> Result<bool> {
        Ok(self.always.ignores(path, directory, &self.effort)? || self.file.ignores(path, directory, &self.effort)?)
    }

    /// Whether files in an ignored directory can be included again.
    #[must_use]
    pub fn reincludes(&self) -> bool {
        matches!(&self.file, List::Docker(list) if list.reincludes())
    }
}

impl List {
    fn new<'a>(dialect: Dialect, lines: impl Iterator<Item = &'a str>) -> Result<Self> {
        let lines: Vec<&str> = lines.take(MAX_RULES + 1).collect();
        if lines.len() > MAX_RULES {
            return Err(Error::limit(format!("more than {MAX_RULES} ignore rules")));
        }
        for (at, line) in (1..).zip(&lines) {
            check(line).context(|| format!("line {at}"))?;
        }
        Ok(match dialect {
            Dialect::Gitignore => Self::Gitignore(gitignore::List::new(&lines)),
            Dialect::Docker => Self::Docker(docker::List::new(&lines)?),
            Dialect::Helm => Self::Helm(helm::List::new(&lines)?),
        })
    }

    fn ignores(&self, path: &str, directory: bool, effort: &Effort) -> Result<bool> {
        match self {
            Self::Gitignore(list) => list.ignores(path, directory, effort),
            Self::Docker(list) => list.ignores(path, effort),
            Self::Helm(list) => list.ignores(path, directory, effort),
        }
    }
}

/// Errors: a rule that is too long or contains `..`, which no dialect supports usefully.
fn check(line: &str) -> Result<()> {
    if line.len() > MAX_RULE {
        return Err(Error::limit(format!("the ignore rule has {} bytes; the limit is {MAX_RULE}", line.len())));
    }
    if line.starts_with('#') {
        return Ok(());
    }
    let pattern = line.trim().trim_start_matches('!').trim();
    if pattern.split('/').any(|part| part == "..") {
        return Err(escapes(format!("the pattern `{}` contains `..`", escape(line))));
    }
    Ok(())
}

/// The error for a pattern that is invalid in its dialect.
fn malformed(at: usize, pattern: &str, why: impl std::fmt::Display) -> Error {
    Error::invalid(format!("line {at}: the pattern `{}` {why}", escape(pattern)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIALECTS: [Dialect; 3] = [Dialect::Gitignore, Dialect::Docker, Dialect::Helm];

    #[test]
    fn patterns_that_lead_upwards_are_refused_in_every_dialect() {
        for dialect in DIALECTS {
            for pattern in ["../x", "!../x", "a/../../b", "..", "! ../x"] {
                let error = Rules::new(dialect, &format!("ok\n{pattern}\n"), &[]).unwrap_err();
                assert_eq!(error.kind(), Kind::Escape, "{dialect:?} {pattern}");
                assert!(error.to_string().starts_with("line 2"), "{error}");
            }
        }
    }

    #[test]
    fn what_is_always_ignored_cannot_be_wanted_again() {
        let rules = Rules::new(Dialect::Gitignore, "!secret\n", &["secret".to_owned()]).unwrap();
        assert!(rules.ignores("secret", false).unwrap());
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_pattern() {
        for dialect in DIALECTS {
            assert!(Rules::new(dialect, "\u{feff}a\n", &[]).unwrap().ignores("a", false).unwrap(), "{dialect:?}");
        }
    }

    #[test]
    fn a_pattern_that_defeats_backtracking_is_answered_at_once() {
        let (pattern, name) = ("*a".repeat(100) + "b", "a".repeat(250));
        for dialect in DIALECTS {
            assert!(!Rules::new(dialect, &pattern, &[]).unwrap().ignores(&name, false).unwrap(), "{dialect:?}");
        }
    }

    #[test]
    fn many_patterns_that_are_in_many_states_at_a_time_are_answered_at_once() {
        let lines: String = (0..200).map(|at| format!("*a{}c{at}*\n", "?".repeat(120))).collect();
        for dialect in DIALECTS {
            let rules = Rules::new(dialect, &lines, &[]).unwrap();
            for at in 0..100 {
                let name: String = (0..240).map(|place| if (place * at) % 7 < 3 { 'a' } else { 'b' }).collect();
                assert!(!rules.ignores(&name, false).unwrap(), "{dialect:?}");
            }
        }
    }

    #[test]
    fn ignore_rules_end_with_the_effort_of_their_list() {
        let line = format!("*a{}c*\n", "?".repeat(120));
        for dialect in DIALECTS {
            let rules = Rules { effort: Effort::new(1 << 20), ..Rules::new(dialect, &line.repeat(200), &[]).unwrap() };
            let error = (0..100).find_map(|_| rules.ignores(&"a".repeat(240), false).err());
            assert_eq!(error.unwrap().kind(), Kind::Limit, "{dialect:?}");
        }
    }

    proptest! {
        #[test]
        fn no_ignore_file_makes_a_matcher_panic(
            text in "([!#/a-c.*?\\[\\]{},^\\\\ é\u{feff}-]{0,8}\n){0,4}",
            path in "[a-c.é!*]{1,4}(/[a-c.é]{1,3}){0,3}",
            directory: bool,
        ) {
            for dialect in DIALECTS {
                if let Ok(rules) = Rules::new(dialect, &text, &[]) {
                    let _ = rules.ignores(&path, directory);
                }
            }
        }
    }
}
