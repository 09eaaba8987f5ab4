//! The staging directory, for files before publication: next to the destination, or inside if that exists, so that
//! publishing is a rename and a failure leaves nothing behind.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    error::{Context as _, Error, Kind, Result},
    fs::RESERVED,
};

/// The sticky bit marks a staging directory as ours. It means nothing where only the owner may write, so no program sets
/// it there, and unpacking never gives it to a directory of an artifact.
pub(super) const MARK: u32 = 0o1000;

/// A staging directory, removed with its content on drop, unless published.
pub(super) struct Staging {
    /// Its path.
    pub(super) dir: TempDir,
    /// The open directory; locked, so that other processes do not remove it as a leftover.
    pub(super) fd: File,
    /// The permission bits allowed by the umask.
    pub(super) allowed: u32,
    /// The destination.
    pub(super) target: Destination,
}

/// The destination of published files.
pub(super) enum Destination {
    /// A new destination: the staging directory becomes it.
    New(PathBuf),
    /// An existing directory: the staged content is moved into it.
    Into(File),
}

impl Staging {
    /// Checks the destination and creates a staging directory for it.
    ///
    /// Errors: the destination is not a directory (kind `Exists`).
    pub(super) fn new(dest: &Path) -> Result<Self> {
        let (base, target) = place(dest)?;
        let base = if base.as_os_str().is_empty() { Path::new(".") } else { base };
        sweep(base);
        loop {
            if let Some((dir, fd, allowed)) = make(base).context(|| format!("cannot write to `{}`", base.display()))? {
                return Ok(Self { dir, fd, allowed, target });
            }
        }
    }
}

/// The parent of the staging directory, and the kind of destination.
fn place(dest: &Path) -> Result<(&Path, Destination)> {
    let shown = || format!("`{}`", dest.display());
    match File::open(dest).and_then(|file| Ok((file.metadata()?, file))) {
        Ok((meta, file)) if meta.is_dir() => return Ok((dest, Destination::Into(file))),
        Ok(_) => return Err(Error::new(Kind::Exists, format!("{} is not a directory", shown()))),
        Err(e) if e.kind() == io::ErrorKind::NotFound && dest.symlink_metadata().is_err() => {}
        Err(e) => return Err(Error::from(e).context(format!("cannot write to {}", shown()))),
    }
    if dest.file_name().is_none() {
        return Err(Error::invalid(format!("cannot create {}", shown())));
    }
    let base = dest.ancestors().skip(1).find(|a| a.as_os_str().is_empty() || a.symlink_metadata().is_ok());
    Ok((base.unwrap_or(Path::new("")), Destination::New(dest.to_owned())))
}

/// Creates a locked directory; `None` if another process removed it before the lock.
fn make(base: &Path) -> io::Result<Option<(TempDir, File, u32)>> {
    // The resulting mode shows the umask, which cannot be read without changing it.
    let mode = fs::Permissions::from_mode(MARK | 0o755);
    lock(tempfile::Builder::new().prefix(&prefix()).permissions(mode).tempdir_in(base)?)
}

/// Locks a new directory; `None` if another process took it for a leftover.
fn lock(dir: TempDir) -> io::Result<Option<(TempDir, File, u32)>> {
    let fd = match open(dir.path()) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
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
    let permit = |mode| fd.set_permissions(fs::Permissions::from_mode(mode));
    // FAT refuses the mark; a leftover stays there.
    permit(MARK | 0o700).or_else(|_| permit(0o700))?;
    Ok(Some((dir, fd, meta.mode() & 0o755)))
}

fn prefix() -> String {
    format!("{RESERVED}unpack-")
}

/// Removes leftovers of killed processes. What else has such a name is the user's, and stays.
fn sweep(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let named = entry.file_name().to_string_lossy().starts_with(&prefix());
        let Some(fd) = open(&entry.path()).ok().filter(|fd| named && is_leftover(fd)) else { continue };
        // Leftovers that cannot be removed stay for the next run.
        drop(fs::remove_dir_all(entry.path()));
        // Locked until here, so that no other process takes it for its own meanwhile.
        drop(fd);
    }
}

/// Whether a directory is a staging directory of this user that no process holds.
fn is_leftover(fd: &File) -> bool {
    let me = rustix::process::geteuid().as_raw();
    let marked = |meta: fs::Metadata| meta.uid() == me && meta.mode() & (MARK | 0o022) == MARK;
    fd.metadata().is_ok_and(marked) && fd.try_lock().is_ok()
}

fn open(path: &Path) -> io::Result<File> {
    use rustix::fs::OFlags;
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_another_process_took_for_a_leftover_is_made_again() {
        let base = tempfile::tempdir().unwrap();
        let new = || tempfile::Builder::new().prefix(&prefix()).tempdir_in(base.path()).unwrap();
        let gone = new();
        fs::remove_dir(gone.path()).unwrap();
        assert!(lock(gone).unwrap().is_none(), "before it was opened");
        let held = new();
        let other = open(held.path()).unwrap();
        other.try_lock().unwrap();
        assert!(lock(held).unwrap().is_none(), "before it was locked");
        drop(other);
        assert!(lock(new()).unwrap().is_some());
        assert!(make(&base.path().join("missing")).is_err(), "where none can be made is no reason to try again");
    }
}
