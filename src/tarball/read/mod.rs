//! The tar reader: strict and within limits.
//!
//! It reads V7, ustar, GNU and PAX headers. Headers that programs are known to read differently are errors, and so are
//! devices, FIFOs, sparse files, unknown types, a missing end marker and data after it. Names are UTF-8 of limited
//! length; the writer of files checks that they are *safe*.

mod extension;
mod header;

use std::{
    io::{self, BufRead, BufReader, Read, Seek},
    time::Duration,
};

use self::{
    extension::Extensions,
    header::{BLOCK, Header},
};
use crate::error::{Context as _, Error, Result};

/// Size limit of a PAX header, long name or long link target, in bytes: that of Go, since archives made on a Mac have resource
/// forks as attributes.
pub const MAX_EXTENSION: u64 = 1 << 20;

/// Limits of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Members, extension headers included.
    pub entries: u64,
    /// Components of a path.
    pub depth: usize,
    /// Bytes of a path or link target.
    pub path: usize,
    /// Bytes of one component.
    pub component: usize,
    /// Bytes of one file.
    pub file: u64,
    /// Bytes of all files together.
    pub total: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 1_000_000, depth: 128, path: 4096, component: 255, file: u64::MAX, total: u64::MAX }
    }
}

/// One member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name in the archive: not empty, without NUL, possibly with a leading `./` or with `..`.
    pub path: String,
    /// The kind of member.
    pub kind: MemberKind,
    /// Bytes of data; 0 except for files.
    pub size: u64,
    /// Permission bits, with set-id and sticky bits.
    pub mode: u32,
    /// Modification time since 1970, until the end of 9999.
    pub mtime: Duration,
    /// Whether the archive has a time before or after these years, to which `mtime` is the nearest.
    pub mtime_moved: bool,
    /// Whether it has extended attributes or the like, which are ignored.
    pub attributes: bool,
}

/// The kind of a member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link to this target, relative to its own directory.
    Symlink(String),
    /// Another name for the member with this name.
    HardLink(String),
    /// A device or FIFO. Only a [lenient](Reader::lenient) reader gives it; for others it is an error.
    Special,
}

/// Reads the members of an archive, one after the other.
#[derive(Debug)]
pub struct Reader<R> {
    source: BufReader<R>,
    limits: Limits,
    entries: u64,
    total: u64,
    /// Unread bytes of the current member.
    left: u64,
    /// Bytes between that data and the next header.
    padding: u64,
    ended: bool,
    strict: bool,
    lenient: bool,
}

impl<R: Read> Reader<R> {
    /// A reader of the archive in `source`, up to its end.
    pub fn new(source: R, limits: Limits) -> Self {
        let source = BufReader::with_capacity(128 << 10, source);
        Self { source, limits, entries: 0, total: 0, left: 0, padding: 0, ended: false, strict: false, lenient: false }
    }

    /// Also checks bytes without meaning: padding must be zeros, and checksums must have a usual format. This detects
    /// flipped bits that change no member.
    #[must_use]
    pub fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    /// Also gives members that no file could be made of: devices and FIFOs, and names that are not UTF-8, which become
    /// similar ones. Modes and times are not read. For those who look for a few members of known names.
    #[must_use]
    pub fn lenient(self) -> Self {
        Self { lenient: true, ..self }
    }

    /// The next member, whose data [`Self::data`] then reads; `None` after reading the source to its end.
    ///
    /// Errors: those in the module documentation, kind `Limit` for exceeded [`Limits`], and those of the source.
    pub fn next_member(&mut self) -> Result<Option<Member>> {
        self.skip().context(|| "tar archive")?;
        self.find_member().context(|| "tar archive")
    }

