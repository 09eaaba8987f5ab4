//! Reads a tar archive in the source: names, and single members in memory. Nothing is unpacked.

use std::{
    collections::HashSet,
    fs::File,
    io::{Read as _, Seek as _},
};

use super::{
    Limits, Member, MemberKind, Source,
    globs::Globs,
    names::{escape, relative},
    probe::Magic,
};
use crate::{
    error::{Context as _, Error, Kind, Result},
    plan::Compression,
    tarball::{
        decompress::{Decompressed, allowance},
        read,
    },
};

/// A tar archive, plain or compressed with gzip or zstd.
#[derive(Debug, Clone)]
pub struct Archive {
    source: Source,
    path: String,
    shown: String,
    compress: Compression,
    len: u64,
    /// Number of leading components to strip from names.
    strip: usize,
}

impl Source {
    /// Opens the tar archive at this relative path; its first bytes determine the compression.
    ///
    /// `strip` leading components are stripped from the names of members. Errors: those of [`Source::resolve`]; not a
    /// tar archive, or a compression other than gzip and zstd.
    pub fn archive(&self, path: &str, strip: usize) -> Result<Archive> {
        let member = self.resolve(path)?;
        let shown = escape(&member.path);
        let compress = match self.magic(&member.path)? {
            Some(Magic::Gzip) => Compression::Gzip(0),
            Some(Magic::Zstd) => Compression::Zstd(0),
            Some(Magic::Tar) => Compression::None,
            _ => {
                return Err(Error::invalid(format!(
                    "`{shown}` is not a tar archive, plain or compressed with gzip or zstd"
                )));
            }
        };
        Ok(Archive { source: self.clone(), path: member.path, shown, compress, len: member.len, strip })
    }
}

impl Archive {
    /// All members, sorted byte-lexically by stripped name.
    ///
    /// Errors: the archive is malformed or exceeds a limit; a name contains `..`, is a duplicate, or has
    /// too few components to strip; a hard link.
    pub fn list(&self, limits: Limits) -> Result<Vec<Member>> {
        let mut members = Vec::new();
        self.each(limits, |found, _| {
            members.extend(self.member(found)?);
            Ok(true)
        })?;
        members.sort_by(|a, b| a.path.cmp(&b.path));
        let mut seen = HashSet::new();
        match members.iter().find(|member| !seen.insert(&member.path)) {
            Some(twice) => Err(Error::new(Kind::Exists, format!("`{}` is in the archive twice", escape(&twice.path))))
                .context(|| self.shown.clone()),
            None => Ok(members),
        }
    }

    /// The bytes of the first file with this stripped name.
    ///
    /// Errors: kind `NotFound` if there is none; more than `limit` bytes; a malformed member before it.
    pub fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>> {
        let path = relative(path)?;
        match self.first(limit, |name| self.stripped(name).is_ok_and(|short| short == Some(path.clone())))? {
            Some((_, bytes)) => Ok(bytes),
            None => Err(Error::not_found(format!("`{}` is not in `{}`", escape(&path), self.shown))),
        }
    }

    /// Stripped name and bytes of the first file that matches this glob.
    pub fn find(&self, glob: &str, limit: u64) -> Result<Option<(String, Vec<u8>)>> {
        let globs = Globs::new(&[glob.to_owned()])?;
        let matches = |name: &str| matches!(self.stripped(name), Ok(Some(short)) if globs.matches(&short));
        let found = self.first(limit, matches)?;
        found.map(|(name, bytes)| Ok((self.stripped(&name)?.unwrap_or_default(), bytes))).transpose()
    }

    /// Whether a file or directory in the archive matches this glob. Reading stops at the first match.
    pub fn contains(&self, glob: &str) -> Result<bool> {
        let globs = Globs::new(&[glob.to_owned()])?;
        let mut found = false;
        self.each(Limits::default(), |member, _| {
            found = matches!(self.stripped(&member.path), Ok(Some(short)) if globs.matches(&short));
            Ok(!found)
        })?;
        Ok(found)
    }

    fn first(&self, limit: u64, matches: impl Fn(&str) -> bool) -> Result<Option<(String, Vec<u8>)>> {
        let mut found = None;
        self.each(Limits::default(), |member, mut data| {
            if member.kind != read::MemberKind::File || !matches(&member.path) {
                return Ok(true);
            }
            if member.size > limit {
                let message = format!("`{}` has {} bytes; the limit is {limit}", escape(&member.path), member.size);
                return Err(Error::limit(message));
            }
            let mut bytes = Vec::new();
            data.read_to_end(&mut bytes)?;
            found = Some((member.path.clone(), bytes));
            Ok(false)
        })?;
        Ok(found)
    }

    /// Calls `see` for each member until it stops.
    fn each(
        &self,
        limits: Limits,
        mut see: impl FnMut(&read::Member, read::Data<'_, Decompressed<'_>>) -> Result<bool>,
    ) -> Result<()> {
        let mut walk = || {
            let mut reader =
                read::Reader::new(self.decompressed(self.source.open_file(&self.path)?)?, limits_of(limits));
            while let Some(member) = reader.next_member()? {
                if !see(&member, reader.data())? {
                    break;
                }
            }
            Ok(())
        };
        walk().map_err(|e: Error| e.context(self.shown.clone()))
    }

    fn decompressed(&self, mut file: File) -> Result<Decompressed<'static>> {
        file.rewind()?;
        Decompressed::new(file, self.compress, allowance(self.len))
    }

    fn member(&self, found: &read::Member) -> Result<Option<Member>> {
        let Some(path) = self.stripped(&found.path)? else {
            return match found.kind {
                read::MemberKind::Directory => Ok(None),
                _ => Err(Error::invalid(format!("`{}` is outside the archive's top directory", escape(&found.path)))),
            };
        };
        let kind = match &found.kind {
            read::MemberKind::File => MemberKind::File,
            read::MemberKind::Directory => MemberKind::Directory,
            read::MemberKind::Symlink(target) => MemberKind::Symlink { target: target.clone() },
            read::MemberKind::HardLink(_) => {
                return Err(Error::unsupported(format!(
                    "`{}` is a hard link, which is not supported",
                    escape(&found.path)
                )));
            }
        };
        Ok(Some(Member { path, kind, len: found.size, mode: found.mode, mtime: found.mtime.as_secs() }))
    }

    /// A stripped name; `None` if it is empty. A slash at the start is dropped, as by all tar programs.
    fn stripped(&self, name: &str) -> Result<Option<String>> {
        let path = relative(name.trim_start_matches('/'))?;
        let short = path.splitn(self.strip + 1, '/').nth(self.strip).unwrap_or_default();
        Ok((!short.is_empty()).then(|| short.to_owned()))
    }
}

fn limits_of(limits: Limits) -> read::Limits {
    let Limits { file, total, entries, depth } = limits;
    read::Limits { file, total, entries, depth, ..read::Limits::default() }
}
