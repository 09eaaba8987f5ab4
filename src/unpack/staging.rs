//! The directory that files are written to before they become visible: beside the destination, or in it when it
//! exists, so that publishing is a rename and nothing is left behind on failure.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::name::OWN;
use crate::error::{Context as _, Error, Kind, Result};

/// A staging directory, removed with its content when it is dropped, unless it was published.
pub(super) struct Staging {
    /// Where it is.
    pub(super) dir: TempDir,
    /// The directory itself; locked, so that others do not take it for a leftover.
    pub(super) fd: File,
    /// The permission bits that the umask leaves.
    pub(super) allowed: u32,
    /// What becomes of it.
    pub(super) target: Destination,
}

/// Where files are published.
pub(super) enum Destination {
    /// The destination is not there: the staging directory becomes it.
    New(PathBuf),
    /// The destination is a directory: the content of the staging directory is moved into it.
    Into(File),
}

impl Staging {
    /// Looks at the destination and makes a staging directory for it.
    ///
    /// Errors: the destination is something else than a directory (kind `Exists`); fewer than `needed` bytes are free
    /// (kind `NoSpace`).
    pub(super) fn new(dest: &Path, needed: u64) -> Result<Self> {
        let (base, target) = place(dest)?;
        let base = if base.as_os_str().is_empty() { Path::new(".") } else { base };
        check_space(base, needed)?;
        sweep(base);
        loop {
            if let Some((dir, fd, allowed)) = make(base).context(|| format!("cannot write to `{}`", base.display()))? {
                return Ok(Self { dir, fd, allowed, target });
            }
        }
    }
}

/// Which existing directory the staging directory goes to, and how its content is published.
fn place(dest: &Path) -> Result<(&Path, Destination)> {
    let shown = || format!("`{}`", dest.display());
    match File::open(dest).and_then(|file| Ok((file.metadata()?, file))) {
        Ok((meta, file)) if meta.is_dir() => return Ok((dest, Destination::Into(file))),
        Ok(_) => return Err(Error::new(Kind::Exists, format!("{} is not a directory", shown()))),
        Err(e) if e.kind() == io::ErrorKind::NotFound && dest.symlink_metadata().is_err() => {}
        Err(e) => return Err(Error::from(e).context(format!("cannot write to {}", shown()))),
    }
    if dest.file_name().is_none() {
        return Err(Error::invalid(format!("{} cannot be made", shown())));
    }
    let base = dest.ancestors().skip(1).find(|a| a.as_os_str().is_empty() || a.symlink_metadata().is_ok());
    Ok((base.unwrap_or(Path::new("")), Destination::New(dest.to_owned())))
}

/// A new, locked directory; `None` when somebody's sweep was faster than the lock.
fn make(base: &Path) -> io::Result<Option<(TempDir, File, u32)>> {
    // The mode that is left of this one shows the umask, which cannot be asked for without changing it.
    let mode = fs::Permissions::from_mode(0o755);
    let dir = tempfile::Builder::new().prefix(&prefix()).permissions(mode).tempdir_in(base)?;
    let fd = open(dir.path())?;
    let meta = fd.metadata()?;
    match fd.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(e)) => return Err(e),
    }
    match dir.path().symlink_metadata() {
        Ok(named) if named.ino() == meta.ino() => {}
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => return Ok(None),
    }
    fd.set_permissions(fs::Permissions::from_mode(0o700))?;
    Ok(Some((dir, fd, meta.mode() & 0o755)))
}

fn prefix() -> String {
    format!("{OWN}unpack-")
}

/// Removes what a killed process of ours has left: our own staging directories that nobody holds the lock of.
fn sweep(base: &Path) {
    let me = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(&prefix()) {
            continue;
        }
        let Ok(fd) = open(&entry.path()) else { continue };
        if fd.metadata().is_ok_and(|m| m.uid() == me) && fd.try_lock().is_ok() {
            // Whatever cannot be removed now is left for the next time.
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    use rustix::fs::OFlags;
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

fn check_space(base: &Path, needed: u64) -> Result<()> {
    let Ok(found) = rustix::fs::statvfs(base) else { return Ok(()) };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    // Some file systems know no sizes and say 0 for all of them.
    if found.f_blocks > 0 && needed > free {
        let message = format!("{needed} bytes are needed in `{}`, and {free} are free", base.display());
        return Err(Error::new(Kind::NoSpace, message));
    }
    Ok(())
}
