//! The identity of a file, and stamps that reveal changes of its content.

use std::{fs::Metadata, os::unix::fs::MetadataExt as _};

use rustix::fs::Stat;

/// Identity of a file or directory, independent of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl From<&Metadata> for Identity {
    fn from(meta: &Metadata) -> Self {
        Self { device: meta.dev(), inode: meta.ino() }
    }
}

impl From<&Stat> for Identity {
    #[allow(clippy::unnecessary_cast, reason = "device and inode numbers have other types on other systems")]
    fn from(stat: &Stat) -> Self {
        Self { device: stat.st_dev as u64, inode: stat.st_ino as u64 }
    }
}

/// The state of a file's content as far as size and modification time show it, to check that a user's file is
/// unchanged. Renames, new links and changed permissions do not affect it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Stamp {
    identity: Identity,
    len: u64,
    modified: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(meta: &Metadata) -> Self {
        Self { identity: meta.into(), len: meta.len(), modified: (meta.mtime(), meta.mtime_nsec()) }
    }

    /// Size of the file in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }
}

/// A [`Stamp`] with the change time as well, for files that are trusted without being read again: any writer can set a
/// modification time back, but only root the change time. Renames, new links and changed permissions count as changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct StrictStamp {
    content: Stamp,
    changed: (i64, i64),
}

impl StrictStamp {
    pub(crate) fn of(meta: &Metadata) -> Self {
        Self { content: Stamp::of(meta), changed: (meta.ctime(), meta.ctime_nsec()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, path::Path};

    fn stamps(path: &Path) -> (Stamp, StrictStamp) {
        let meta = std::fs::metadata(path).unwrap();
        (Stamp::of(&meta), StrictStamp::of(&meta))
    }

    #[test]
    fn a_modification_time_that_is_set_back_deceives_a_stamp_and_not_a_strict_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, b"one").unwrap();
        let (stamp, strict) = stamps(&path);
        let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
        // The clock of the file system may stand still for some milliseconds.
        while stamps(&path).1 == strict {
            std::fs::write(&path, b"two").unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        }
        assert_eq!(stamps(&path).0, stamp);
        std::fs::write(&path, b"longer").unwrap();
        assert_ne!(stamps(&path).0, stamp);
    }

    #[test]
    fn a_file_is_itself_under_another_name_and_not_the_one_that_took_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let [path, other] = ["f", "g"].map(|name| dir.path().join(name));
        let identity = |path: &Path| Identity::from(&std::fs::metadata(path).unwrap());
        std::fs::write(&path, b"one").unwrap();
        let (stamp, first) = (stamps(&path).0, identity(&path));
        std::fs::rename(&path, &other).unwrap();
        std::fs::write(&path, b"one").unwrap();
        assert_eq!((identity(&other), stamps(&other).0), (first, stamp));
        assert_ne!(identity(&path), first);
        assert_eq!(Identity::from(&rustix::fs::stat(&other).unwrap()), first);
    }
}
