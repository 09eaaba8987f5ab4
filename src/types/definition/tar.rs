//! Layers that are tar archives: which entries there are, and what their headers say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    many::Template,
    texts::{Part, Texts},
};
use crate::{
    error::{Error, Result},
    plan::Compression,
};

/// Level of gzip where none is said.
const GZIP: u32 = 6;

/// Level of zstd where none is said: the format's own, which its tools use.
const ZSTD: i32 = 3;

/// A tar archive of a set. Owners are always 0 and have no names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tar {
    /// The set.
    pub set: String,
    /// A directory that every entry is put in; `.` for none. The layer's title when nothing is said.
    #[serde(default)]
    pub root: Option<Template>,
    /// Which entries there are.
    #[serde(default)]
    pub entries: Entries,
    /// Globs of the files that come first, in this order; the rest follow byte-lexically.
    #[serde(default)]
    pub first: Vec<String>,
    /// What the headers say.
    #[serde(default)]
    pub header: Header,
}

/// Which entries a tar archive has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Entries {
    /// Files, links and directories, the root first.
    #[default]
    All,
    /// Files and links only.
    Files,
}

/// What the headers of a tar archive say.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// Permission bits of files. When nothing is said: 0755 for a file that its owner may execute, else 0644, so that no
    /// umask shows, as git keeps files. Octal digits in quotes: these. `keep`: those of the file, without write
    /// permission for group and others. Directories have 0755.
    #[serde(default)]
    pub mode: Option<String>,
    /// Modification time.
    #[serde(default)]
    pub mtime: Mtime,
}

/// Which modification time entries have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mtime {
    /// 1970.
    #[default]
    Zero,
    /// The time that the caller gives for `now`, else 1970.
    SourceDateEpoch,
}

impl Header {
    /// What is wrong with it.
    pub(super) fn check(&self) -> Result<()> {
        let good = |m: &str| m == "keep" || u32::from_str_radix(m, 8).is_ok_and(|mode| mode <= 0o777);
        match self.mode.as_deref().filter(|m| !good(m)) {
            Some(mode) => Err(Error::invalid(format!("`mode` is `keep` or octal digits such as `0644`, not `{mode}`"))),
            None => Ok(()),
        }
    }
}

impl Tar {
    /// The texts that mean something.
    pub(super) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.names("set", Part::Set, [&self.set]);
        texts.template("root", &self.root);
    }
}

/// Reads `none`, `gzip`, `zstd`, with a level behind a colon.
pub(in crate::types) fn compression(text: &str) -> Result<Compression> {
    let bad = || {
        Error::invalid(format!("`compress` is `none`, `gzip` or `zstd`, with a level as in `zstd:19`, not `{text}`"))
    };
    let (name, level) = match text.split_once(':') {
        Some((name, level)) => (name, Some(level.parse::<u32>().map_err(|_| bad())?)),
        None => (text, None),
    };
    match (name, level) {
        ("none", None) => Ok(Compression::None),
        ("gzip", level) if level.is_none_or(|l| l <= 9) => Ok(Compression::Gzip(level.unwrap_or(GZIP))),
        ("zstd", None) => Ok(Compression::Zstd(ZSTD)),
        ("zstd", Some(level @ 1..=19)) => i32::try_from(level).map(Compression::Zstd).map_err(|_| bad()),
        _ => Err(bad()),
    }
}
