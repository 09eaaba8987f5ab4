//! The directory walk of a listing: one `stat` per listed member, none for skipped ones; files are never opened.

use std::{
    collections::BTreeSet,
    fs::{self, DirEntry, FileType, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Component, Path},
};

use super::{
    Member, Source, escapes,
    ignore::Rules,
    list::{Irregular, Listing, MemberKind, Symlinks},
    names::{self, escape},
};
use crate::{
    error::{Context as _, Error, Kind, Result},
    glob::Globs,
};

pub(super) struct SourceWalk<'a> {
    source: &'a Source,
    listing: &'a Listing,
    include: Globs,
    exclude: Globs,
    /// The globs that matched, by their places in their lists.
    included: BTreeSet<usize>,
    excluded: BTreeSet<usize>,
    rules: Option<Rules>,
    /// Length of the path prefix that rules and globs do not see: they are relative to the listed directory.
    prefix: usize,
    members: Vec<Member>,
    entries: u64,
    total: u64,
    /// Device and inode of the open directories; one of them below itself is a loop.
    open: Vec<(u64, u64)>,
}

/// The treatment of an entry, by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Listed,
    /// Listed only if it contains a listed entry.
    Way,
    Left,
}

impl<'a> SourceWalk<'a> {
    pub(super) fn new(
        source: &'a Source,
        listing: &'a Listing,
        include: Globs,
        exclude: Globs,
        rules: Option<Rules>,
    ) -> Self {
        let (members, open) = (Vec::new(), Vec::new());
        let (included, excluded) = Default::default();
        Self {
            source,
            listing,
            include,
            exclude,
            included,
            excluded,
            rules,
            prefix: 0,
            members,
            entries: 0,
            total: 0,
            open,
        }
    }

    /// Lists this directory, or the base if `dir` is empty; members are unsorted.
    pub(super) fn run(mut self, dir: &str) -> Result<Vec<Member>> {
        let start = self.source.locate(dir);
        let fail = || format!("cannot read `{}`", escape(&start));
        let real = fs::canonicalize(&start).context(fail)?;
        if !real.starts_with(&self.source.real) {
            return Err(escapes(format!("`{}` is a link to a place outside `{}`", escape(dir), self.source)));
        }
        let meta = fs::metadata(&start).context(fail)?;
        if !meta.is_dir() {
            return Err(Error::invalid(format!("`{}` is not a directory", escape(&start))));
        }
        self.prefix = if dir.is_empty() { 0 } else { dir.len() + 1 };
        self.directory(&start, dir, &meta)?;
        if self.listing.all_match {
            self.check_globs()?;
        }
        Ok(self.members)
    }

    /// Errors: a glob matched nothing.
    fn check_globs(&self) -> Result<()> {
        let lists = [(&self.listing.include, &self.included), (&self.listing.exclude, &self.excluded)];
        for (globs, matched) in lists {
            if let Some((_, glob)) = globs.iter().enumerate().find(|(place, _)| !matched.contains(place)) {
                return Err(Error::invalid(format!(
                    "the glob `{}` matches nothing in `{}`",
                    escape(glob),
                    self.source
                )));
            }
        }
        Ok(())
    }

    fn directory(&mut self, dir: &Path, path: &str, meta: &Metadata) -> Result<()> {
        let id = (meta.dev(), meta.ino());
        if self.open.contains(&id) {
            return Err(escapes(format!("`{}` is a link to one of its parent directories", escape(path))));
        }
        if self.open.len() > self.listing.limits.depth {
            let depth = self.listing.limits.depth;
            return Err(Error::limit(format!("`{}` is deeper than {depth} directories", escape(path))));
        }
        self.open.push(id);
        let fail = || format!("cannot read the directory `{}`", escape(dir));
        for entry in fs::read_dir(dir).context(fail)? {
            self.entry(&entry.context(fail)?, path)?;
        }
        self.open.pop();
        Ok(())
    }

    fn entry(&mut self, entry: &DirEntry, parent: &str) -> Result<()> {
        self.entries = self.entries.saturating_add(1);
        if self.entries > self.listing.limits.entries {
            let entries = self.listing.limits.entries;
            return Err(Error::limit(format!("`{}` has more than {entries} entries", self.source)));
        }
        let name = entry.file_name();
        let Some(text) = name.to_str() else {
            return names::component(&name).map(|_| ()).context(|| self.place_of(parent));
        };
        let path = if parent.is_empty() { text.to_owned() } else { format!("{parent}/{text}") };
        let kind = entry.file_type().map_err(|e| vanished(e, &path))?;
        let verdict = self.verdict(&path, kind, &entry.path())?;
        if verdict == Verdict::Left {
            return Ok(());
        }
        names::component(&name).context(|| self.place_of(parent))?;
        self.list(entry, path, kind, verdict)
    }

    /// A directory below the source, for messages.
    fn place_of(&self, parent: &str) -> String {
        if parent.is_empty() { format!("in `{}`", self.source) } else { format!("in `{}`", escape(parent)) }
    }

    fn verdict(&mut self, path: &str, kind: FileType, full: &Path) -> Result<Verdict> {
        let relative = path.get(self.prefix..).unwrap_or(path);
        let effort = &self.source.effort;
        // A glob for a link that is skipped anyway matches something, too.
        if self.exclude.note(relative, &mut self.excluded, effort)?
            || kind.is_symlink() && self.listing.symlinks == Symlinks::Skip
        {
            return Ok(Verdict::Left);
        }
        // If links are followed, a link counts as its target, else as a file, as in git.
        let directory =
            kind.is_dir() || kind.is_symlink() && self.listing.symlinks == Symlinks::Follow && full.is_dir();
        let ignored = self.rules.as_ref().map_or(Ok(false), |rules| rules.ignores(relative, directory))?;
        let reinclude = self.rules.as_ref().is_some_and(Rules::reincludes);
        Ok(match (directory, ignored) {
            (true, true) if reinclude => Verdict::Way,
            (_, true) => Verdict::Left,
            (true, false) if self.include.is_empty() => Verdict::Listed,
            (true, false) => Verdict::Way,
            (false, false) if self.include.is_empty() || self.include.note(relative, &mut self.included, effort)? => {
                Verdict::Listed
            }
            (false, false) => Verdict::Left,
        })
    }

