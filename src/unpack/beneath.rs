//! Directories opened beneath another one, never through a link.

use std::os::fd::{AsFd, OwnedFd};

use rustix::{
    fs::{self, AtFlags, FileType, Mode, OFlags, Stat},
    io::Errno,
};

/// How a directory is opened: it must be one itself, not a link to one.
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens the directory at this path beneath `root`; no component may be a link, and none may lead out.
pub(super) fn open(root: impl AsFd, path: &str) -> rustix::io::Result<OwnedFd> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::ResolveFlags;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let start = if path.is_empty() { "." } else { path };
        match fs::openat2(root.as_fd(), start, DIRECTORY, Mode::empty(), resolve) {
            // Before Linux 5.6, where a sandbox filters the call, or when a rename elsewhere disturbed it.
            Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => {}
            done => return done,
        }
    }
    walk(root, path)
}

/// The same, one component after the other.
fn walk(root: impl AsFd, path: &str) -> rustix::io::Result<OwnedFd> {
    let mut here = fs::openat(root, ".", DIRECTORY, Mode::empty())?;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        if part == ".." {
            return Err(Errno::XDEV);
        }
        here = fs::openat(&here, part, DIRECTORY, Mode::empty())?;
    }
    Ok(here)
}

/// What is at this name in a directory, links not followed; `None` when nothing is.
pub(super) fn look(directory: impl AsFd, name: &std::ffi::CStr) -> rustix::io::Result<Option<Stat>> {
    match fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether this is a directory.
pub(super) fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_way_of_opening_follows_a_link_or_leads_out() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("in/a/b")).unwrap();
        std::fs::create_dir(dir.path().join("out")).unwrap();
        std::os::unix::fs::symlink("../out", dir.path().join("in/link")).unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("in/inner")).unwrap();
        let root = std::fs::File::open(dir.path().join("in")).unwrap();
        for path in ["", "a", "a/b"] {
            assert!(open(&root, path).is_ok() && walk(&root, path).is_ok(), "{path}");
        }
        for path in ["..", "a/../../out", "link", "inner/b", "a/none"] {
            assert!(open(&root, path).is_err() && walk(&root, path).is_err(), "{path}");
        }
    }
}