    /// The unread data of the current member.
    pub fn data(&mut self) -> Data<'_, R> {
        Data(self)
    }

    fn find_member(&mut self) -> Result<Option<Member>> {
        let mut extensions = Extensions::default();
        while let Some(block) = self.block()? {
            let header = Header::new(&block)?;
            if self.strict && !header.has_usual_checksum() {
                return Err(Error::invalid("the checksum of a header has an unusual format"));
            }
            self.entries = self.entries.saturating_add(1);
            if self.entries > self.limits.entries {
                return Err(Error::limit(format!("the archive has more than {} members", self.limits.entries)));
            }
            match header.type_flag() {
                flag @ (b'x' | b'L' | b'K') => {
                    let data = self.extension(&header)?;
                    extensions.take(flag, &data, self.lenient)?;
                }
                b'g' => extension::global(&self.extension(&header)?)?,
                _ => return self.member(&header, extensions).map(Some),
            }
        }
        if !extensions.is_empty() {
            return Err(Error::invalid("an extension header has no member"));
        }
        Ok(None)
    }

    /// The next header block; `None` at the end marker, after reading the rest of the source.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        if self.ended {
            return Ok(None);
        }
        let mut block = [0; BLOCK];
        self.exact(&mut block)?;
        if block.iter().any(|b| *b != 0) {
            return Ok(Some(block));
        }
        self.exact(&mut block)?;
        if block.iter().any(|b| *b != 0) {
            return Err(Error::invalid("unexpected zero block between members"));
        }
        self.drain()?;
        Ok(None)
    }

    /// Reads to the end of the source. Errors: data other than zeros.
    fn drain(&mut self) -> Result<()> {
        loop {
            let rest = self.source.fill_buf()?;
            if rest.is_empty() {
                self.ended = true;
                return Ok(());
            }
            if rest.iter().any(|b| *b != 0) {
                return Err(Error::invalid("unexpected data after the end marker"));
            }
            let len = rest.len();
            self.source.consume(len);
        }
    }

    fn exact(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.source.read_exact(buffer).map_err(truncated)
    }

    /// The data of an extension header. Errors: more than [`MAX_EXTENSION`] bytes.
    fn extension(&mut self, header: &Header<'_>) -> Result<Vec<u8>> {
        let size = header.size()?;
        if size > MAX_EXTENSION {
            return Err(Error::limit(format!("the extension header has {size} bytes; the limit is {MAX_EXTENSION}")));
        }
        let mut data = vec![0; usize::try_from(size).unwrap_or_default()];
        self.exact(&mut data)?;
        (self.left, self.padding) = (0, padding(size));
        self.skip()?;
        Ok(data)
    }

    fn member(&mut self, header: &Header<'_>, found: Extensions) -> Result<Member> {
        let path = found.path.clone().map_or_else(|| header.path(self.lenient), Ok)?;
        let member = self.describe(header, &path, found).context(|| quoted_name(&path))?;
        (self.left, self.padding) = (member.size, padding(member.size));
        Ok(Member { path, ..member })
    }

    fn describe(&mut self, header: &Header<'_>, path: &str, found: Extensions) -> Result<Member> {
        self.check_path(path)?;
        let size = found.size.map_or_else(|| header.size(), Ok)?;
        let kind = self.kind(header, path, found.link)?;
        if size != 0 && kind != MemberKind::File {
            return Err(Error::invalid(format!("unexpected data ({size} bytes): the member is not a file")));
        }
        self.count(size)?;
        let (mode, (mtime, mtime_moved)) = if self.lenient {
            (0, (Duration::ZERO, false))
        } else {
            let time = found.mtime.map_or_else(|| header.mtime(), Ok)?;
            (header.mode()?, (time.since_1970, time.moved))
        };
        Ok(Member { path: String::new(), kind, size, mode, mtime, mtime_moved, attributes: found.attributes })
    }

    fn count(&mut self, size: u64) -> Result<()> {
        self.total = self.total.saturating_add(size);
        if size > self.limits.file || self.total > self.limits.total {
            let Limits { file, total, .. } = self.limits;
            return Err(Error::limit(format!(
                "the file exceeds the limits of {file} bytes per file and {total} bytes in total"
            )));
        }
        Ok(())
    }

    fn kind(&self, header: &Header<'_>, path: &str, link: Option<String>) -> Result<MemberKind> {
        let target = || {
            let target = link.clone().map_or_else(|| header.link(self.lenient), Ok)?;
            if target.is_empty() || target.len() > self.limits.path {
                return Err(Error::invalid("the link target is empty or too long"));
            }
            Ok(target)
        };
        match (header.type_flag(), path.ends_with('/')) {
            // In V7, a final slash marks a directory.
            (0, true) | (b'5', _) => Ok(MemberKind::Directory),
            (0 | b'0', false) => Ok(MemberKind::File),
            (b'0', true) => Err(Error::invalid("the name of a file ends with a slash")),
            (b'1', _) => Ok(MemberKind::HardLink(target()?)),
            (b'2', _) => Ok(MemberKind::Symlink(target()?)),
            (b'3' | b'4' | b'6', _) if self.lenient => Ok(MemberKind::Special),
            (b'3' | b'4', _) => Err(Error::unsupported("devices are not supported")),
            (b'6', _) => Err(Error::unsupported("FIFOs are not supported")),
            (b'S', _) => Err(Error::unsupported("sparse files are not supported")),
            (flag, _) => Err(Error::unsupported(format!("members of type `{}` are not supported", char::from(flag)))),
        }
    }

    fn check_path(&self, path: &str) -> Result<()> {
        let Limits { path: max, component, depth, .. } = self.limits;
        if path.is_empty() {
            return Err(Error::invalid("the member has no name"));
        }
        if path.len() > max {
            return Err(Error::limit(format!("the name has {} bytes; the limit is {max}", path.len())));
        }
        if path.split('/').any(|c| c.len() > component) {
            return Err(Error::limit(format!("a component of the name is longer than {component} bytes")));
        }
        if path.split('/').filter(|c| !matches!(*c, "" | ".")).count() > depth {
            return Err(Error::limit(format!("the name is more than {depth} directories deep")));
        }
        Ok(())
    }

    /// Skips the rest of the current member.
    fn skip(&mut self) -> Result<()> {
        let (data, padding) = (std::mem::take(&mut self.left), std::mem::take(&mut self.padding));
        self.pass(data, false)?;
        self.pass(padding, self.strict)
    }

    /// Skips `left` bytes. Errors: `zeros` is set and one is not zero.
    fn pass(&mut self, mut left: u64, zeros: bool) -> Result<()> {
        while left > 0 {
            let bytes = self.source.fill_buf()?;
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            if step == 0 {
                return Err(ends_early());
            }
            if zeros && bytes.iter().take(step).any(|b| *b != 0) {
                return Err(Error::invalid("the padding of a member is not zeros"));
            }
            self.source.consume(step);
            left = left.saturating_sub(step as u64);
        }
        Ok(())
    }
}

