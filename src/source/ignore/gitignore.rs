//! Git's rules: the last matching pattern decides, and an ignored directory includes everything below it.

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::malformed;
use crate::error::{Error, Result};

#[derive(Debug)]
pub(super) struct List(Gitignore);

impl List {
    pub(super) fn new(lines: &[&str]) -> Result<Self> {
        let mut builder = GitignoreBuilder::new("");
        for (at, line) in (1..).zip(lines) {
            builder.add_line(None, line).map_err(|e| malformed(at, line, format!("is malformed: {e}")))?;
        }
        let list = builder.build().map_err(|e| Error::invalid(format!("the ignore rules are too complex: {e}")))?;
        Ok(Self(list))
    }

    pub(super) fn ignores(&self, path: &str, directory: bool) -> bool {
        self.0.matched(path, directory).is_ignore()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(text: &str, path: &str, directory: bool) -> bool {
        List::new(&text.lines().collect::<Vec<_>>()).unwrap().ignores(path, directory)
    }

    #[test]
    fn rules_read_as_git_reads_them() {
        for (text, path, directory, yes) in [
            ("*.o", "d/a.o", false, true),
            ("/a", "a", false, true),
            ("/a", "d/a", false, false),
            ("d/", "d", true, true),
            ("d/", "d", false, false),
            ("d/", "x/d", true, true),
            ("a/b", "a/b", false, true),
            ("a/b", "x/a/b", false, false),
            ("*.o\n!keep.o", "keep.o", false, false),
            ("!keep.o\n*.o", "keep.o", false, true),
            ("a/**/b", "a/x/y/b", false, true),
            ("**/b", "x/y/b", false, true),
            ("# c\n\\#c", "#c", false, true),
            ("a   ", "a", false, true),
            ("a\\ ", "a ", false, true),
        ] {
            assert_eq!(ignored(text, path, directory), yes, "{text:?} {path}");
        }
    }
}
