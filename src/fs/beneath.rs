//! Opening files beneath a directory and never outside of it, whatever its symbolic links.
//!
//! Three rules for links, depending on their origin and use:
//!
//! * [`directory_beneath`] follows none: names come from an artifact, and so may links that were unpacked before.
//! * [`Base::open`] follows links as long as every step stays beneath the directory. The packed files are the user's,
//!   but their names may come from a program; and a source that works here still works after the directory is moved.
//!   Where the system has no such call, only the final target counts.
//! * [`Base::open_real`] and [`Base::look`] follow links whose final target lies beneath the directory, such as an
//!   absolute link into it. They serve to inspect what the user points at.
//!
//! A name that a store made up itself is a single component and needs none of this: see [`Dir`](super::Dir).

use std::{
    fs::{File, Metadata},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use super::regular;
use crate::error::{Error, Kind, Result};

/// `O_NONBLOCK`: opening a FIFO must not wait for a writer.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);
/// A directory whose entries are read or changed; not a link to one.
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// A file that is only inspected, or a directory only passed through, need not be readable.
#[cfg(target_os = "linux")]
const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const LOOK: OFlags = READ;

/// An open directory that confines reads to files beneath it.
#[derive(Debug)]
pub struct Base {
    path: PathBuf,
    dir: OwnedFd,
}

impl Base {
    /// Opens the directory, following symbolic links. Errors: it does not exist, or is not a directory.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let dir = rustix::fs::open(&path, LOOK | OFlags::DIRECTORY, Mode::empty()).map_err(|e| fail(&path, e))?;
        Ok(Self { path, dir })
    }

    /// Path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a regular file beneath the directory. Symbolic links are followed as long as they stay beneath it.
    ///
    /// Errors: kind `Escape` for an absolute path, a path with `..`, or a link that leads out; kind `Invalid` for
    /// anything but a regular file.
    pub fn open(&self, path: &Path) -> Result<(File, Metadata)> {
        is_inside(path)?;
        let fd = match openat2(self.dir.as_fd(), path, READ, Links::Beneath) {
            Err(Errno::NOSYS) => self.real(path, READ),
            opened => opened,
        };
        self.regular(fd, path)
    }

    /// Like [`Self::open`], but a symbolic link may be absolute, or lead out and back in, as long as its target lies
    /// beneath the directory.
    pub fn open_real(&self, path: &Path) -> Result<(File, Metadata)> {
        is_inside(path)?;
        self.regular(self.at_real(path, READ), path)
    }

    /// The metadata of a path beneath the directory, with links as in [`Self::open_real`]; the file need not be
    /// readable. Errors: kind `CrossesDevices` if it lies outside.
    pub fn look(&self, path: &Path) -> io::Result<Metadata> {
        File::from(self.at_real(path, LOOK)?).metadata()
    }

    /// Tries the system call first, which is atomic; a path that it rejects may still end beneath the directory.
    fn at_real(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        match openat2(self.dir.as_fd(), path, flags, Links::Beneath) {
            Err(Errno::NOSYS | Errno::XDEV) => self.real(path, flags),
            opened => opened,
        }
    }

    /// Resolves links by their text, then walks to the result without following any, so that a link created meanwhile
    /// is refused.
    fn real(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolved = |path: &Path| path.canonicalize().map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO));
        let real = resolved(&self.path.join(path))?;
        let inside = real.strip_prefix(resolved(&self.path)?).map_err(|_| Errno::XDEV)?;
        walk(self.dir.as_fd(), inside, flags)
    }

    fn regular(&self, opened: Result<OwnedFd, Errno>, path: &Path) -> Result<(File, Metadata)> {
        let full = self.path.join(path);
        match opened {
            Ok(fd) => regular(File::from(fd), &full),
            Err(Errno::XDEV) => {
                let what = format!("`{}` leaves `{}`", path.display(), self.path.display());
                Err(Error::new(Kind::Escape, format!("{what} through a symbolic link")))
            }
            Err(e) => Err(fail(&full, e)),
        }
    }
}

/// Opens the directory at this path beneath `root`; no component may be a link (`LOOP`) or lead out (`XDEV`).
pub(crate) fn directory_beneath(root: impl AsFd, path: &str) -> Result<OwnedFd, Errno> {
    match openat2(root.as_fd(), Path::new(path), DIRECTORY, Links::None) {
        Err(Errno::NOSYS) => walk(root.as_fd(), Path::new(path), DIRECTORY),
        opened => opened,
    }
}

/// The symbolic links that the system call follows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Links {
    /// None.
    None,
    /// Those that stay beneath the directory.
    Beneath,
}

/// Opens a path in one system call that never leaves the directory. Errors: `NOSYS` if the system has no such call;
/// `XDEV` for a path that leads out; `LOOP` for a link that is not followed.
#[cfg(target_os = "linux")]
fn openat2(dir: BorrowedFd<'_>, path: &Path, flags: OFlags, links: Links) -> Result<OwnedFd, Errno> {
    use rustix::fs::ResolveFlags;
    let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    resolve.set(ResolveFlags::NO_SYMLINKS, links == Links::None);
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    // The kernel fails with `EAGAIN` if anything on the machine is renamed meanwhile (openat2(2)).
    for _ in 0..64 {
        match rustix::fs::openat2(dir, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            // Linux before 5.6 lacks the call; container runtimes of that age deny it.
            Err(Errno::PERM) => return Err(Errno::NOSYS),
            done => return done,
        }
    }
    Err(Errno::NOSYS)
}

