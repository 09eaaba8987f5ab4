//! The section `source.sets`: the files that a type reads. No others are packed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    many::{Expression, Strings, Template},
    texts::{Part, Texts},
};
use crate::{
    error::{Error, Result},
    source::{Dialect, Irregular, Symlinks},
};

/// A named set of files, with exactly one of `path`, `list`, `globs` and `dir`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileSet {
    /// Forms with this set [default: all]. In other forms it is empty.
    #[serde(default)]
    pub forms: Vec<String>,
    /// Condition for the set; if false, it is empty.
    #[serde(default)]
    pub when: Option<Expression>,
    /// Path of one file.
    #[serde(default)]
    pub path: Option<Template>,
    /// Expression for a list of files; its order is kept, duplicates are dropped.
    #[serde(default)]
    pub list: Option<Expression>,
    /// Globs for files; sorted byte-lexically.
    #[serde(default)]
    pub globs: Option<Strings>,
    /// Directory with all its content, sorted byte-lexically.
    #[serde(default)]
    pub dir: Option<Template>,
    /// Whether files in `path` and `list` may be missing; they are skipped.
    #[serde(default)]
    pub optional: bool,
    /// Globs to include from `dir` [default: everything].
    #[serde(default)]
    pub include: Option<Strings>,
    /// Globs to exclude from `dir` and `globs`.
    #[serde(default)]
    pub exclude: Option<Strings>,
    /// Ignore rules for `dir` and `globs`.
    #[serde(default)]
    pub ignore: Option<IgnoreRules>,
    /// Treatment of symbolic links [default: error].
    #[serde(default)]
    #[schemars(with = "SymlinksSchema")]
    pub symlinks: Symlinks,
    /// Treatment of FIFOs, sockets and devices [default: error].
    #[serde(default)]
    #[schemars(with = "IrregularSchema")]
    pub irregular: Irregular,
    /// Size limits.
    #[serde(default)]
    pub limits: SetLimits,
}

/// Ignore rules.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IgnoreRules {
    /// Name of an optional file of rules in the directory.
    #[serde(default)]
    pub file: Option<String>,
    /// Syntax of the rules [default: `gitignore`].
    #[serde(default)]
    #[schemars(with = "DialectSchema")]
    pub dialect: Option<Dialect>,
    /// Rules that always apply, regardless of the file.
    #[serde(default)]
    pub always: Vec<String>,
}

/// Size limits of a set.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetLimits {
    /// Bytes of one file.
    #[serde(default)]
    pub file: Option<u64>,
    /// Bytes of all files.
    #[serde(default)]
    pub total: Option<u64>,
}

/// The schema of [`Symlinks`].
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code)]
enum SymlinksSchema {
    Follow,
    Keep,
    Skip,
    Error,
}

/// The schema of [`Irregular`].
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code)]
enum IrregularSchema {
    Skip,
    Error,
}

/// The schema of [`Dialect`].
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code)]
enum DialectSchema {
    Gitignore,
    Docker,
    Helm,
}

impl FileSet {
    /// Collects the texts needed to read this set.
    pub(in crate::types) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.names("forms", Part::Form, &self.forms);
        texts.expression("when", &self.when);
        texts.expression("list", &self.list);
        texts.template("path", &self.path);
        texts.template("dir", &self.dir);
        texts.strings("globs", self.globs.as_ref());
        texts.strings("include", self.include.as_ref());
        texts.strings("exclude", self.exclude.as_ref());
    }

    /// Errors: not exactly one kind of content.
    pub(in crate::types) fn check(&self) -> Result<()> {
        let ways = [self.path.is_some(), self.list.is_some(), self.globs.is_some(), self.dir.is_some()];
        match ways.into_iter().filter(|w| *w).count() {
            1 => Ok(()),
            _ => Err(Error::invalid("a set needs exactly one of `path`, `list`, `globs` and `dir`")),
        }
    }
}
