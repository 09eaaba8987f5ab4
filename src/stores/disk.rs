//! Directories and files of the stores on disk: opened by descriptor, never through a symbolic link, and written so
//! that a crash at any point leaves the old file or the new one.

mod behind;
mod draft;

use std::{
    fs::{File, Metadata},
    io,
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

pub(super) use self::{
    behind::{Behind, start_writing},
    draft::{Draft, replace},
};
use crate::error::{Context as _, Error, Kind, Result};

/// How the names of unfinished files begin. Each is locked by the process that writes it; one that nobody holds was
/// left by a crash.
pub(super) const TEMPORARY: &str = ".artifact-tmp-";

/// How long content waits, as far as it came, for the attempt that goes on with it.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Runs file operations on a thread where they may block.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::caused(Kind::Internal, "a file thread failed", e))?
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp(u64, u64, u64, (i64, i64), (i64, i64));

impl Stamp {
    pub(super) fn of(meta: &Metadata) -> Self {
        let (changed, modified) = ((meta.ctime(), meta.ctime_nsec()), (meta.mtime(), meta.mtime_nsec()));
        Self(meta.dev(), meta.ino(), meta.len(), modified, changed)
    }
}

/// An open directory. Names given to it are single components that the stores made up themselves.
#[derive(Debug, Clone)]
pub(super) struct Dir {
    fd: Arc<OwnedFd>,
    path: PathBuf,
}

impl Dir {
    /// The directory that a user named; their own links are followed.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| cannot("open", path, e))?;
        Ok(Self { fd: Arc::new(fd), path: path.to_path_buf() })
    }

    /// Where it is, for messages and for readers that open by path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A directory in this one. Errors: a symbolic link.
    pub(super) fn dir(&self, name: &str) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = self.path.join(name);
        let fd = rustix::fs::openat(&*self.fd, name, flags, Mode::empty())
            .map_err(|e| cannot("open directory", &path, e))?;
        Ok(Self { fd: Arc::new(fd), path })
    }

    /// Whether a path beneath this one leads to that open directory.
    pub(super) fn leads_to(&self, path: &str, dir: &Self) -> bool {
        let here =
            rustix::fs::statat(&*self.fd, path, AtFlags::SYMLINK_NOFOLLOW).map(|stat| (stat.st_dev, stat.st_ino));
        let open = rustix::fs::fstat(&*dir.fd).map(|stat| (stat.st_dev, stat.st_ino));
        here.is_ok_and(|here| open == Ok(here))
    }

    /// The same, made if it is not there.
    pub(super) fn make_dir(&self, name: &str) -> Result<Self> {
        match rustix::fs::mkdirat(&*self.fd, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => self.sync()?,
            Err(Errno::EXIST) => {}
            Err(e) => return Err(cannot("make directory", &self.path.join(name), e)),
        }
        self.dir(name)
    }

    /// A regular file in this directory, to read. Errors: a symbolic link, a FIFO, a device, a directory.
    pub(super) fn file(&self, name: &str) -> Result<(File, Metadata)> {
        self.file_with(name, OFlags::RDONLY)
    }

    /// The same with other access, and created where the flags say so.
    pub(super) fn file_with(&self, name: &str, access: OFlags) -> Result<(File, Metadata)> {
        let flags = access | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = self.path.join(name);
        let fd = rustix::fs::openat(&*self.fd, name, flags, Mode::from_raw_mode(0o644))
            .map_err(|e| cannot("open", &path, e))?;
        let file = File::from(fd);
        let meta = file.metadata().context(|| format!("cannot read `{}`", path.display()))?;
        if !meta.is_file() {
            return Err(Error::invalid(format!("`{}` is not a regular file", path.display())));
        }
        Ok((file, meta))
    }

    /// Size of a regular file; `None` when there is none of this name, or something else.
    pub(super) fn size(&self, name: &str) -> Result<Option<u64>> {
        match rustix::fs::statat(&*self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() => {
                Ok(u64::try_from(stat.st_size).ok())
            }
            Ok(_) | Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(cannot("look at", &self.path.join(name), e)),
        }
    }

    /// Whether an open file is still what this name stands for. Errors: the disk does not say.
    #[allow(clippy::unnecessary_cast, reason = "device and inode numbers have other types on other systems")]
    pub(super) fn holds(&self, name: &str, file: &File) -> Result<bool> {
        let meta = file.metadata().context(|| format!("cannot look at `{}`", self.path.join(name).display()))?;
        match rustix::fs::statat(&*self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok((stat.st_dev as u64, stat.st_ino as u64) == (meta.dev(), meta.ino())),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(cannot("look at", &self.path.join(name), e)),
        }
    }

    /// The names in this directory, sorted. Errors: the directory cannot be read.
    pub(super) fn names(&self) -> Result<Vec<String>> {
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

    /// Removes a file; `false` when there was none.
    pub(super) fn remove(&self, name: &str) -> Result<bool> {
        match rustix::fs::unlinkat(&*self.fd, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(cannot("remove", &self.path.join(name), e)),
        }
    }

    /// Makes what was created, renamed and removed in this directory survive a power cut.
    pub(super) fn sync(&self) -> Result<()> {
        rustix::fs::fsync(&*self.fd).map_err(|e| cannot("sync", &self.path, e))
    }

    /// Removes what crashed writers left here. What a living one holds stays, and so does, for a week after its last byte
    /// came, a part of some content that is `wanted` by the digits of its digest.
    pub(super) fn clean(&self, wanted: impl Fn(&str) -> bool) -> Result<()> {
        for name in self.names()? {
            let Some(content) = name.strip_prefix(TEMPORARY) else { continue };
            if wanted(content) && self.file(&name).is_ok_and(|(_, meta)| is_new(&meta)) {
                continue;
            }
            let Ok((file, _)) = self.file_with(&name, OFlags::RDWR) else { continue };
            if file.try_lock().is_ok() {
                self.remove(&name)?;
            }
        }
        Ok(())
    }

    /// Whether files can be moved from one to the other.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        let device = |dir: &Self| rustix::fs::fstat(&*dir.fd).map(|stat| stat.st_dev).ok();
        device(self).is_some() && device(self) == device(other)
    }
}

