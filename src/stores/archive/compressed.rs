//! Compressed archives: decompressed once into a temporary file, since reading is by offset.

use std::{
    fs::File,
    io::{Read, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use crate::{
    blob::CHUNK,
    error::{Context as _, Error, Kind, Result},
    fs::Room,
    plan::Compression,
    progress::{Event, Observer},
    tarball::decompress::{Decompressed, allowance},
};

/// Ends of names of compressed tar files.
pub(crate) const ENDS: [&str; 10] =
    [".tar.gz", ".tgz", ".tar.zst", ".tar.zstd", ".tzst", ".tar.xz", ".txz", ".tar.bz2", ".tbz", ".tbz2"];

/// How a compressed archive is decompressed for reading: into a file that has no name, and whose room is free again when
/// the last handle of the archive is dropped, or the process ends.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Decompression {
    /// The directory of the temporary file.
    pub scratch: PathBuf,
    /// The most bytes that an archive may become; by default 100 times its size, at least 1 GiB.
    pub limit: Option<u64>,
    /// Observer of progress.
    pub progress: Observer,
}

impl Decompression {
    /// With a temporary file in this directory, and the default limit.
    pub fn new(scratch: impl Into<PathBuf>) -> Self {
        Self { scratch: scratch.into(), limit: None, progress: Observer::default() }
    }
}

/// What an archive is compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Gzip,
    Zstd,
    Xz,
    Bzip2,
}

impl Format {
    /// The format of a file, by its first bytes alone; `None` for one that is not compressed.
    pub(super) fn of(file: &File) -> Result<Option<Self>> {
        let mut start = [0; 10];
        let read = file.read_at(&mut start, 0)?;
        Ok(Self::sniff(start.get(..read).unwrap_or_default()))
    }

    fn sniff(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // A zstd stream may start with a skippable frame (RFC 8878, 3.1.2).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, ..] => Some(Self::Bzip2),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        }
    }

    /// The command that makes a plain tar.
    fn command(self) -> &'static str {
        match self {
            Self::Gzip => "gzip -dc FILE > PLAIN.tar",
            Self::Zstd => "zstd -dc FILE > PLAIN.tar",
            Self::Xz => "xz -dc FILE > PLAIN.tar",
            Self::Bzip2 => "bzip2 -dc FILE > PLAIN.tar",
        }
    }

    /// The error for an archive that would have to be written, or read in place.
    pub(super) fn refuse(self) -> Error {
        let (name, command) = (self.name(), self.command());
        Error::unsupported(format!(
            "the archive is compressed with {name}: it can be read, but not written; `{command}` makes a plain one"
        ))
    }

    /// The plain tar in a file of this format. Blocks on the file system.
    ///
    /// Errors: a format that is not read (kind `Unsupported`); damaged data (`Mismatch`); more bytes than the limit
    /// (`Limit`); too little room for them (`NoSpace`).
    pub(super) fn decompress(self, file: &File, path: &Path, how: &Decompression) -> Result<File> {
        let (name, command) = (self.name(), self.command());
        let compression = match self {
            Self::Gzip => Compression::Gzip(0),
            Self::Zstd => Compression::Zstd(0),
            Self::Xz | Self::Bzip2 => {
                let message = format!("archives compressed with {name} are not read; `{command}` makes a plain one");
                return Err(Error::unsupported(message));
            }
        };
        let size = file.metadata()?.len();
        how.progress.tell(Event::Decompressing { archive: path.display().to_string(), bytes: size });
        let limit = how.limit.unwrap_or_else(|| allowance(size));
        let source = Counted { file, at: 0, progress: &how.progress };
        let data = Decompressed::new(source, compression, limit)?;
        spool(data, &how.scratch).map_err(|e| match e.kind() {
            Kind::Limit => Error::limit(format!("{}; `{command}` has no such limit", e.message())),
            _ => e,
        })
    }
}

/// Writes data into a file without a name, as long as enough of the disk stays free.
fn spool(mut data: Decompressed<'_>, scratch: &Path) -> Result<File> {
    let here = || format!("cannot write a temporary file in `{}`", scratch.display());
    let disk = |e: Error| e.with_path(scratch);
    let mut room = Room::below(scratch, File::open(scratch).map_err(Error::from).map_err(disk).context(here)?);
    let mut file = tempfile::tempfile_in(scratch).map_err(Error::from).map_err(disk).context(here)?;
    let mut chunk = vec![0; CHUNK];
    loop {
        let len = data.read(&mut chunk)?;
        let Some(part) = chunk.get(..len).filter(|part| !part.is_empty()) else { return Ok(file) };
        room.write(len).map_err(disk).context(here)?;
        file.write_all(part).map_err(Error::from).map_err(disk).context(here)?;
    }
}

/// Reads a file from its start, and tells how far it is.
struct Counted<'a> {
    file: &'a File,
    at: u64,
    progress: &'a Observer,
}

impl Read for Counted<'_> {
    fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
        let len = self.file.read_at(target, self.at)?;
        self.at = self.at.saturating_add(len as u64);
        self.progress.tell(Event::Read(len as u64));
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_known_by_its_first_bytes() {
        for (start, format) in [
            (&b"\x1f\x8b\x08\0"[..], Some(Format::Gzip)),
            (b"\x28\xb5\x2f\xfd", Some(Format::Zstd)),
            (b"\x50\x2a\x4d\x18\x03\0\0\0", Some(Format::Zstd)),
            (b"\xfd7zXZ\0", Some(Format::Xz)),
            (b"BZh91AY&SY", Some(Format::Bzip2)),
            (b"BZh/a/file", None),
            (b"oci-layout", None),
            (b"\x1f", None),
            (b"", None),
        ] {
            assert_eq!(Format::sniff(start), format, "{start:?}");
        }
    }
}
