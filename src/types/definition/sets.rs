//! The section `source.sets`: which files a type reads. Nothing else is packed.

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

/// A named set of files; exactly one of `path`, `list`, `globs` and `dir` says which.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileSet {
    /// The forms that have this set; all when nothing is said. In the others it is empty.
    #[serde(default)]
    pub forms: Vec<String>,
    /// Whether there is such a set at all.
    #[serde(default)]
    pub when: Option<Expression>,
    /// One file.
    #[serde(default)]
    pub path: Option<Template>,
    /// The files that an expression lists, in its order, each once.
    #[serde(default)]
    pub list: Option<Expression>,
    /// The files that these globs match, in byte-lexical order.
    #[serde(default)]
    pub globs: Option<Strings>,
    /// Everything below a directory, in byte-lexical order.
    #[serde(default)]
    pub dir: Option<Template>,
    /// Whether `path` and `list` may name files that are not there; they are left out.
    #[serde(default)]
    pub optional: bool,
    /// Globs of what is taken from `dir`; everything when there are none.
    #[serde(default)]
    pub include: Option<Strings>,
    /// Globs of what is left out of `dir` and `globs`.
    #[serde(default)]
    pub exclude: Option<Strings>,
    /// Ignore rules for `dir` and `globs`.
    #[serde(default)]
    pub ignore: Option<IgnoreRules>,
    /// What happens to symbolic links; an error when nothing is said.
    #[serde(default)]
    #[schemars(with = "SymlinksSchema")]
    pub symlinks: Symlinks,
    /// What happens to FIFOs, sockets and devices; an error when nothing is said.
    #[serde(default)]
    #[schemars(with = "IrregularSchema")]
    pub irregular: Irregular,
    /// What may be in it.
    #[serde(default)]
    pub limits: SetLimits,
}

/// Which files are left out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IgnoreRules {
    /// A file of rules in the directory, used when it is there.
    #[serde(default)]
    pub file: Option<String>,
    /// How rules are read: `gitignore` when nothing is said.
    #[serde(default)]
    #[schemars(with = "DialectSchema")]
    pub dialect: Option<Dialect>,
    /// Rules that hold whatever the file says.
    #[serde(default)]
    pub always: Vec<String>,
}

/// What a set may hold; more is an error.
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
    /// The texts that must be known before this set is.
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

    /// An error unless exactly one key says which files.
    pub(in crate::types) fn check(&self) -> Result<()> {
        let ways = [self.path.is_some(), self.list.is_some(), self.globs.is_some(), self.dir.is_some()];
        match ways.into_iter().filter(|w| *w).count() {
            1 => Ok(()),
            _ => Err(Error::invalid("a set has exactly one of `path`, `list`, `globs` and `dir`")),
        }
    }
}
