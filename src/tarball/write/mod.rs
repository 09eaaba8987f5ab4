//! The tar writer: equal entries give equal bytes on every machine.
//!
//! The layout is POSIX ustar (pax, "ustar Interchange Format") without owners; values that ustar cannot represent are
//! in extensions. The choices equal those of Go's `archive/tar`, whose tars have published digests: ustar unless an
//! extension is needed, paths split at the last possible `/`, two zero blocks at the end and no padding to a record.

mod header;

use std::io::{self, Read, Write};

pub use header::{BLOCK, Extension, Header, Type};

use crate::error::{Context as _, Error, Kind, Result};

/// Size of reads from a file, in bytes.
const CHUNK: usize = 256 << 10;

/// The number of zero bytes after content of this size, up to the next block.
#[must_use]
pub fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

/// Writes a tar archive. Names and sizes are checked: without an error, the archive is well-formed.
#[derive(Debug)]
pub struct Writer<W> {
    sink: W,
    extension: Extension,
    chunk: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// An empty archive; long names become PAX records.
    pub fn new(sink: W) -> Self {
        Self { sink, extension: Extension::Pax, chunk: Vec::new() }
    }

    /// Writes a directory. Its name may end in `/`, by the caller's choice.
    pub fn directory(&mut self, path: &str, mode: u32, mtime: u64) -> Result<()> {
        self.header(&Header { kind: Type::Directory, path, link: "", mode, mtime, size: 0 })
    }

    /// Writes a symbolic link.
    pub fn symlink(&mut self, path: &str, target: &str, mode: u32, mtime: u64) -> Result<()> {
        self.header(&Header { kind: Type::Symlink, path, link: target, mode, mtime, size: 0 })
    }

    /// Writes a regular file of exactly `size` bytes. Errors: kind `Changed` if `content` is shorter.
    pub fn file(&mut self, path: &str, mode: u32, mtime: u64, size: u64, content: &mut dyn Read) -> Result<()> {
        self.header(&Header { kind: Type::File, path, link: "", mode, mtime, size })?;
        self.chunk.resize(CHUNK, 0);
        let mut left = size;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let room = self.chunk.get_mut(..want).unwrap_or_default();
            let read = match content.read(room) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                other => other.context(|| format!("cannot read `{path}`"))?,
            };
            if read == 0 {
                let message = format!("`{path}` became shorter during reading");
                return Err(Error::new(Kind::Changed, message));
            }
            self.sink.write_all(self.chunk.get(..read).unwrap_or_default())?;
            left = left.saturating_sub(read as u64);
        }
        self.zeros(padding(size))
    }

    /// Writes the end of the archive and returns the sink, not flushed.
    pub fn finish(mut self) -> Result<W> {
        self.zeros(2 * BLOCK as u64)?;
        Ok(self.sink)
    }

    fn header(&mut self, header: &Header<'_>) -> Result<()> {
        Ok(self.sink.write_all(&header.encode(self.extension)?)?)
    }

    fn zeros(&mut self, count: u64) -> Result<()> {
        let zeros = [0; 2 * BLOCK];
        let count = usize::try_from(count).unwrap_or(0);
        Ok(self.sink.write_all(zeros.get(..count).unwrap_or(&zeros))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tarball::read::{MemberKind, Reader};
    use proptest::prelude::*;

    /// What is written, in the words of the reader.
    type Written = (String, MemberKind, Vec<u8>, u32, u64);

    fn written() -> impl Strategy<Value = Written> {
        let path = prop_oneof!["[a-c]{1,3}(/[a-z.é日]{1,60}x){0,5}", "[a-z]{50,150}/[a-z]{50,150}", "[a-z]{95,105}"];
        let kind = prop_oneof![
            3 => Just(MemberKind::File),
            1 => Just(MemberKind::Directory),
            1 => "[a-z/é ]{1,200}".prop_map(MemberKind::Symlink),
        ];
        (path, kind, proptest::collection::vec(any::<u8>(), 0..1500), 0_u32..=0o7777, 0_u64..1 << 33)
    }

    fn write(members: &[Written], extension: Extension) -> Vec<u8> {
        let mut tar = Writer { extension, ..Writer::new(Vec::new()) };
        for (path, kind, data, mode, mtime) in members {
            match kind {
                MemberKind::Directory => tar.directory(path, *mode, *mtime).unwrap(),
                MemberKind::Symlink(target) => tar.symlink(path, target, *mode, *mtime).unwrap(),
                _ => tar.file(path, *mode, *mtime, data.len() as u64, &mut data.as_slice()).unwrap(),
            }
        }
        tar.finish().unwrap()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(members in proptest::collection::vec(written(), 0..8)) {
            for extension in [Extension::Pax, Extension::Gnu] {
                let bytes = write(&members, extension);
                let mut reader = Reader::new(bytes.as_slice(), Default::default());
                for (path, kind, data, mode, mtime) in &members {
                    let member = reader.next_member().unwrap().unwrap();
                    let mut found = Vec::new();
                    reader.data().read_to_end(&mut found).unwrap();
                    prop_assert_eq!(&found, if *kind == MemberKind::File { data } else { &found });
                    prop_assert_eq!((&member.path, &member.kind, member.mode), (path, kind, *mode));
                    prop_assert_eq!(member.mtime.as_secs(), *mtime);
                }
                prop_assert_eq!(reader.next_member().unwrap(), None);
            }
        }
    }

    #[test]
    fn content_that_is_shorter_than_said_is_an_error() {
        let error = Writer::new(Vec::new()).file("f", 0o644, 0, 10, &mut &b"short"[..]).unwrap_err();
        assert_eq!(error.kind(), Kind::Changed);
    }

    #[test]
    fn an_empty_archive_is_two_blocks_of_zeros() {
        assert_eq!(Writer::new(Vec::new()).finish().unwrap(), [0; 1024]);
    }
}
