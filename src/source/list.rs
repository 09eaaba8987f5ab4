//! A directory as a list of members, after globs, ignore rules and policies.

use std::fs::Metadata;

use super::{Source, globs::relative_globs, ignore::Ignore, names::relative, seconds, walk::SourceWalk};
use crate::error::Result;

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its path relative to [`Source::base`], `/` between components.
    pub path: String,
    /// The kind of entry.
    pub kind: MemberKind,
    /// Size in bytes; 0 except for files.
    pub len: u64,
    /// Permission bits, set-id and sticky bits included (`0o7777`).
    pub mode: u32,
    /// Modification time in seconds since 1970.
    pub mtime: u64,
}

/// The kind of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link that stays inside the base.
    Symlink {
        /// Its target, as stored in the link.
        target: String,
    },
}

impl Member {
    pub(super) fn of(path: String, kind: MemberKind, meta: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let len = if kind == MemberKind::File { meta.len() } else { 0 };
        Self { path, kind, len, mode: meta.mode() & 0o7777, mtime: seconds(meta) }
    }

    /// The last component of the path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// Treatment of symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Symlinks {
    /// Follow them. A target outside the base, or a loop, is an error of kind `Escape`.
    Follow,
    /// List them as links. A target outside the base is an error of kind `Escape`.
    Keep,
    /// Skip them.
    Skip,
    /// Fail.
    #[default]
    Error,
}

/// Treatment of FIFOs, sockets and devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Irregular {
    /// Skip them.
    Skip,
    /// Fail.
    #[default]
    Error,
}

/// Limits of a listing; exceeding one is an error of kind `Limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file.
    pub file: u64,
    /// Bytes of all files.
    pub total: u64,
    /// Entries examined, skipped ones included.
    pub entries: u64,
    /// Components of a path.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file: u64::MAX, total: u64::MAX, entries: 1_000_000, depth: 128 }
    }
}

/// Options for listing a directory.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Directory below the base to list, or `None` for the base. Paths of members stay relative to the base; globs and
    /// ignore rules are relative to this directory.
    pub dir: Option<String>,
    /// Globs for files to list, with their directories. If empty, everything is listed.
    pub include: Vec<String>,
    /// Globs for entries to skip, with everything below them.
    pub exclude: Vec<String>,
    /// Whether a glob that matches nothing is an error: of `include`, no listed file, of `exclude`, no entry.
    pub all_match: bool,
    /// Ignore rules.
    pub ignore: Option<Ignore>,
    /// Treatment of symbolic links.
    pub symlinks: Symlinks,
    /// Treatment of FIFOs, sockets and devices.
    pub irregular: Irregular,
    /// Limits.
    pub limits: Limits,
}

impl Source {
    /// Lists the directory, sorted byte-lexically by path.
    ///
    /// Errors name the entry. Kinds: `Escape` (a link to a place outside the base), `Limit`, `Invalid` (a name that is
    /// not portable; a link or FIFO, by policy; a malformed glob, or one that matches nothing), `Changed` (an entry that vanished), `Io`.
    pub fn list(&self, listing: &Listing) -> Result<Vec<Member>> {
        let dir = listing.dir.as_deref().map(relative).transpose()?.unwrap_or_default();
        let rules = listing.ignore.as_ref().map(|ignore| ignore.load(self, &dir)).transpose()?;
        let (include, exclude) = (relative_globs(&listing.include)?, relative_globs(&listing.exclude)?);
        let walk = SourceWalk::new(self, listing, include, exclude, rules);
        let mut members = walk.run(&dir)?;
        members.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(members)
    }
}
