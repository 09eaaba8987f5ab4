//! Reading whole files, up to a limit.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    path::Path,
};

use rustix::fs::{Mode, OFlags};

use crate::error::{Code, Context as _, Error, Kind, Result};

/// All bytes of a reader; `None` if they exceed `limit`.
pub fn up_to(from: impl Read, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    from.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(within(bytes, limit))
}

/// Like [`up_to`], for the largest of what is read: see [`returning`].
pub(crate) fn large_up_to(from: impl Read, size: u64, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = returning(usize::try_from(size.min(limit)).unwrap_or_default());
    from.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(within(bytes, limit))
}

/// An empty vector for so many elements, whose memory goes back to the system when it is dropped, however many come and
/// go on however many threads.
///
/// glibc maps what is larger than its threshold and returns it at once; but what was mapped and is freed becomes the
/// new threshold, up to 32 MiB, and from then on every thread keeps up to twice as much (mallopt(3), `M_MMAP_THRESHOLD`,
/// 2.41). So what takes a mebibyte or more is given room for more than 32. Only pages that are written to take memory.
pub(crate) fn returning<T>(count: usize) -> Vec<T> {
    const LARGE: usize = 1 << 20;
    const MAPPED: usize = (32 << 20) + 1;
    let (size, mut all) = (size_of::<T>().max(1), Vec::new());
    let room = if count.saturating_mul(size) < LARGE { count } else { count.max(MAPPED.div_ceil(size)) };
    // Where the address space is limited, it grows as any other.
    let _ = all.try_reserve_exact(room);
    all
}

pub(super) fn within(bytes: Vec<u8>, limit: u64) -> Option<Vec<u8>> {
    (bytes.len() as u64 <= limit).then_some(bytes)
}

/// The bytes of a file named by the user. It may be a pipe (`<(…)`, `/dev/stdin`), which is read to its end.
///
/// Errors name the file: it cannot be read; it exceeds `limit` bytes (kind `Limit`).
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    all(File::open(path).context(|| cannot_read(path))?, path, limit)
}

/// Like [`read()`], as text. Errors: also text that is not UTF-8 (kind `Invalid`).
pub fn read_text(path: &Path, limit: u64) -> Result<String> {
    text(read(path, limit)?, path)
}

pub(crate) fn text(bytes: Vec<u8>, path: &Path) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| Error::invalid(format!("`{}` is not UTF-8", path.display())))
}

pub(super) fn all(file: File, path: &Path, limit: u64) -> Result<Vec<u8>> {
    let bytes = up_to(file, limit).context(|| cannot_read(path))?;
    bytes.ok_or_else(|| Error::limit(format!("`{}` is larger than {limit} bytes, the maximum", path.display())))
}

/// Opens a regular file without blocking on a FIFO or a device.
pub(crate) fn open_regular(path: &Path) -> Result<(File, Metadata)> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from).context(|| cannot_read(path))?;
    regular(File::from(file), path)
}

/// The file with its metadata. Errors: kind `Invalid` if it is not a regular file.
pub(crate) fn regular(file: File, path: &Path) -> Result<(File, Metadata)> {
    let meta = file.metadata().context(|| cannot_read(path))?;
    if !meta.is_file() {
        let message = format!("`{}` is not a regular file", path.display());
        return Err(Error::new(Kind::Invalid, message).with_code(Code::NotARegularFile).with_path(path));
    }
    Ok((file, meta))
}

fn cannot_read(path: &Path) -> String {
    format!("cannot read `{}`", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_bytes_as_are_allowed_are_read_and_not_one_more() {
        for (len, fits) in [(0, true), (3, true), (4, false)] {
            let bytes = vec![7; len];
            let expected = fits.then(|| bytes.clone());
            assert_eq!(up_to(&bytes[..], 3).unwrap(), expected, "{len}");
        }
        assert_eq!(up_to(&b"abc"[..], u64::MAX).unwrap().unwrap(), b"abc");
    }

    #[test]
    fn a_file_over_the_limit_is_an_error_that_names_it_and_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.txt");
        // The limit cuts a character in two: that is not what is wrong with the file.
        std::fs::write(&path, "aäb").unwrap();
        let reading: [fn(&Path) -> Result<usize>; 2] =
            [|path| read(path, 2).map(|bytes| bytes.len()), |path| read_text(path, 1).map(|text| text.len())];
        for (read, limit) in reading.iter().zip([2, 1]) {
            let error = read(&path).unwrap_err();
            assert_eq!(error.kind(), Kind::Limit);
            assert!(
                error.to_string().ends_with(&format!("notes.txt` is larger than {limit} bytes, the maximum")),
                "{error}"
            );
        }
        assert_eq!(read_text(&path, 4).unwrap(), "aäb");
    }

    #[test]
    fn what_is_not_there_and_what_is_no_text_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.txt");
        let error = read(&path, 9).unwrap_err();
        assert!(error.kind() == Kind::NotFound && error.to_string().contains("notes.txt`: "), "{error}");
        std::fs::write(&path, b"\xff").unwrap();
        let error = read_text(&path, 9).unwrap_err();
        assert!(error.kind() == Kind::Invalid && error.to_string().ends_with("notes.txt` is not UTF-8"), "{error}");
    }

    #[test]
    fn what_is_large_has_room_that_glibc_maps_and_never_keeps() {
        for (count, room) in [(0, 0), (1000, 1000), (1 << 17, (4 << 20) + 1)] {
            let all = super::returning::<u64>(count);
            assert_eq!((all.len(), all.capacity()), (0, room), "{count}");
        }
        let bytes = super::large_up_to(&b"abc"[..], 3, 3).unwrap();
        assert_eq!(bytes.as_deref(), Some(&b"abc"[..]));
        assert_eq!(super::large_up_to(&b"abcd"[..], 3, 3).unwrap(), None, "it grew meanwhile");
    }
}