#[cfg(not(target_os = "linux"))]
fn openat2(_dir: BorrowedFd<'_>, _path: &Path, _flags: OFlags, _links: Links) -> Result<OwnedFd, Errno> {
    Err(Errno::NOSYS)
}

/// Opens one component after the other without following links. Errors: `XDEV` for an absolute path and for `..`.
fn walk(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut here = None;
    let mut parts = path.components().filter(|part| *part != Component::CurDir).peekable();
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else { return Err(Errno::XDEV) };
        let flags = if parts.peek().is_some() { LOOK | OFlags::DIRECTORY } else { flags };
        let at = here.as_ref().map_or(root, OwnedFd::as_fd);
        here = Some(rustix::fs::openat(at, name, flags | OFlags::NOFOLLOW, Mode::empty())?);
    }
    here.map_or_else(|| rustix::fs::openat(root, ".", flags, Mode::empty()), Ok)
}

/// Errors: kind `Escape` for a path that is absolute, empty or has `..`.
fn is_inside(path: &Path) -> Result<()> {
    let inside = |c| matches!(c, Component::Normal(_) | Component::CurDir);
    if !path.as_os_str().is_empty() && path.components().all(inside) {
        return Ok(());
    }
    let message = format!("`{}` is not a path beneath the source: it is absolute, empty, or has `..`", path.display());
    Err(Error::new(Kind::Escape, message))
}

fn fail(path: &Path, errno: Errno) -> Error {
    Error::from(io::Error::from(errno)).context(format!("cannot read `{}`", path.display()))
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

    /// With the system call and without it, and by the other rule.
    const WAYS: [Open; 3] = [
        |base, path| Ok(base.open(path)?.0),
        |base, path| Ok(base.regular(base.real(path, READ), path)?.0),
        |base, path| Ok(base.open_real(path)?.0),
    ];

    #[test]
    fn files_beneath_are_opened_also_through_links_that_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::fs::write(dir.path().join("a/b/f"), "inside").unwrap();
        symlink("a/b", dir.path().join("link")).unwrap();
        symlink("../a/b/f", dir.path().join("a/again")).unwrap();
        let base = Base::new(dir.path()).unwrap();
        for path in ["a/b/f", "./a/b/f", "link/f", "a/again"] {
            for open in WAYS {
                assert_eq!(read(open(&base, Path::new(path)).unwrap()), "inside", "{path}");
            }
            assert_eq!(base.look(Path::new(path)).unwrap().len(), 6, "{path}");
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
        for path in ["file", "dir/secret", "absolute"] {
            for open in WAYS {
                assert_eq!(open(&base, Path::new(path)).unwrap_err().kind(), Kind::Escape, "{path}");
            }
            assert_eq!(base.look(Path::new(path)).unwrap_err().kind(), io::ErrorKind::CrossesDevices, "{path}");
        }
    }

    #[test]
    fn a_link_that_ends_beneath_by_a_way_outside_is_followed_only_where_its_end_counts() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("in")).unwrap();
        std::fs::write(dir.path().join("in/f"), "inside").unwrap();
        symlink(dir.path().join("in/f"), dir.path().join("in/absolute")).unwrap();
        symlink("../in/f", dir.path().join("in/around")).unwrap();
        let base = Base::new(dir.path().join("in")).unwrap();
        for path in ["absolute", "around"].map(Path::new) {
            assert_eq!(read(base.open_real(path).unwrap().0), "inside", "{path:?}");
            assert_eq!(base.look(path).unwrap().len(), 6, "{path:?}");
            // Where there is no such system call, all is judged by its end.
            let at_once = openat2(base.dir.as_fd(), path, READ, Links::Beneath).unwrap_err();
            assert!(matches!(at_once, Errno::XDEV | Errno::NOSYS), "{path:?}: {at_once}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_looked_at_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let mode = Mode::from_raw_mode(0);
        rustix::fs::mknodat(rustix::fs::CWD, dir.path().join("fifo"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        let base = Base::new(dir.path()).unwrap();
        for path in ["fifo", "socket"].map(Path::new) {
            assert!(!base.look(path).unwrap().is_file(), "{path:?}");
        }
        assert!(base.look(Path::new("")).unwrap().is_dir());
        assert_eq!(base.look(Path::new("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
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

    #[test]
    fn no_way_of_opening_a_directory_follows_a_link_or_leads_out() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("in/a/b")).unwrap();
        std::fs::create_dir(dir.path().join("out")).unwrap();
        symlink("../out", dir.path().join("in/link")).unwrap();
        symlink("a", dir.path().join("in/inner")).unwrap();
        let root = File::open(dir.path().join("in")).unwrap();
        let walk = |path: &str| walk(root.as_fd(), Path::new(path), DIRECTORY);
        for path in ["", "a", "a/b"] {
            assert!(directory_beneath(&root, path).is_ok() && walk(path).is_ok(), "{path}");
        }
        for path in ["..", "a/../../out", "/", "link", "inner", "inner/b", "a/none"] {
            assert!(directory_beneath(&root, path).is_err() && walk(path).is_err(), "{path}");
        }
    }
}
