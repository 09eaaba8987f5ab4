//! Tar layers: entries for a set of files, with order and headers independent of the machine.

use crate::{
    error::{Error, Result},
    glob::{Effort, Globs},
    plan::{Entry, EntryKind},
    source::{Member, MemberKind},
    tarball::read::{Limits, quoted_name},
    types::definition::tar::{Entries, Header, Mtime, Tar},
};

impl Header {
    fn mode_of(&self, member: &Member) -> u32 {
        match (&member.kind, self.mode.as_deref()) {
            (MemberKind::Symlink { .. }, _) => 0o777,
            (MemberKind::File, None) if member.mode & 0o100 == 0 => 0o644,
            (MemberKind::File, Some(mode)) => u32::from_str_radix(mode, 8).unwrap_or(member.mode & 0o755 | 0o400),
            (MemberKind::File, None) | (MemberKind::Directory, _) => 0o755,
        }
    }
}

impl Tar {
    /// The entries, below `root`, for members listed from `dir`.
    pub(super) fn entries(
        &self,
        members: &[Member],
        dir: &str,
        root: &str,
        now: Option<i64>,
        effort: &Effort,
    ) -> Result<Vec<Entry>> {
        let mtime = match self.header.mtime {
            Mtime::Zero => 0,
            Mtime::SourceDateEpoch => now.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
        };
        let mut ranked = Vec::new();
        let order = Globs::new(self.first.iter().map(String::as_str))?;
        for member in members {
            let inner = member.path.strip_prefix(dir).unwrap_or(&member.path).trim_start_matches('/');
            let kind = match &member.kind {
                MemberKind::Directory if self.entries == Entries::Files => continue,
                MemberKind::Directory => EntryKind::Directory,
                MemberKind::File => EntryKind::File(member.path.clone().into()),
                MemberKind::Symlink { target } => EntryKind::Symlink(target.clone()),
            };
            let rank = order.first(inner, effort)?.unwrap_or(self.first.len());
            let path = if root == "." { inner.to_owned() } else { format!("{root}/{inner}") };
            check_length(&path)?;
            ranked.push((rank, Entry { path, mode: self.header.mode_of(member), mtime, kind }));
        }
        ranked.sort_by_key(|(rank, _)| *rank);
        let parents = if self.entries == Entries::All && root != "." { parents(root, mtime) } else { Vec::new() };
        Ok(parents.into_iter().chain(ranked.into_iter().map(|(_, entry)| entry)).collect())
    }
}

/// The directories of the root, outermost first: oras needs parents before children.
fn parents(root: &str, mtime: u64) -> Vec<Entry> {
    let ends = root.match_indices('/').map(|(at, _)| at).chain([root.len()]);
    let paths = ends.filter_map(|end| root.get(..end));
    paths.map(|path| Entry { path: path.into(), mode: 0o755, mtime, kind: EntryKind::Directory }).collect()
}

/// Errors: a path that unpacking refuses as too long, or too deep.
fn check_length(path: &str) -> Result<()> {
    let limits = Limits::default();
    if path.len() > limits.path {
        let most = limits.path;
        return Err(Error::limit(format!("{} has {} bytes; the limit is {most}", quoted_name(path), path.len())));
    }
    if path.split('/').count() > limits.depth {
        return Err(Error::limit(format!("{} is deeper than {} directories", quoted_name(path), limits.depth)));
    }
    Ok(())
}
