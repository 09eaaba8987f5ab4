//! Moves staged files to the destination: one rename for a new destination, else moves that are undone if one fails.

use std::{
    ffi::{CStr, CString},
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, Dir, FileType, Mode, RenameFlags, Stat, renameat, renameat_with},
    io::Errno,
};

use super::{
    name::split,
    same::{has, same},
    staging::{Destination, MARK, Staging},
};
use crate::{
    error::{Code, Context as _, Error, Kind, Result},
    fs::{directory_beneath, look},
    oci::Descriptor,
    tarball::read::quoted_name,
};

/// Limit of the names in an error.
const LISTED: usize = 10;

/// Publishes staged files, and returns the number of unchanged files. Errors, which leave the destination unchanged:
/// kind `Exists` for conflicting files: without `overwrite` all that differ, with it those that are a file on one side
/// and a directory on the other. Afterwards the staging directory is removed; a failure to remove it is an error too,
/// since it would stay among the user's files.
pub(super) fn publish(staging: Staging, overwrite: bool) -> Result<u64> {
    let Staging { dir, fd, allowed, target } = staging;
    match target {
        Destination::New(dest) => {
            let mode = 0o755 & allowed;
            // FAT refuses the mark.
            let marked = permit(&fd, MARK | mode).is_ok();
            if !marked {
                permit(&fd, mode).context(|| "cannot publish")?;
            }
            appear(dir.path(), &dest).context(|| format!("cannot create `{}`", dest.display()))?;
            // The staging directory is the destination now and must not be removed.
            drop(dir.keep());
            // The mark goes after the move, so that a process that is killed before leaves a marked leftover. One that is
            // killed in between leaves it to the next run that unpacks there.
            if marked {
                permit(&fd, mode).context(|| all_but("set the permissions of", &dest))?;
            }
            Ok(0)
        }
        Destination::Into(dest) => {
            let (from, to) = (fd.as_fd(), dest.as_fd());
            let mut merge = Merge { from, to, overwrite, in_the_way: Vec::new(), done: Vec::new(), same: 0 };
            merge.survey("")?;
            refuse(std::mem::take(&mut merge.in_the_way), overwrite)?;
            merge.all("").inspect_err(|_| merge.undo())?;
            let (same, left) = (merge.same, dir.path().to_owned());
            dir.close().context(|| all_but("remove", &left))?;
            unmark(&dest, 0o755 & allowed).context(|| "all files are in place, but cannot set permissions")?;
            Ok(same)
        }
    }
}

fn all_but(what: &str, path: &Path) -> String {
    format!("all files are in place, but cannot {what} `{}`", path.display())
}

/// Removes the mark that a process left which was killed after it had made this destination, with this mode.
fn unmark(dest: &fs::File, mode: u32) -> io::Result<()> {
    let meta = dest.metadata()?;
    let marked = meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o7777 == MARK | mode;
    if marked { permit(dest, mode) } else { Ok(()) }
}

fn permit(directory: &fs::File, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::fchmod(directory, Mode::from_raw_mode(mode))?)
}

/// Errors (kind `Exists`): files at the destination conflict with these names; checked before any work.
pub(super) fn refuse_existing<'a>(
    staging: &Staging,
    files: impl Iterator<Item = (&'a str, &'a Descriptor)>,
) -> Result<()> {
    let Destination::Into(dest) = &staging.target else { return Ok(()) };
    let mut in_the_way = Vec::new();
    for (path, content) in files {
        let (parent, name) = split(path);
        let Ok(directory) = directory_beneath(dest, parent) else { continue };
        let name = CString::new(name).map_err(|_| Error::invalid("the file name contains a NUL"))?;
        let free = match look(&directory, &name).map_err(io::Error::from).context(|| quoted_name(path))? {
            Some(there) => has(&directory, &name, &there, content).context(|| quoted_name(path))?,
            None => true,
        };
        if !free {
            in_the_way.push(path.to_owned());
        }
    }
    refuse(in_the_way, false)
}

/// The error for conflicting paths; with `overwrite`, they are a file on one side and a directory on the other.
fn refuse(mut in_the_way: Vec<String>, overwrite: bool) -> Result<()> {
    if in_the_way.is_empty() {
        return Ok(());
    }
    in_the_way.sort_unstable();
    let mut listed: Vec<String> = in_the_way.iter().take(LISTED).map(|name| quoted_name(name)).collect();
    let more = in_the_way.len().saturating_sub(LISTED);
    if more > 0 {
        listed.push(format!("{more} more"));
    }
    let what = if overwrite {
        "cannot replace a file by a directory, or a directory by a file"
    } else {
        "different files exist at the destination"
    };
    let error = Error::new(Kind::Exists, format!("{what}: {}", listed.join(", ")));
    Err(if overwrite { error } else { error.with_code(Code::DestinationTaken) })
}

