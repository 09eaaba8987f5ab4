//! What a directory holds, as values that can be compared.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// All that is below a directory, by relative path.
fn walk<T>(dir: &Path, of: impl Fn(&Path, &fs::Metadata) -> T) -> BTreeMap<PathBuf, T> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            if meta.is_dir() {
                left.push(path.clone());
            }
            found.insert(path.strip_prefix(dir).unwrap().to_owned(), of(&path, &meta));
        }
    }
    found
}

/// The bytes of a file, the target of a link, nothing for a directory.
fn bytes(path: &Path, meta: &fs::Metadata) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt as _;
    if meta.is_symlink() {
        return fs::read_link(path).unwrap().as_os_str().as_bytes().to_vec();
    }
    if meta.is_file() { fs::read(path).unwrap() } else { Vec::new() }
}

/// Everything that tells whether somebody touched something: inodes, modes, times, owners, content.
pub(crate) fn state(dir: &Path) -> BTreeMap<PathBuf, impl PartialEq + std::fmt::Debug + use<>> {
    walk(dir, |path, meta| {
        let times = (meta.mtime(), meta.mtime_nsec());
        (meta.ino(), meta.mode(), meta.uid(), meta.gid(), meta.nlink(), times, bytes(path, meta))
    })
}

/// Names and content: `d/` for a directory, `l@` for a link.
pub(crate) fn content(dir: &Path) -> BTreeMap<String, String> {
    let all = walk(dir, |path, meta| {
        let mark = if meta.is_dir() {
            "/"
        } else if meta.is_symlink() {
            "@"
        } else {
            ""
        };
        (mark, String::from_utf8(bytes(path, meta)).unwrap())
    });
    all.into_iter().map(|(path, (mark, text))| (format!("{}{mark}", path.display()), text)).collect()
}

/// What two unpackers should agree on: kind, permissions without write for others, time in seconds, content.
pub(crate) fn unpacked(dir: &Path) -> BTreeMap<PathBuf, impl PartialEq + std::fmt::Debug + use<>> {
    walk(dir, |path, meta| {
        let mode = if meta.is_symlink() { 0 } else { meta.mode() & 0o755 };
        // Directories that nobody gave a time have that of their making.
        let mtime = if meta.mtime() > 1_767_225_600 { -1 } else { meta.mtime() };
        (meta.file_type(), mode | if meta.is_dir() { 0o700 } else { 0 }, mtime, bytes(path, meta))
    })
}
