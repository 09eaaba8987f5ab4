//! Helm's rules: the first rule that decides ends the search, and `!` inverts a rule, so that everything it does *not*
//! match is ignored.

use super::{
    malformed,
    pattern::{Pattern, Stars},
};
use crate::{error::Result, glob::Effort};

/// Hidden files in `templates` are never part of a chart.
const BUILT_IN: &str = "templates/.?*";

#[derive(Debug)]
pub(super) struct List(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    negated: bool,
    directories: bool,
    /// Compared with the last component only.
    base_name: bool,
    /// `None` matches nothing.
    pattern: Option<Pattern>,
}

impl List {
    pub(super) fn new(lines: &[&str]) -> Result<Self> {
        let lines = (1..).zip(lines.iter().copied().chain([BUILT_IN]));
        let rules = lines.filter_map(|(at, line)| Rule::new(at, line.trim()).transpose());
        rules.collect::<Result<_>>().map(Self)
    }

    /// Errors: the effort is exhausted.
    pub(super) fn ignores(&self, path: &str, directory: bool, effort: &Effort) -> Result<bool> {
        for rule in &self.0 {
            let matches = (directory || !rule.directories) && rule.matches(path, effort)?;
            if matches != rule.negated {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Rule {
    fn new(at: usize, line: &str) -> Result<Option<Self>> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        if line.contains("**") {
            return Err(malformed(at, line, "has `**`, which Helm does not support"));
        }
        let (negated, rest) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest));
        let (directories, rest) = rest.strip_suffix('/').map_or((false, rest), |rest| (true, rest));
        let base_name = !rest.contains('/');
        let pattern = rest.strip_prefix('/').unwrap_or(rest);
        // Helm looks for flaws in the whole line, and what it then cannot match, it does not match.
        Pattern::new(line, Stars::One).map_err(|why| malformed(at, line, why))?;
        let pattern = Pattern::new(pattern, Stars::One).ok();
        Ok(Some(Self { negated, directories, base_name, pattern }))
    }

    fn matches(&self, path: &str, effort: &Effort) -> Result<bool> {
        let name = if self.base_name { path.rsplit('/').next().unwrap_or(path) } else { path };
        self.pattern.as_ref().map_or(Ok(false), |pattern| pattern.matches(name, effort))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(text: &str, path: &str, directory: bool) -> bool {
        List::new(&text.lines().collect::<Vec<_>>()).unwrap().ignores(path, directory, &Effort::default()).unwrap()
    }

    #[test]
    fn rules_read_as_helm_reads_them() {
        for (text, path, directory, yes) in [
            ("helm.txt", "helm.txt", false, true),
            ("helm.*", "cargo/helm.txt", false, true),
            ("/a.txt", "a.txt", false, true),
            ("/a.txt", "cargo/a.txt", false, false),
            ("cargo/*.txt", "cargo/a.txt", false, true),
            ("cargo/*.txt", "x/cargo/a.txt", false, false),
            ("cargo/*.*", "cargo/d/a.txt", false, false),
            ("a[a-c].txt", "ab.txt", false, true),
            ("cargo/", "cargo", true, true),
            ("cargo/", "cargo", false, false),
            ("cargo/", "mast/cargo", true, true),
            ("/cargo/", "mast/cargo", true, false),
            ("", "templates/.hidden", false, true),
            ("", "templates/.", false, false),
            ("", "sub/templates/.hidden", false, false),
            ("# a\n\n  b  ", "b", false, true),
            ("a # b", "a", false, false),
            ("\\/", "a", true, false),
        ] {
            assert_eq!(ignored(text, path, directory), yes, "{text:?} {path}");
        }
    }

    #[test]
    fn a_turned_rule_ignores_what_it_does_not_match() {
        for (text, path, directory, yes) in [
            ("!helm.txt", "helm.txt", false, false),
            ("!helm.txt", "tiller.txt", false, true),
            ("!*.txt", "cargo", true, true),
            ("!cargo/", "mast/a.txt", false, true),
            ("!cargo/", "cargo", true, false),
            ("a.txt\n!*.txt", "a.txt", false, true),
            ("!*.txt\na.txt", "a.txt", false, true),
            ("!\\/", "a", true, true),
        ] {
            assert_eq!(ignored(text, path, directory), yes, "{text:?} {path}");
        }
    }

    #[test]
    fn what_helm_refuses_is_an_error_that_names_the_line() {
        for text in ["**/x", "x\n[", "a/**"] {
            let error = List::new(&text.lines().collect::<Vec<_>>()).unwrap_err();
            assert!(error.to_string().contains("line "), "{error}");
        }
    }
}
