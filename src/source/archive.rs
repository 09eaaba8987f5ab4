//! Reads a tar archive in the source: names, and single members in memory. Nothing is unpacked.

use std::{
    collections::{BTreeMap, HashSet},
    io::{Cursor, Read, Seek as _},
    sync::Arc,
};

use super::{
    Limits, Member, MemberKind, Source,
    globs::relative_globs,
    names::{escape, relative},
    probe::Magic,
};
use crate::{
    error::{Context as _, Error, Kind, Result},
    glob::Effort,
    plan::Compression,
    tarball::{
        decompress::{Decompressed, allowance},
        read,
    },
};

/// Limit of files of one name that are read.
const MAX_SAME: usize = 16;

/// A tar archive, plain or compressed with gzip or zstd.
#[derive(Debug, Clone)]
pub struct Archive {
    content: Content,
    shown: String,
    compress: Compression,
    len: u64,
    /// Number of leading components to strip from names.
    strip: usize,
}

/// Where the bytes of an archive are.
#[derive(Debug, Clone)]
enum Content {
    File(Source, String),
    Memory(Arc<[u8]>),
}

impl Source {
    /// Opens the tar archive at this relative path; its first bytes determine the compression.
    ///
    /// `strip` leading components are stripped from the names of members. Errors: those of [`Source::resolve`]; not a
    /// tar archive, or a compression other than gzip and zstd.
    pub fn archive(&self, path: &str, strip: usize) -> Result<Archive> {
        let member = self.resolve(path)?;
        let shown = escape(&member.path);
        let compress = compression(self.magic(&member.path)?, &shown)?;
        let content = Content::File(self.clone(), member.path);
        Ok(Archive { content, shown, compress, len: member.len, strip })
    }
}

/// The compression of an archive with these first bytes. Errors: it is none.
fn compression(magic: Option<Magic>, shown: &str) -> Result<Compression> {
    match magic {
        Some(Magic::Gzip) => Ok(Compression::Gzip(0)),
        Some(Magic::Zstd) => Ok(Compression::Zstd(0)),
        Some(Magic::Tar) => Ok(Compression::None),
        _ => Err(Error::invalid(format!("`{shown}` is not a tar archive, plain or compressed with gzip or zstd"))),
    }
}

impl Archive {
    /// An archive in memory; `name` is for messages. See [`Source::archive`].
    pub fn in_memory(bytes: Vec<u8>, name: &str, strip: usize) -> Result<Self> {
        let shown = escape(name);
        let compress = compression(Magic::of(&bytes), &shown)?;
        let len = bytes.len() as u64;
        Ok(Self { content: Content::Memory(bytes.into()), shown, compress, len, strip })
    }

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

    /// The bytes of the files with this stripped name, at least one, in their order; unpacking leaves the last.
    ///
    /// Errors: kind `NotFound` if there is none; more than `most` bytes; a malformed archive, or one beyond the limits.
    pub fn read(&self, path: &str, limits: Limits, most: u64) -> Result<Vec<Vec<u8>>> {
        let path = relative(path)?;
        let mut found = self.gather(limits, most, |name| Ok(name == path))?.files;
        found.remove(&path).ok_or_else(|| Error::not_found(format!("`{}` is not in `{}`", escape(&path), self.shown)))
    }

    /// The bytes of all files with such stripped names.
    ///
    /// Errors: a malformed archive, or one beyond the limits; a name that is unsafe; of what is wanted, a file with more
    /// than `most` bytes, or more than 16 of one name; those of `wanted`.
    pub fn gather(&self, limits: Limits, most: u64, mut wanted: impl FnMut(&str) -> Result<bool>) -> Result<Gathered> {
        let mut gathered = Gathered::default();
        self.each(limits, |member, mut data| {
            gathered.total = gathered.total.saturating_add(member.size);
            let name = self.stripped(&member.path)?;
            if member.kind != read::MemberKind::File {
                return Ok(true);
            }
            let name = name.ok_or_else(|| outside(&member.path))?;
            if wanted(&name)? {
                let same = gathered.files.entry(name).or_default();
                if same.len() >= MAX_SAME {
                    let message = format!("`{}` is in the archive more than {MAX_SAME} times", escape(&member.path));
                    return Err(Error::limit(message));
                }
                same.push(bytes(member, &mut data, most)?);
            }
            Ok(true)
        })?;
        Ok(gathered)
    }