/// Whether a file was written to within a week. A clock that was set back makes it look as if it came from the future.
fn is_new(meta: &Metadata) -> bool {
    meta.modified().is_ok_and(|time| time.elapsed().unwrap_or_default() < KEPT)
}

/// An error that names what could not be done to which file.
fn cannot(what: &str, path: &Path, error: Errno) -> Error {
    let what = format!("cannot {what} `{}`", path.display());
    match error {
        Errno::LOOP => Error::new(Kind::Escape, format!("{what}: it is a symbolic link")),
        Errno::NOTDIR => Error::new(Kind::Escape, format!("{what}: it is a symbolic link or no directory")),
        other => Error::from(io::Error::from(other)).context(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that is removed at the end.
    pub(super) fn dir() -> (tempfile::TempDir, Dir) {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        (temp, dir)
    }

    #[test]
    fn leftovers_are_removed_but_not_those_of_a_living_writer() {
        let (temp, dir) = dir();
        std::fs::write(temp.path().join(format!("{TEMPORARY}dead")), b"half").unwrap();
        let living = Draft::new(&dir).unwrap();
        dir.clean(|_| false).unwrap();
        assert_eq!(dir.names().unwrap(), [living.name()]);
        drop(living);
        assert!(dir.names().unwrap().is_empty());
    }

    #[test]
    fn a_part_of_some_content_stays_for_a_week_as_long_as_it_is_wanted() {
        let (temp, dir) = dir();
        let part = |name: &str| format!("{TEMPORARY}{name}");
        for name in ["new", "old", "unwanted"] {
            std::fs::write(temp.path().join(part(name)), b"half").unwrap();
        }
        let old = std::time::SystemTime::now() - KEPT;
        File::options().write(true).open(temp.path().join(part("old"))).unwrap().set_modified(old).unwrap();
        dir.clean(|name| name != "unwanted").unwrap();
        assert_eq!(dir.names().unwrap(), [part("new")]);
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
