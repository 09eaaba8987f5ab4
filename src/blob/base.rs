//! A directory that files are read beneath, and never outside of, whatever symbolic links say.

use std::{
    fs::{File, Metadata},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use crate::{
    error::{Error, Kind, Result},
    fs::regular,
};

/// `O_NONBLOCK`: opening a FIFO must not wait for a writer.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// A directory, held open, that files are read beneath.
#[derive(Debug)]
pub struct Base {
    path: PathBuf,
    dir: OwnedFd,
}

impl Base {
    /// Opens the directory; a symbolic link to one is followed. Errors: it is not there, or is no directory.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(&path, flags, Mode::empty()).map_err(|e| fail(&path, e))?;
        Ok(Self { path, dir })
    }

    /// Where the directory is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a regular file beneath the directory. Symbolic links are followed as long as they stay beneath it.
    ///
    /// Errors: kind `Escape` for an absolute path, one with `..`, or one that a link leads out; kind `Invalid` for
    /// what is not a regular file.
    pub fn open(&self, path: &Path) -> Result<(File, Metadata)> {
        is_inside(path)?;
        let fd = match openat2(self.dir.as_fd(), path) {
            // Linux before 5.6 lacks the call; container runtimes of that age deny it.
            Err(Errno::NOSYS | Errno::PERM) => self.open_by_steps(path)?,
            Err(Errno::XDEV) => return Err(self.leaves(path)),
            other => other.map_err(|e| fail(&self.path.join(path), e))?,
        };
        regular(File::from(fd), &self.path.join(path))
    }

    /// The same without `openat2`: links are resolved first, then the result is walked without following any.
    fn open_by_steps(&self, path: &Path) -> Result<OwnedFd> {
        let full = self.path.join(path);
        let real = full.canonicalize().map_err(|e| Error::from(e).context(cannot_read(&full)))?;
        let base = self.path.canonicalize().map_err(|e| Error::from(e).context(cannot_read(&self.path)))?;
        let inside = real.strip_prefix(&base).map_err(|_| self.leaves(path))?;
        let (parent, name) = (inside.parent().unwrap_or(Path::new("")), inside.file_name().unwrap_or_default());
        let mut dir = None;
        for step in parent {
            let at = dir.as_ref().map_or(self.dir.as_fd(), OwnedFd::as_fd);
            let flags = READ | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            dir = Some(rustix::fs::openat(at, step, flags, Mode::empty()).map_err(|e| fail(&full, e))?);
        }
        let at = dir.as_ref().map_or(self.dir.as_fd(), OwnedFd::as_fd);
        rustix::fs::openat(at, name, READ | OFlags::NOFOLLOW, Mode::empty()).map_err(|e| fail(&full, e))
    }

    fn leaves(&self, path: &Path) -> Error {
        let message = format!("`{}` leads out of `{}` by a symbolic link", path.display(), self.path.display());
        Error::new(Kind::Escape, message)
    }
}

fn openat2(dir: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::ResolveFlags;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        // The kernel gives up with `EAGAIN` when anything on the machine is renamed meanwhile (openat2(2)).
        for _ in 0..64 {
            match rustix::fs::openat2(dir, path, READ, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => {}
                done => return done,
            }
        }
    }
    Err(Errno::NOSYS)
}

/// An error of kind `Escape` for a path that is absolute, empty or has `..`.
fn is_inside(path: &Path) -> Result<()> {
    let inside = |c| matches!(c, Component::Normal(_) | Component::CurDir);
    if !path.as_os_str().is_empty() && path.components().all(inside) {
        return Ok(());
    }
    let message = format!("`{}` is not a path beneath the source: absolute, empty, or with `..`", path.display());
    Err(Error::new(Kind::Escape, message))
}

fn cannot_read(path: &Path) -> String {
    format!("cannot read `{}`", path.display())
}

fn fail(path: &Path, errno: Errno) -> Error {
    Error::from(std::io::Error::from(errno)).context(cannot_read(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Read as _, os::unix::fs::symlink};

    fn read(mut file: File) -> String {
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text
    }

    /// A way to open a file.
    type Open = fn(&Base, &Path) -> Result<File>;

    /// With the system call and without it.
    const WAYS: [Open; 2] = [|base, path| Ok(base.open(path)?.0), |base, path| Ok(base.open_by_steps(path)?.into())];

    #[test]
    fn files_beneath_are_opened_also_through_links_that_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::fs::write(dir.path().join("a/b/f"), "inside").unwrap();
        symlink("a/b", dir.path().join("link")).unwrap();
        symlink("../a/b/f", dir.path().join("a/again")).unwrap();
        let base = Base::new(dir.path()).unwrap();
        for open in WAYS {
            for path in ["a/b/f", "./a/b/f", "link/f", "a/again"] {
                assert_eq!(read(open(&base, Path::new(path)).unwrap()), "inside", "{path}");
            }
        }
    }

    #[test]
    fn links_that_lead_out_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("in")).unwrap();
        std::fs::write(dir.path().join("secret"), "outside").unwrap();
        symlink("../secret", dir.path().join("in/file")).unwrap();
        symlink("..", dir.path().join("in/dir")).unwrap();
        symlink(dir.path().join("secret"), dir.path().join("in/absolute")).unwrap();
        let base = Base::new(dir.path().join("in")).unwrap();
        for open in WAYS {
            for path in ["file", "dir/secret", "absolute"] {
                assert_eq!(open(&base, Path::new(path)).unwrap_err().kind(), Kind::Escape, "{path}");
            }
        }
    }

    #[test]
    fn paths_that_are_absolute_or_go_up_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let base = Base::new(dir.path()).unwrap();
        for path in ["", "/etc/passwd", "../x", "a/../../x"] {
            assert_eq!(base.open(Path::new(path)).unwrap_err().kind(), Kind::Escape, "{path}");
        }
        assert_eq!(base.open(Path::new("missing")).unwrap_err().kind(), Kind::NotFound);
        assert_eq!(base.open(Path::new(".")).unwrap_err().kind(), Kind::Invalid);
    }
}
