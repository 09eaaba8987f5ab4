//! The only writer of files with names from artifacts. It works through descriptors of directories inside the staging
//! directory, creates files but never opens existing ones, and creates links last.

use std::{
    collections::{HashMap, HashSet},
    ffi::{CString, OsStr},
    fs::File,
    hash::{BuildHasher as _, RandomState},
    io::Write as _,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    rc::Rc,
    time::Duration,
};

use rustix::{
    fs::{self, AtFlags, Dir, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT},
    io::Errno,
};

use super::{
    Report,
    name::{Name, split},
    taken_names::TakenNames,
};
use crate::{
    error::{Context as _, Error, Kind, Result},
    fs::{Room, directory_beneath, escape, look},
    tarball::read::quoted_name,
};

/// Limit of open directories.
const OPEN: usize = 64;

/// Limit of bytes of names kept until the end: of links, and of directories with a mode or time.
const MAX_KEPT: usize = 64 << 20;

/// Creates files below a directory. It follows and replaces nothing, and creates nothing elsewhere.
pub(super) struct Writer {
    root: Rc<OwnedFd>,
    /// The permission bits allowed by the umask.
    allowed: u32,
    open: HashMap<String, Rc<OwnedFd>>,
    /// The directories that were made, as hashes with random keys: whatever else is in the way is another name.
    made: HashSet<u64>,
    keys: RandomState,
    directories: Vec<(String, u32, Duration)>,
    links: Vec<Link>,
    kept: usize,
    room: Room,
    pub(super) claims: TakenNames,
    pub(super) report: Report,
    /// The number of members with ignored attributes.
    pub(super) ignored: u64,
    /// The number of members with a time before 1970 or after 9999.
    pub(super) times: u64,
    /// The number of members with an absolute name.
    pub(super) absolute: u64,
    dropped: Dropped,
}

struct Link {
    name: String,
    target: LinkTarget,
    mtime: Duration,
}

/// The target of a link.
pub(super) enum LinkTarget {
    /// The checked text of a symbolic link.
    Symbolic(String),
    /// An existing file, for a hard link.
    Hard(String),
}

/// Counts of members with dropped permissions.
#[derive(Default)]
struct Dropped {
    special: u64,
    shared: u64,
    locked: u64,
}

impl Writer {
    /// A writer below this directory; `allowed` has the permission bits allowed by the umask.
    pub(super) fn new(root: OwnedFd, allowed: u32, claims: TakenNames, room: Room) -> Self {
        Self {
            root: Rc::new(root),
            allowed,
            open: HashMap::new(),
            made: HashSet::new(),
            keys: RandomState::new(),
            directories: Vec::new(),
            links: Vec::new(),
            kept: 0,
            room,
            claims,
            report: Report::default(),
            ignored: 0,
            times: 0,
            absolute: 0,
            dropped: Dropped::default(),
        }
    }

    /// Creates a file; its name must have been claimed. After writing, [`stamp`] sets its time.
    pub(super) fn file(&mut self, name: &Name, mode: u32) -> Result<File> {
        let (parent, last) = split(name.as_str());
        let directory = self.directory_at(parent)?;
        self.room.make()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(&*directory, last, flags, Mode::from_raw_mode(self.permissions(mode)));
        self.report.files = self.report.files.saturating_add(1);
        Ok(File::from(file.map_err(|e| failed(&directory, last, e)).context(|| "cannot create the file")?))
    }