impl<R: Read + Seek> Reader<R> {
    /// Seeks past the data of the current member, and returns its offset in the source. The next call of
    /// [`Self::next_member`] detects a source that ends within the data.
    pub fn jump(&mut self) -> Result<u64> {
        let start = self.source.stream_position()?;
        let mut left = std::mem::take(&mut self.left);
        // Bytes to check must be read.
        if !self.strict {
            left = left.saturating_add(std::mem::take(&mut self.padding));
        }
        match i64::try_from(left) {
            Ok(left) => self.source.seek_relative(left)?,
            Err(_) => return Err(ends_early()),
        }
        Ok(start)
    }
}

/// The data of one member. A source that ends before its last byte is an error.
#[derive(Debug)]
pub struct Data<'a, R>(&'a mut Reader<R>);

impl<R: Read> BufRead for Data<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.0.left == 0 {
            return Ok(&[]);
        }
        let buffer = self.0.source.fill_buf()?;
        if buffer.is_empty() {
            return Err(ends_early().context("tar archive").into());
        }
        let len = usize::try_from(self.0.left).unwrap_or(usize::MAX).min(buffer.len());
        Ok(buffer.get(..len).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        let amount = usize::try_from(self.0.left).unwrap_or(usize::MAX).min(amount);
        self.0.left = self.0.left.saturating_sub(amount as u64);
        self.0.source.consume(amount);
    }
}

impl<R: Read> Read for Data<'_, R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let len = self.fill_buf()?.read(target)?;
        self.consume(len);
        Ok(len)
    }
}

/// A name for a message: in backticks, and shortened.
#[must_use]
pub fn quoted_name(name: &str) -> String {
    const SHOWN: usize = 120;
    let more = if name.chars().nth(SHOWN).is_some() { "…" } else { "" };
    let shown: String = name.chars().take(SHOWN).collect();
    format!("`{shown}{more}`")
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

fn ends_early() -> Error {
    Error::mismatch("the archive ends before its end marker")
}

fn truncated(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::UnexpectedEof { ends_early() } else { error.into() }
}
