//! The only writer of files with names from artifacts. It works through descriptors of directories inside the staging
//! directory, creates files but never opens existing ones, and creates links last.

use std::{collections::HashMap, fs::File, io::Write as _, os::fd::OwnedFd, rc::Rc, time::Duration};

use rustix::{
    fs::{self, AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT},
    io::Errno,
};

use super::{
    Report,
    name::{Name, split},
    room::Room,
    taken_names::TakenNames,
};
use crate::{
    error::{Context as _, Error, Result},
    fs::directory_beneath,
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
    directories: Vec<(String, u32, Duration)>,
    links: Vec<Link>,
    kept: usize,
    room: Room,
    pub(super) claims: TakenNames,
    pub(super) report: Report,
    /// The number of members with ignored attributes.
    pub(super) ignored: u64,
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
            directories: Vec::new(),
            links: Vec::new(),
            kept: 0,
            room,
            claims,
            report: Report::default(),
            ignored: 0,
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
        Ok(File::from(file.map_err(std::io::Error::from).context(|| "cannot create the file")?))
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
        made.map_err(std::io::Error::from).context(|| "cannot create the link")?;
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
        let opened = match directory_beneath(&*self.root, path) {
            Err(Errno::NOENT) => self.make_directory(path)?,
            opened => opened.map_err(std::io::Error::from).context(|| format!("cannot open {}", quoted_name(path)))?,
        };
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
        made.map_err(std::io::Error::from).context(|| format!("cannot create the directory {}", quoted_name(path)))
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