    /// Writes to a file that [`Self::file`] created.
    pub(super) fn write(&mut self, file: &mut File, bytes: &[u8]) -> Result<()> {
        self.room.write(bytes.len())?;
        file.write_all(bytes).context(|| "cannot write")?;
        self.report.bytes = self.report.bytes.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// Creates a directory, or reuses one implied by a member.
    pub(super) fn directory(&mut self, name: &Name, mode: u32, mtime: Duration) -> Result<()> {
        if mode & 0o700 != 0o700 {
            self.dropped.locked = self.dropped.locked.saturating_add(1);
        }
        // A directory without owner access could neither be filled nor removed.
        let mode = self.permissions(mode) | 0o700;
        self.directory_at(name.as_str())?;
        self.keep(name.as_str().len())?;
        self.directories.push((name.to_string(), mode, mtime));
        Ok(())
    }

    /// Creates a directory and its parents, unless they exist.
    pub(super) fn implied(&mut self, name: &Name) -> Result<()> {
        self.directory_at(name.as_str()).map(drop)
    }

    /// Adds a link, to be created by [`Self::finish`].
    pub(super) fn link(&mut self, name: &Name, target: LinkTarget, mtime: Duration) -> Result<()> {
        let (LinkTarget::Symbolic(text) | LinkTarget::Hard(text)) = &target;
        self.keep(name.as_str().len().saturating_add(text.len()))?;
        self.links.push(Link { name: name.to_string(), target, mtime });
        Ok(())
    }

    /// Creates the links, then sets modes and times of directories.
    pub(super) fn finish(mut self) -> Result<Report> {
        for link in std::mem::take(&mut self.links) {
            self.make_link(&link).context(|| quoted_name(&link.name))?;
        }
        for (name, mode, mtime) in std::mem::take(&mut self.directories) {
            let directory = self.directory_at(&name)?;
            let set = || {
                fs::fchmod(&*directory, Mode::from_raw_mode(mode & self.allowed))?;
                fs::futimens(&*directory, &times(mtime))
            };
            set().map_err(std::io::Error::from).context(|| quoted_name(&name))?;
        }
        self.note();
        Ok(self.report)
    }

    fn make_link(&mut self, link: &Link) -> Result<()> {
        let (parent, last) = split(&link.name);
        let directory = self.directory_at(parent)?;
        self.room.make()?;
        let made = match &link.target {
            LinkTarget::Symbolic(target) => fs::symlinkat(target.as_str(), &*directory, last)
                .and_then(|()| fs::utimensat(&*directory, last, &times(link.mtime), AtFlags::SYMLINK_NOFOLLOW)),
            LinkTarget::Hard(target) => {
                let (parent, name) = split(target);
                let from = self.directory_at(parent)?;
                fs::linkat(&*from, name, &*directory, last, AtFlags::empty())
            }
        };
        made.map_err(|e| failed(&directory, last, e)).context(|| "cannot create the link")?;
        self.report.links = self.report.links.saturating_add(1);
        Ok(())
    }

    /// Opens the directory at this path; creates it and its parents if missing.
    fn directory_at(&mut self, path: &str) -> Result<Rc<OwnedFd>> {
        if path.is_empty() {
            return Ok(Rc::clone(&self.root));
        }
        if let Some(open) = self.open.get(path) {
            return Ok(Rc::clone(open));
        }
        let known = self.keys.hash_one(path);
        let opened = if self.made.contains(&known) {
            let opened = directory_beneath(&*self.root, path).map_err(std::io::Error::from);
            opened.context(|| format!("cannot open {}", quoted_name(path)))?
        } else {
            self.make_directory(path)?
        };
        self.made.insert(known);
        if self.open.len() >= OPEN {
            self.open.clear();
        }
        let opened = Rc::new(opened);
        self.open.insert(path.to_owned(), Rc::clone(&opened));
        Ok(opened)
    }

    fn make_directory(&mut self, path: &str) -> Result<OwnedFd> {
        let (parent, last) = split(path);
        let parent = self.directory_at(parent)?;
        self.room.make()?;
        let made =
            fs::mkdirat(&*parent, last, Mode::from_raw_mode(0o755)).and_then(|()| directory_beneath(&*parent, last));
        self.report.directories = self.report.directories.saturating_add(1);
        made.map_err(|e| failed(&parent, last, e))
            .context(|| format!("cannot create the directory {}", quoted_name(path)))
    }

    /// The allowed bits of a mode: no set-id or sticky bits, no write permission for others. The system then applies
    /// the umask.
    fn permissions(&mut self, mode: u32) -> u32 {
        if mode & 0o7000 != 0 {
            self.dropped.special = self.dropped.special.saturating_add(1);
        }
        if mode & 0o022 != 0 {
            self.dropped.shared = self.dropped.shared.saturating_add(1);
        }
        mode & 0o755
    }

    /// Adds one note per kind of dropped attribute.
    fn note(&mut self) {
        for (count, what) in [
            (self.dropped.special, "lost set-user-id, set-group-id or sticky bits"),
            (self.dropped.shared, "lost write permission for group and others"),
            (self.dropped.locked, "are directories and gained access for their owner"),
            (self.ignored, "lost extended attributes"),
            (self.times, "have a time before 1970 or after 9999 and got the nearest one"),
            (self.absolute, "lost the slash at the start of their name"),
        ] {
            if count > 0 {
                self.report.notes.push(format!("{count} members {what}"));
            }
        }
    }

    fn keep(&mut self, bytes: usize) -> Result<()> {
        self.kept = self.kept.saturating_add(bytes);
        if self.kept > MAX_KEPT {
            return Err(Error::limit(format!("the names of directories and links exceed {MAX_KEPT} bytes")));
        }
        Ok(())
    }
}

/// The error for what could not be made in a directory under this name. Names are claimed once, so what is there already
/// was made under another name that the file system takes for the same.
fn failed(directory: impl AsFd, name: &str, errno: Errno) -> Error {
    match (errno, stored(directory, name)) {
        (Errno::EXIST, Some(other)) => Error::new(
            Kind::Exists,
            format!("{} and {} are one name on this file system", quoted_name(&other), quoted_name(name)),
        ),
        _ => std::io::Error::from(errno).into(),
    }
}

/// The name under which the file system has what it finds under this name, if it is another.
fn stored(directory: impl AsFd, name: &str) -> Option<String> {
    let found = look(&directory, &CString::new(name).ok()?).ok()??;
    let entries = Dir::read_from(&directory).ok()?.filter_map(Result::ok);
    let mut same = entries.filter(|entry| entry.file_name().to_bytes() != name.as_bytes()).filter(|entry| {
        let there = look(&directory, entry.file_name()).ok().flatten();
        there.is_some_and(|there| (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino))
    });
    Some(escape(OsStr::from_bytes(same.next()?.file_name().to_bytes())))
}

/// Sets the modification time of a file.
pub(super) fn stamp(file: &File, mtime: Duration) -> std::io::Result<()> {
    Ok(fs::futimens(file, &times(mtime))?)
}

fn times(mtime: Duration) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec {
            tv_sec: i64::try_from(mtime.as_secs()).unwrap_or_default(),
            tv_nsec: mtime.subsec_nanos().into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tarball::read::Limits;

    /// A writer in a directory where the file system has `README`, and finds it also under another name: as a hard link
    /// shows here, a folding file system with one that differs in case.
    fn where_two_names_are_one() -> (tempfile::TempDir, Writer) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("README"), "first").unwrap();
        std::fs::hard_link(dir.path().join("README"), dir.path().join("readme")).unwrap();
        let open = || File::open(dir.path()).unwrap();
        let writer = Writer::new(open().into(), 0o755, TakenNames::new(9), Room::below(dir.path(), open()));
        (dir, writer)
    }

    #[test]
    fn a_name_that_the_file_system_takes_for_another_is_an_error_with_both() {
        let name = Name::parse("readme", &Limits::default()).unwrap();
        let make: [fn(&mut Writer, &Name) -> Result<()>; 3] = [
            |writer, name| writer.file(name, 0o644).map(drop),
            |writer, name| writer.directory(name, 0o755, Duration::ZERO),
            |writer, name| {
                let target = LinkTarget::Symbolic("x".into());
                writer.make_link(&Link { name: name.to_string(), target, mtime: Duration::ZERO })
            },
        ];
        for make in make {
            let (dir, mut writer) = where_two_names_are_one();
            let error = make(&mut writer, &name).unwrap_err();
            assert_eq!(error.kind(), Kind::Exists);
            assert!(error.to_string().contains("`README` and `readme` are one name on this file system"), "{error}");
            assert_eq!(std::fs::read_to_string(dir.path().join("README")).unwrap(), "first");
        }
    }

    #[test]
    fn a_directory_that_was_not_made_under_this_name_is_not_entered() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("d")).unwrap();
        let open = || File::open(dir.path()).unwrap();
        let mut writer = Writer::new(open().into(), 0o755, TakenNames::new(9), Room::below(dir.path(), open()));
        let name = Name::parse("d/f", &Limits::default()).unwrap();
        assert_eq!(writer.file(&name, 0o644).unwrap_err().kind(), Kind::Exists);
        assert!(!dir.path().join("d/f").exists());
    }
}
