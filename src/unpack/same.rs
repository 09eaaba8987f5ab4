//! Compares existing files with those to write: equal files are not conflicts. A run that was killed while moving files
//! leaves such files, and the next run completes the work.

use std::{
    ffi::CStr,
    fs::File,
    io::{self, BufRead as _, BufReader},
    os::fd::OwnedFd,
};

use rustix::{
    fs::{self, FileType, Mode, OFlags, Stat},
    io::Errno,
};

use crate::oci::{Descriptor, Hasher};

/// Size of reads, in bytes.
const CHUNK: usize = 64 << 10;

/// Whether two files with this name have equal content and permissions, or are links with equal targets. Unreadable
/// files are different.
pub(super) fn same(from: &OwnedFd, to: &OwnedFd, name: &CStr, here: &Stat, there: &Stat) -> io::Result<bool> {
    if (here.st_mode, here.st_size) != (there.st_mode, there.st_size) {
        return Ok(false);
    }
    match FileType::from_raw_mode(here.st_mode) {
        FileType::Symlink => Ok(fs::readlinkat(from, name, Vec::new())? == fs::readlinkat(to, name, Vec::new())?),
        FileType::RegularFile => match (open(from, name)?, open(to, name)?) {
            (Some(here), Some(there)) => equal(here, there),
            _ => Ok(false),
        },
        _ => Ok(false),
    }
}

/// Whether the file with this name has this content.
pub(super) fn has(directory: &OwnedFd, name: &CStr, stat: &Stat, content: &Descriptor) -> io::Result<bool> {
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if !regular || u64::try_from(stat.st_size) != Ok(content.size) {
        return Ok(false);
    }
    let Some(mut file) = open(directory, name)? else { return Ok(false) };
    let mut hasher = Hasher::new(content.digest.algorithm());
    loop {
        let chunk = file.fill_buf()?;
        if chunk.is_empty() {
            return Ok(hasher.finish() == content.digest);
        }
        hasher.update(chunk);
        let len = chunk.len();
        file.consume(len);
    }
}

/// Opens a file; `None` without permission. Does not block if a FIFO has replaced it.
fn open(directory: &OwnedFd, name: &CStr) -> io::Result<Option<BufReader<File>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match fs::openat(directory, name, flags, Mode::empty()) {
        Ok(file) => Ok(Some(BufReader::with_capacity(CHUNK, File::from(file)))),
        Err(Errno::ACCESS | Errno::PERM) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn equal(mut one: BufReader<File>, mut other: BufReader<File>) -> io::Result<bool> {
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let len = left.len().min(right.len());
        if len == 0 {
            return Ok(left.is_empty() && right.is_empty());
        }
        if left.get(..len) != right.get(..len) {
            return Ok(false);
        }
        one.consume(len);
        other.consume(len);
    }
}
