//! Tar layers: entries and headers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    many::Template,
    texts::{Part, Texts},
};
use crate::{
    error::{Error, Result},
    glob::Globs,
    plan::Compression,
};

/// Default gzip level.
const GZIP: u32 = 6;

/// Default zstd level, that of the zstd tool.
const ZSTD: i32 = 3;

/// A tar archive of a set. Owner and group are always 0, without names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tar {
    /// Name of the set.
    pub set: String,
    /// Directory that contains all entries; `.` for none [default: the layer's title].
    #[serde(default)]
    pub root: Option<Template>,
    /// Kinds of entries.
    #[serde(default)]
    pub entries: Entries,
    /// Globs for the files that come first, in this order; the rest is sorted byte-lexically.
    #[serde(default)]
    pub first: Vec<String>,
    /// Header fields.
    #[serde(default)]
    pub header: Header,
}

impl Tar {
    /// Errors: a malformed glob or header.
    pub(super) fn check(&self) -> Result<()> {
        Globs::new(self.first.iter().map(String::as_str))?;
        self.header.check()
    }
}

/// The kinds of entries of a tar archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Entries {
    /// Files, links and directories, the root first.
    #[default]
    All,
    /// Files and links only.
    Files,
}

/// The header fields of tar entries.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// Permission bits of files: quoted octal digits, or `keep` for those of the file without write permission for
    /// group and others. Default: 0755 for files that their owner can execute, else 0644, independent of the umask, as
    /// in git. Directories have 0755.
    #[serde(default)]
    pub mode: Option<String>,
    /// Modification time.
    #[serde(default)]
    pub mtime: Mtime,
}

/// The modification time of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mtime {
    /// 1970.
    #[default]
    Zero,
    /// The caller's `now`, else 1970.
    SourceDateEpoch,
}

impl Header {
    /// Errors: an invalid mode.
    pub(super) fn check(&self) -> Result<()> {
        let good = |m: &str| m == "keep" || u32::from_str_radix(m, 8).is_ok_and(|mode| mode <= 0o777);
        match self.mode.as_deref().filter(|m| !good(m)) {
            Some(mode) => {
                Err(Error::invalid(format!("`mode` must be `keep` or octal digits such as `0644`, not `{mode}`")))
            }
            None => Ok(()),
        }
    }
}

impl Tar {
    /// Collects the texts with a meaning.
    pub(super) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.names("set", Part::Set, [&self.set]);
        texts.template("root", &self.root);
    }
}

/// Parses `none`, `gzip` or `zstd`, the latter two with an optional level, as in `zstd:19`.
pub(in crate::types) fn compression(text: &str) -> Result<Compression> {
    let bad = || {
        Error::invalid(format!(
            "`compress` must be `none`, `gzip` or `zstd`, with a level as in `zstd:19`, not `{text}`"
        ))
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
