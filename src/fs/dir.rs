//! Open directories and the files in them.

use std::{
    fs::{File, Metadata},
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, Stat},
    io::Errno,
};

use super::{Identity, regular};
use crate::error::{Context as _, Error, Kind, Result};

/// An open directory. Its entries are opened by descriptor, never through a symbolic link.
///
/// Names are single components made up by the caller: nothing else keeps them from leading out.
#[derive(Debug, Clone)]
pub(crate) struct Dir {
    fd: Arc<OwnedFd>,
    path: PathBuf,
}

impl Dir {
    /// Opens a directory named by the user; symbolic links are followed.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| cannot("open", path, e))?;
        Ok(Self { fd: Arc::new(fd), path: path.to_path_buf() })
    }

    /// Its path, for messages and for readers that open by path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a subdirectory. Errors: a symbolic link.
    pub(crate) fn dir(&self, name: &str) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = self.path.join(name);
        let fd = rustix::fs::openat(&*self.fd, name, flags, Mode::empty())
            .map_err(|e| cannot("open directory", &path, e))?;
        Ok(Self { fd: Arc::new(fd), path })
    }

    /// True if a path beneath this directory leads to `dir`.
    pub(crate) fn leads_to(&self, path: &str, dir: &Self) -> bool {
        let here = look(&*self.fd, path);
        let open = rustix::fs::fstat(&*dir.fd);
        here.is_ok_and(|here| {
            here.is_some_and(|here| open.is_ok_and(|open| Identity::from(&here) == Identity::from(&open)))
        })
    }

    /// Opens a subdirectory and creates it if missing.
    pub(crate) fn make_dir(&self, name: &str) -> Result<Self> {
        match rustix::fs::mkdirat(&*self.fd, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => self.sync()?,
            Err(Errno::EXIST) => {}
            Err(e) => return Err(cannot("create directory", &self.path.join(name), e)),
        }
        self.dir(name)
    }

    /// Opens a regular file for reading. Errors: a symbolic link, a FIFO, a device, a directory.
    pub(crate) fn file(&self, name: &str) -> Result<(File, Metadata)> {
        self.file_with(name, OFlags::RDONLY)
    }

    /// Opens a regular file with other access, creating it if the flags say so.
    pub(crate) fn file_with(&self, name: &str, access: OFlags) -> Result<(File, Metadata)> {
        let flags = access | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = self.path.join(name);
        let fd = rustix::fs::openat(&*self.fd, name, flags, Mode::from_raw_mode(0o644))
            .map_err(|e| cannot("open", &path, e))?;
        regular(File::from(fd), &path)
    }

    /// Size of a regular file; `None` if there is none of this name.
    pub(crate) fn size(&self, name: &str) -> Result<Option<u64>> {
        let found = look(&*self.fd, name).map_err(|e| cannot("read metadata of", &self.path.join(name), e))?;
        let file = found.filter(|stat| FileType::from_raw_mode(stat.st_mode).is_file());
        Ok(file.and_then(|stat| u64::try_from(stat.st_size).ok()))
    }

    /// True if the name still refers to this open file.
    pub(crate) fn holds(&self, name: &str, file: &File) -> Result<bool> {
        let meta =
            file.metadata().context(|| format!("cannot read metadata of `{}`", self.path.join(name).display()))?;
        let found = look(&*self.fd, name).map_err(|e| cannot("read metadata of", &self.path.join(name), e))?;
        Ok(found.is_some_and(|stat| Identity::from(&stat) == Identity::from(&meta)))
    }

    /// The names in this directory, sorted.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        let fail = |e| cannot("list", &self.path, e);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&*self.fd).map_err(fail)? {
            let name = entry.map_err(fail)?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Removes a file; `false` if there was none.
    pub(crate) fn remove(&self, name: &str) -> Result<bool> {
        match rustix::fs::unlinkat(&*self.fd, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(cannot("remove", &self.path.join(name), e)),
        }
    }

    /// The directory as a file that can be locked.
    pub(crate) fn into_file(self) -> Result<File> {
        Ok(File::from(self.fd.try_clone().context(|| format!("cannot open `{}`", self.path.display()))?))
    }

    /// Makes creations, renames and removals in this directory durable.
    pub(crate) fn sync(&self) -> Result<()> {
        rustix::fs::fsync(&*self.fd).map_err(|e| cannot("sync", &self.path, e))
    }

    /// Moves a file to another directory, replacing an entry of that name.
    pub(super) fn rename(&self, name: &str, dir: &Self, new: &str) -> Result<()> {
        rustix::fs::renameat(&*self.fd, name, &*dir.fd, new).map_err(|e| cannot("write", &dir.path.join(new), e))
    }

    /// True if files can be moved from one directory to the other.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        let device = |dir: &Self| rustix::fs::fstat(&*dir.fd).map(|stat| stat.st_dev).ok();
        device(self).is_some() && device(self) == device(other)
    }
}

/// The metadata of an entry, links not followed; `None` if there is none.
pub(crate) fn look(dir: impl AsFd, name: impl rustix::path::Arg) -> rustix::io::Result<Option<Stat>> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// An error that names the failed operation and the file.
fn cannot(what: &str, path: &Path, error: Errno) -> Error {
    let what = format!("cannot {what} `{}`", path.display());
    match error {
        Errno::LOOP => Error::new(Kind::Escape, format!("{what}: it is a symbolic link")),
        Errno::NOTDIR => Error::new(Kind::Escape, format!("{what}: it is a symbolic link or not a directory")),
        other => Error::from(io::Error::from(other)).context(what),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A directory that is removed at the end.
    pub(in crate::fs) fn dir() -> (tempfile::TempDir, Dir) {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        (temp, dir)
    }

    #[test]
    fn an_open_directory_is_told_from_what_took_its_place() {
        let (temp, dir) = dir();
        let inner = dir.make_dir("a").unwrap().make_dir("b").unwrap();
        assert!(dir.leads_to("a/b", &inner));
        std::fs::rename(temp.path().join("a/b"), temp.path().join("a/c")).unwrap();
        assert!(!dir.leads_to("a/b", &inner) && dir.leads_to("a/c", &inner));
        std::os::unix::fs::symlink("c", temp.path().join("a/b")).unwrap();
        assert!(!dir.leads_to("a/b", &inner));
        std::fs::remove_file(temp.path().join("a/b")).unwrap();
        std::fs::create_dir(temp.path().join("a/b")).unwrap();
        assert!(!dir.leads_to("a/b", &inner));
    }

    #[test]
    fn symbolic_links_are_not_followed() {
        let (temp, dir) = dir();
        std::fs::create_dir(temp.path().join("real")).unwrap();
        std::fs::write(temp.path().join("real/f"), b"secret").unwrap();
        std::os::unix::fs::symlink("real", temp.path().join("d")).unwrap();
        std::os::unix::fs::symlink("real/f", temp.path().join("f")).unwrap();
        assert_eq!(dir.dir("d").unwrap_err().kind(), Kind::Escape);
        assert_eq!(dir.file("f").unwrap_err().kind(), Kind::Escape);
        assert_eq!(dir.size("f").unwrap(), None);
    }
}