/// Renames the staging directory to the destination, and creates missing parents.
fn appear(staged: &Path, dest: &Path) -> Result<()> {
    let parents = dest.ancestors().skip(1).filter(|a| !a.as_os_str().is_empty());
    let missing: Vec<PathBuf> = parents.take_while(|a| a.symlink_metadata().is_err()).map(Into::into).collect();
    let renamed = missing.iter().rev().try_for_each(fs::create_dir).and_then(|()| {
        match renameat_with(CWD, staged, CWD, dest, RenameFlags::NOREPLACE) {
            // The file system does not support the flag; a plain rename replaces at most an empty directory.
            Err(Errno::INVAL | Errno::NOSYS) => Ok(renameat(CWD, staged, CWD, dest)?),
            renamed => Ok(renamed?),
        }
    });
    if renamed.is_err() {
        // Directories that now have other content stay.
        missing.iter().map(fs::remove_dir).for_each(drop);
    }
    Ok(renamed?)
}

/// Moves a tree of files into another.
struct Merge<'a> {
    from: rustix::fd::BorrowedFd<'a>,
    to: rustix::fd::BorrowedFd<'a>,
    overwrite: bool,
    in_the_way: Vec<String>,
    done: Vec<(String, Done)>,
    /// The number of unchanged files.
    same: u64,
}

enum Done {
    Moved,
    Swapped,
}

/// The relation of the entries with one name in both trees.
enum Meeting {
    /// Nothing at the destination.
    Free,
    /// Two directories.
    Directories,
    /// Two equal files or links.
    Same,
    /// Two files or links that may differ.
    Files,
    /// A directory and something else.
    Unlike,
}

impl Merge<'_> {
    /// Collects all conflicts below this path.
    fn survey(&mut self, path: &str) -> Result<()> {
        self.each(path, |this, name, full, from, to| {
            match this.meeting(from, to, name).context(|| quoted_name(&full))? {
                Meeting::Free | Meeting::Same => {}
                Meeting::Directories => this.survey(&full)?,
                Meeting::Files if this.overwrite => {}
                Meeting::Files | Meeting::Unlike => this.in_the_way.push(full),
            }
            Ok(())
        })
    }

    /// Moves everything below this path, whole directories if the destination has none with the name.
    fn all(&mut self, path: &str) -> Result<()> {
        self.each(path, |this, name, full, from, to| {
            let done = match this.meeting(from, to, name).context(|| quoted_name(&full))? {
                Meeting::Directories => return this.all(&full),
                Meeting::Same => {
                    this.same = this.same.saturating_add(1);
                    return Ok(());
                }
                Meeting::Free => shift(from, to, name, RenameFlags::NOREPLACE).map(|()| Done::Moved),
                Meeting::Files if this.overwrite => {
                    shift(from, to, name, RenameFlags::EXCHANGE).map(|()| Done::Swapped)
                }
                Meeting::Files | Meeting::Unlike => Err(Errno::EXIST),
            };
            let done =
                done.map_err(io::Error::from).context(|| format!("cannot move {} into place", quoted_name(&full)))?;
            this.done.push((full, done));
            Ok(())
        })
    }

    /// Compares the entries with this name. Contents of files are compared unless they will be replaced anyway.
    fn meeting(&self, from: &OwnedFd, to: &OwnedFd, name: &CStr) -> io::Result<Meeting> {
        let Some(there) = look(to, name)? else { return Ok(Meeting::Free) };
        let here = look(from, name)?.ok_or(Errno::NOENT)?;
        Ok(match (is_directory(&here), is_directory(&there)) {
            (true, true) => Meeting::Directories,
            (false, false) if !self.overwrite && same(from, to, name, &here, &there)? => Meeting::Same,
            (false, false) => Meeting::Files,
            _ => Meeting::Unlike,
        })
    }

    /// Undoes all moves, as far as possible.
    fn undo(&mut self) {
        for (path, done) in self.done.drain(..).rev() {
            let (parent, name) = split(&path);
            let (Ok(from), Ok(to)) = (directory_beneath(self.from, parent), directory_beneath(self.to, parent)) else {
                continue;
            };
            let flags = match done {
                Done::Moved => RenameFlags::NOREPLACE,
                Done::Swapped => RenameFlags::EXCHANGE,
            };
            let _ = renameat_with(&to, name, &from, name, flags);
        }
    }

    fn each(
        &mut self,
        path: &str,
        mut visit: impl FnMut(&mut Self, &CStr, String, &OwnedFd, &OwnedFd) -> Result<()>,
    ) -> Result<()> {
        let open = |root| directory_beneath(root, path).map_err(io::Error::from).context(|| quoted_name(path));
        let (from, to) = (open(self.from)?, open(self.to)?);
        for name in names(&from).context(|| quoted_name(path))? {
            let text = name.to_string_lossy();
            let full = if path.is_empty() { text.into_owned() } else { format!("{path}/{text}") };
            visit(self, &name, full, &from, &to)?;
        }
        Ok(())
    }
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// Renames with flags, or without if the file system does not support them; the survey has checked for conflicts.
fn shift(from: &OwnedFd, to: &OwnedFd, name: &CStr, flags: RenameFlags) -> rustix::io::Result<()> {
    match renameat_with(from, name, to, name, flags) {
        Err(Errno::INVAL | Errno::NOSYS) => renameat(from, name, to, name),
        done => done,
    }
}

fn names(directory: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}
