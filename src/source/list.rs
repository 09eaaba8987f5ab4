//! A directory as a list of members: what is in it once globs, ignore rules and policies have spoken.

use std::fs::Metadata;

use super::{Source, globs::Globs, ignore::Ignore, names::relative, seconds, walk::SourceWalk};
use crate::error::Result;

/// One thing in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its path relative to [`Source::base`], `/` between components.
    pub path: String,
    /// What it is.
    pub kind: MemberKind,
    /// Size in bytes; 0 unless it is a file.
    pub len: u64,
    /// Permission bits, set-id and sticky bits included (`0o7777`).
    pub mode: u32,
    /// When it was changed last, in seconds since 1970.
    pub mtime: u64,
}

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link that stays inside the base.
    Symlink {
        /// Its target, as it is stored.
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

/// What happens to symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Symlinks {
    /// They are read through. A target outside the base is an error of kind `Escape`, and so is a loop.
    Follow,
    /// They are listed as links. A target outside the base is an error of kind `Escape`.
    Keep,
    /// They are left out.
    Skip,
    /// They are errors.
    #[default]
    Error,
}

/// What happens to what is neither file, directory nor link: FIFOs, sockets, devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Irregular {
    /// It is left out.
    Skip,
    /// It is an error.
    #[default]
    Error,
}

/// What a listing may hold; more is an error of kind `Limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file.
    pub file: u64,
    /// Bytes of all files.
    pub total: u64,
    /// Entries that are looked at, those left out included.
    pub entries: u64,
    /// Components of a path.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file: u64::MAX, total: u64::MAX, entries: 1_000_000, depth: 128 }
    }
}

/// How a directory is listed.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// A directory below the base to begin at, or nothing for the base. Paths of members stay relative to the base;
    /// globs and ignore rules are relative to this directory.
    pub dir: Option<String>,
    /// Files are listed when one of these globs matches, and directories when they hold such files. None: everything.
    pub include: Vec<String>,
    /// What these globs match is left out, with everything below it.
    pub exclude: Vec<String>,
    /// Ignore rules.
    pub ignore: Option<Ignore>,
    /// What happens to symbolic links.
    pub symlinks: Symlinks,
    /// What happens to FIFOs, sockets and devices.
    pub irregular: Irregular,
    /// What may be listed.
    pub limits: Limits,
}

impl Source {
    /// Lists the base directory, in byte-lexical order of paths.
    ///
    /// Errors name the entry. Kinds: `Escape` (a link that leaves the base), `Limit`, `Invalid` (a name that cannot be
    /// carried; a link or a FIFO where the policy says so; a malformed glob), `Changed` (an entry that vanished), `Io`.
    pub fn list(&self, listing: &Listing) -> Result<Vec<Member>> {
        let dir = listing.dir.as_deref().map(relative).transpose()?.unwrap_or_default();
        let rules = listing.ignore.as_ref().map(|ignore| ignore.load(self, &dir)).transpose()?;
        let walk = SourceWalk::new(self, listing, Globs::new(&listing.include)?, Globs::new(&listing.exclude)?, rules);
        let mut members = walk.run(&dir)?;
        members.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(members)
    }
}