    /// Whether a file or directory in the archive matches this glob, as it is named or without `.` components. Reading
    /// stops at the first match.
    ///
    /// Errors: a malformed glob; the effort is exhausted; a malformed archive, or one beyond the limits.
    pub(super) fn contains(&self, glob: &str, effort: &Effort) -> Result<bool> {
        let globs = relative_globs(&[glob.to_owned()])?;
        let mut found = false;
        self.each(Limits::default(), |member, _| {
            let short = self.stripped(&member.path).ok().flatten();
            found = globs.matches(&member.path, effort)?
                || short.map_or(Ok(false), |short| globs.matches(&short, effort))?;
            Ok(!found)
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
            let mut reader = read::Reader::new(self.decompressed()?, limits_of(limits));
            while let Some(member) = reader.next_member()? {
                if !see(&member, reader.data())? {
                    break;
                }
            }
            Ok(())
        };
        walk().map_err(|e: Error| e.context(self.shown.clone()))
    }

    fn decompressed(&self) -> Result<Decompressed<'static>> {
        let bytes: Box<dyn Read + Send> = match &self.content {
            Content::File(source, path) => {
                let mut file = source.open_file(path)?;
                file.rewind()?;
                Box::new(file)
            }
            Content::Memory(bytes) => Box::new(Cursor::new(Arc::clone(bytes))),
        };
        Decompressed::new(bytes, self.compress, allowance(self.len))
    }

    fn member(&self, found: &read::Member) -> Result<Option<Member>> {
        let Some(path) = self.stripped(&found.path)? else {
            return match found.kind {
                read::MemberKind::Directory => Ok(None),
                _ => Err(outside(&found.path)),
            };
        };
        let kind = match &found.kind {
            read::MemberKind::File => MemberKind::File,
            read::MemberKind::Directory => MemberKind::Directory,
            read::MemberKind::Symlink(target) => MemberKind::Symlink { target: target.clone() },
            read::MemberKind::Special => {
                return Err(Error::unsupported(format!("`{}` is a device or FIFO", escape(&found.path))));
            }
            read::MemberKind::HardLink(_) => {
                return Err(Error::unsupported(format!(
                    "`{}` is a hard link, which is not supported",
                    escape(&found.path)
                )));
            }
        };
        Ok(Some(Member { path, kind, len: found.size, mode: found.mode, mtime: found.mtime.as_secs() }))
    }

    /// A stripped name; `None` if it is empty. A leading `.` counts as a component, as for Helm and `tar`; a leading `/`
    /// is dropped.
    fn stripped(&self, name: &str) -> Result<Option<String>> {
        let whole = name.trim_start_matches('/');
        if !whole.is_empty() {
            relative(whole)?;
        }
        let rest = match self.strip {
            0 => whole,
            strip => name.splitn(strip + 1, '/').nth(strip).unwrap_or_default(),
        };
        if rest.is_empty() {
            return Ok(None);
        }
        relative(rest).map(|short| Some(short).filter(|short| !short.is_empty()))
    }
}

/// Files of an archive, by their stripped names.
#[derive(Debug, Default)]
pub struct Gathered {
    /// The wanted ones; of one name, all in their order.
    pub files: BTreeMap<String, Vec<Vec<u8>>>,
    /// Bytes of all files of the archive.
    pub total: u64,
}

/// The bytes of a member. Errors: more than `most`.
fn bytes(member: &read::Member, data: &mut impl Read, most: u64) -> Result<Vec<u8>> {
    if member.size > most {
        let message = format!("`{}` has {} bytes; the limit is {most}", escape(&member.path), member.size);
        return Err(Error::limit(message));
    }
    let mut bytes = Vec::new();
    data.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn outside(name: &str) -> Error {
    Error::invalid(format!("`{}` is outside the archive's top directory", escape(name)))
}

fn limits_of(limits: Limits) -> read::Limits {
    let Limits { file, total, entries, depth } = limits;
    read::Limits { file, total, entries, depth, ..read::Limits::default() }
}