    fn list(&mut self, entry: &DirEntry, path: String, kind: FileType, verdict: Verdict) -> Result<()> {
        if kind.is_symlink() {
            return self.link(&entry.path(), path, verdict);
        }
        // The type of an entry comes with its name; only listed entries need a size.
        if !kind.is_dir() && !kind.is_file() {
            return self.irregular(&path);
        }
        let meta = entry.metadata().map_err(|e| vanished(e, &path))?;
        self.member(&entry.path(), path, &meta, verdict)
    }

    fn member(&mut self, full: &Path, path: String, meta: &Metadata, verdict: Verdict) -> Result<()> {
        if meta.is_file() {
            self.weigh(&path, meta.len())?;
            self.members.push(Member::of(path, MemberKind::File, meta));
            return Ok(());
        }
        if !meta.is_dir() {
            return self.irregular(&path);
        }
        let before = self.members.len();
        self.members.push(Member::of(path.clone(), MemberKind::Directory, meta));
        self.directory(full, &path, meta)?;
        if verdict == Verdict::Way && self.members.len() == before + 1 {
            self.members.pop();
        }
        Ok(())
    }

    fn irregular(&self, path: &str) -> Result<()> {
        match self.listing.irregular {
            Irregular::Skip => Ok(()),
            Irregular::Error => Err(Error::invalid(format!("`{}` is neither a file nor a directory", escape(path)))),
        }
    }

    fn weigh(&mut self, path: &str, len: u64) -> Result<()> {
        let limits = self.listing.limits;
        if len > limits.file {
            let message = format!("`{}` has {len} bytes; the limit for a file is {}", escape(path), limits.file);
            return Err(Error::limit(message));
        }
        self.total = self.total.saturating_add(len);
        if self.total > limits.total {
            return Err(Error::limit(format!("the files of `{}` have more than {} bytes", self.source, limits.total)));
        }
        Ok(())
    }

    fn link(&mut self, full: &Path, path: String, verdict: Verdict) -> Result<()> {
        match self.listing.symlinks {
            Symlinks::Skip => Ok(()),
            Symlinks::Error => Err(Error::invalid(format!("`{}` is a symbolic link", escape(&path)))),
            Symlinks::Follow => self.follow(full, path, verdict),
            Symlinks::Keep => self.keep(full, path),
        }
    }

    fn follow(&mut self, full: &Path, path: String, verdict: Verdict) -> Result<()> {
        let shown = escape(&path);
        let real = fs::canonicalize(full).context(|| format!("cannot follow the link `{shown}`"))?;
        if !real.starts_with(&self.source.real) {
            return Err(escapes(format!("`{shown}` is a link to a place outside `{}`", self.source)));
        }
        let meta = fs::metadata(&real).context(|| format!("cannot follow the link `{shown}`"))?;
        self.member(&real, path, &meta, verdict)
    }

    fn keep(&mut self, full: &Path, path: String) -> Result<()> {
        let target = fs::read_link(full).map_err(|e| vanished(e, &path))?;
        let meta = fs::symlink_metadata(full).map_err(|e| vanished(e, &path))?;
        let target = confined(path.get(self.prefix..).unwrap_or(&path), &target)?;
        self.members.push(Member::of(path, MemberKind::Symlink { target }, &meta));
        Ok(())
    }
}

/// The target of a link at this path. Errors: it leaves the base of the path.
///
/// Only leading `..` are allowed: after a name, the meaning of `..` would depend on links.
fn confined(path: &str, target: &Path) -> Result<String> {
    let leaves = || escapes(format!("`{}` is a link to `{}`, outside the source", escape(path), escape(target)));
    let mut up = path.matches('/').count();
    let mut named = false;
    for part in target.components() {
        match part {
            Component::RootDir | Component::Prefix(_) => return Err(leaves()),
            Component::ParentDir if named => return Err(leaves()),
            Component::ParentDir => up = up.checked_sub(1).ok_or_else(leaves)?,
            Component::CurDir => {}
            Component::Normal(name) => {
                names::component(name).context(|| format!("the link `{}`", escape(path)))?;
                named = true;
            }
        }
    }
    Ok(target.to_string_lossy().into_owned())
}

fn vanished(error: io::Error, path: &str) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::new(Kind::Changed, format!("`{}` vanished during listing", escape(path))),
        _ => Error::from(error).context(format!("cannot read `{}`", escape(path))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_link_stays_inside_whatever_other_links_do() {
        for (path, target, inside) in [
            ("l", "a", true),
            ("l", "a/b", true),
            ("l", "./a", true),
            ("d/l", "../a", true),
            ("d/e/l", "../../a", true),
            ("l", "../a", false),
            ("d/l", "../../a", false),
            ("l", "/etc/passwd", false),
            ("l", "a/../b", false),
            ("l", "a/../../b", false),
        ] {
            assert_eq!(confined(path, Path::new(target)).is_ok(), inside, "{path} -> {target}");
        }
    }

    #[test]
    fn a_kept_link_has_a_target_that_can_be_carried() {
        assert_eq!(confined("l", Path::new("a\nb")).unwrap_err().kind(), Kind::Invalid);
    }
}
