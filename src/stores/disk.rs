//! Directories and files of the stores on disk: opened by descriptor, never through a symbolic link, and written so
//! that a crash at any point leaves the old file or the new one.

use std::{
    fs::{File, Metadata},
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io,
    os::{fd::OwnedFd, unix::fs::FileExt as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Context as _, Error, Kind, Result};

/// How the names of unfinished files begin. Each is locked by the process that writes it; one that nobody holds was
/// left by a crash.
pub(super) const TEMPORARY: &str = ".artifact-tmp-";

/// How much is handed to the writing thread at a time.
const BATCH: usize = 1 << 20;

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

    /// Whether an open file is still what this name stands for.
    #[allow(clippy::unnecessary_cast, reason = "device and inode numbers have other types on other systems")]
    pub(super) fn holds(&self, name: &str, file: &File) -> bool {
        let Ok(meta) = file.metadata() else { return false };
        rustix::fs::statat(&*self.fd, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| (stat.st_dev as u64, stat.st_ino as u64) == (meta.dev(), meta.ino()))
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

    /// Removes what crashed writers left here; what a living one holds stays.
    pub(super) fn clean(&self) -> Result<()> {
        for name in self.names()?.iter().filter(|name| name.starts_with(TEMPORARY)) {
            let Ok((file, _)) = self.file_with(name, OFlags::RDWR) else { continue };
            if file.try_lock().is_ok() {
                self.remove(name)?;
            }
        }
        Ok(())
    }
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

/// A file in the making, under a temporary name and locked: it gets its name, or vanishes when dropped.
#[derive(Debug)]
pub(super) struct Draft {
    dir: Dir,
    name: String,
    file: Arc<File>,
    kept: AtomicBool,
}

impl Draft {
    /// An empty file in this directory.
    pub(super) fn new(dir: &Dir) -> Result<Self> {
        loop {
            let name = format!("{TEMPORARY}{:016x}", RandomState::new().build_hasher().finish());
            let opened = dir.file_with(&name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL);
            let file = match opened {
                Err(e) if e.kind() == Kind::Exists => continue,
                other => other?.0,
            };
            file.lock().context(|| format!("cannot lock `{}`", dir.path.join(&name).display()))?;
            // Between creation and lock, another process may have taken it for a leftover.
            if dir.holds(&name, &file) {
                return Ok(Self { dir: dir.clone(), name, file: Arc::new(file), kept: AtomicBool::new(false) });
            }
        }
    }

    /// The open file.
    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Where it is for now.
    pub(super) fn path(&self) -> PathBuf {
        self.dir.path.join(&self.name)
    }

    /// Writes at a position.
    pub(super) fn write_at(&self, bytes: &[u8], at: u64) -> Result<()> {
        self.file.write_all_at(bytes, at).context(|| format!("cannot write `{}`", self.path().display()))
    }

    /// Makes the content durable and gives the file its name, replacing what had it. The directory is not synced.
    pub(super) fn keep(&self, dir: &Dir, name: &str) -> Result<()> {
        self.file.sync_all().context(|| format!("cannot sync `{}`", self.path().display()))?;
        rustix::fs::renameat(&*self.dir.fd, &*self.name, &*dir.fd, name)
            .map_err(|e| cannot("write", &dir.path.join(name), e))?;
        self.kept.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept.load(Ordering::Relaxed) {
            // A leftover that cannot be removed now is found by the next writer.
            let _ = self.dir.remove(&self.name);
        }
    }
}

/// Writes small content at once: a temporary file, synced, renamed, the directory synced.
pub(super) fn replace(dir: &Dir, name: &str, content: &[u8]) -> Result<()> {
    let draft = Draft::new(dir)?;
    draft.write_at(content, 0)?;
    draft.keep(dir, name)?;
    dir.sync()
}

/// Writes a stream into an open file from a position on, one batch behind: while a batch is written on another
/// thread, the next is received and hashed. Holds at most two batches and no thread while idle.
#[derive(Debug)]
pub(super) struct Behind {
    file: Arc<File>,
    path: PathBuf,
    at: u64,
    waiting: Vec<Bytes>,
    waiting_len: usize,
    busy: Option<tokio::task::JoinHandle<io::Result<()>>>,
}

impl Behind {
    /// Starts at `at`; `path` is for messages.
    pub(super) fn new(file: Arc<File>, path: PathBuf, at: u64) -> Self {
        Self { file, path, at, waiting: Vec::new(), waiting_len: 0, busy: None }
    }

    /// Takes more bytes. An error may be that of an earlier write.
    pub(super) async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.waiting_len = self.waiting_len.saturating_add(chunk.len());
        self.waiting.push(chunk);
        if self.waiting_len < BATCH { Ok(()) } else { self.flush().await }
    }

    /// Waits until all bytes are written.
    pub(super) async fn finish(&mut self) -> Result<()> {
        self.flush().await?;
        self.idle().await
    }

    async fn flush(&mut self) -> Result<()> {
        self.idle().await?;
        let (file, at, batch) = (Arc::clone(&self.file), self.at, std::mem::take(&mut self.waiting));
        self.at = self.at.saturating_add(self.waiting_len as u64);
        self.waiting_len = 0;
        self.busy = Some(tokio::task::spawn_blocking(move || {
            let mut at = at;
            for chunk in batch {
                file.write_all_at(&chunk, at)?;
                at = at.saturating_add(chunk.len() as u64);
            }
            Ok(())
        }));
        Ok(())
    }

    async fn idle(&mut self) -> Result<()> {
        let Some(busy) = self.busy.take() else { return Ok(()) };
        let written = busy.await.map_err(|e| Error::caused(Kind::Internal, "a writing thread failed", e))?;
        written.context(|| format!("cannot write `{}`", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir() -> (tempfile::TempDir, Dir) {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        (temp, dir)
    }

    #[test]
    fn leftovers_are_removed_but_not_those_of_a_living_writer() {
        let (temp, dir) = dir();
        std::fs::write(temp.path().join(format!("{TEMPORARY}dead")), b"half").unwrap();
        let living = Draft::new(&dir).unwrap();
        dir.clean().unwrap();
        assert_eq!(dir.names().unwrap(), [&*living.name]);
        drop(living);
        assert!(dir.names().unwrap().is_empty());
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

    #[tokio::test]
    async fn what_is_written_behind_arrives_in_order() {
        let (temp, dir) = dir();
        let draft = Draft::new(&dir).unwrap();
        let mut behind = Behind::new(Arc::clone(draft.file()), draft.path(), 3);
        let mut expected = vec![0; 3];
        for i in 0..40_u8 {
            behind.write(Bytes::from(vec![i; 70_000])).await.unwrap();
            expected.extend(vec![i; 70_000]);
        }
        behind.finish().await.unwrap();
        draft.keep(&dir, "f").unwrap();
        assert_eq!(std::fs::read(temp.path().join("f")).unwrap(), expected);
    }
}
