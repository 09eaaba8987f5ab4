//! Unfinished files: they get their names when complete, so that a crash at any point leaves the old file or the new
//! one.

use std::{
    fs::{File, Metadata},
    hash::{BuildHasher as _, Hasher as _, RandomState},
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::fs::OFlags;

use super::Dir;
use crate::error::{Context as _, Kind, Result};

/// Prefix of unfinished files. Each is locked by its writer; an unlocked one was left by a crash.
pub(crate) const TEMPORARY: &str = ".artifact-tmp-";

/// How long partial content is kept for an attempt that resumes it.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// An unfinished file under a temporary name, locked; it gets its final name, or is removed when dropped.
///
/// Partial content of a known digest is named after it, and stays when dropped or when its writer dies, so that the
/// next attempt can resume it. It need not be synced: the next attempt reads it again.
#[derive(Debug)]
pub(crate) struct TemporaryFile {
    dir: Dir,
    name: String,
    file: Arc<File>,
    kept: AtomicBool,
    stays: AtomicBool,
}

impl TemporaryFile {
    /// Creates an empty file in this directory.
    pub(crate) fn new(dir: &Dir) -> Result<Self> {
        loop {
            let name = format!("{TEMPORARY}{:016x}", RandomState::new().build_hasher().finish());
            let opened = dir.file_with(&name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL);
            let file = match opened {
                Err(e) if e.kind() == Kind::Exists => continue,
                other => other?.0,
            };
            file.lock().context(|| format!("cannot lock `{}`", dir.path().join(&name).display()))?;
            // Another process may have removed it as a leftover between creation and lock.
            if dir.holds(&name, &file)? {
                return Ok(Self::of(dir, name, file, false));
            }
        }
    }

    /// Opens the partial content that an earlier attempt left under this name; empty if there is none. `None` if it is
    /// unusable: another writer has locked it, or others have access to it.
    pub(crate) fn resume(dir: &Dir, content: &str) -> Option<Self> {
        let name = format!("{TEMPORARY}{content}");
        loop {
            let (file, meta) = dir.file_with(&name, OFlags::RDWR | OFlags::CREATE).ok()?;
            if meta.nlink() > 1 || file.try_lock().is_err() {
                return None;
            }
            // Its writer may have finished it between opening and lock.
            if dir.holds(&name, &file).ok()? {
                return Some(Self::of(dir, name, file, true));
            }
        }
    }

    fn of(dir: &Dir, name: String, file: File, stays: bool) -> Self {
        let (kept, stays) = (AtomicBool::new(false), AtomicBool::new(stays));
        Self { dir: dir.clone(), name, file: Arc::new(file), kept, stays }
    }

    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Its temporary name.
    #[cfg(test)]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its temporary path.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join(&self.name)
    }

    /// Size in bytes.
    pub(crate) fn len(&self) -> Result<u64> {
        let meta = self.file.metadata();
        Ok(meta.context(|| format!("cannot read metadata of `{}`", self.path().display()))?.len())
    }

    /// Truncates the file.
    pub(crate) fn clear(&self) -> Result<()> {
        self.file.set_len(0).context(|| format!("cannot write `{}`", self.path().display()))
    }

    pub(crate) fn write_at(&self, bytes: &[u8], at: u64) -> Result<()> {
        self.file.write_all_at(bytes, at).context(|| format!("cannot write `{}`", self.path().display()))
    }

    /// Marks the file as not worth resuming: it is removed when dropped.
    pub(crate) fn discard(&self) {
        self.stays.store(false, Ordering::Relaxed);
    }

    /// Makes the content durable and gives the file its name, replacing any file of that name. The directory is not
    /// synced.
    pub(crate) fn keep(&self, dir: &Dir, name: &str) -> Result<()> {
        self.file.sync_all().context(|| format!("cannot sync `{}`", self.path().display()))?;
        self.dir.rename(&self.name, dir, name)?;
        self.kept.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let stays = self.stays.load(Ordering::Relaxed) && self.len().is_ok_and(|len| len > 0);
        if !self.kept.load(Ordering::Relaxed) && !stays {
            // A leftover that cannot be removed now is found by the next writer.
            let _ = self.dir.remove(&self.name);
        }
    }
}

/// Writes small content atomically: a temporary file, synced, renamed, the directory synced.
pub(crate) fn replace(dir: &Dir, name: &str, content: &[u8]) -> Result<()> {
    let draft = TemporaryFile::new(dir)?;
    draft.write_at(content, 0)?;
    draft.keep(dir, name)?;
    dir.sync()
}

impl Dir {
    /// Removes leftovers of crashed writers. Keeps files locked by a live process and, for a week after their last
    /// write, partial content whose name is `wanted`.
    pub(crate) fn clean(&self, wanted: impl Fn(&str) -> bool) -> Result<()> {
        for name in self.names()? {
            let Some(content) = name.strip_prefix(TEMPORARY) else { continue };
            if wanted(content) && self.file(&name).is_ok_and(|(_, meta)| is_new(&meta)) {
                continue;
            }
            let Ok((file, _)) = self.file_with(&name, OFlags::RDWR) else { continue };
            if self.is_left(&name, &file)? {
                self.remove(&name)?;
            }
        }
        Ok(())
    }

    /// Whether no process writes this file; it is locked then. Its writer may have finished it since it was opened, and
    /// another one begun anew under its name.
    fn is_left(&self, name: &str, file: &File) -> Result<bool> {
        Ok(file.try_lock().is_ok() && self.holds(name, file)?)
    }
}

/// True if the file was written to within a week. After a clock was set back, a file may seem to come from the future.
fn is_new(meta: &Metadata) -> bool {
    meta.modified().is_ok_and(|time| time.elapsed().unwrap_or_default() < KEPT)
}

#[cfg(test)]
mod tests {
    use super::{super::dir::tests::dir, *};

    #[test]
    fn leftovers_are_removed_but_not_those_of_a_living_writer() {
        let (temp, dir) = dir();
        std::fs::write(temp.path().join(format!("{TEMPORARY}dead")), b"half").unwrap();
        let living = TemporaryFile::new(&dir).unwrap();
        dir.clean(|_| false).unwrap();
        assert_eq!(dir.names().unwrap(), [living.name()]);
        drop(living);
        assert!(dir.names().unwrap().is_empty());
    }

    #[test]
    fn a_file_that_began_under_the_name_of_a_finished_one_is_no_leftover() {
        let (_temp, dir) = dir();
        let first = TemporaryFile::resume(&dir, &digits()).unwrap();
        let name = first.name().to_owned();
        let (seen, _) = dir.file_with(&name, OFlags::RDWR).unwrap();
        assert!(!dir.is_left(&name, &seen).unwrap(), "while it is written");
        first.keep(&dir, &digits()).unwrap();
        drop(first);
        let second = TemporaryFile::resume(&dir, &digits()).unwrap();
        assert_eq!(second.name(), name);
        assert!(!dir.is_left(&name, &seen).unwrap(), "what was seen is finished");
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

    fn digits() -> String {
        "0a".repeat(32)
    }

    #[test]
    fn a_part_is_taken_up_by_one_writer_and_stays_until_it_is_whole_or_wrong() {
        let (_temp, dir) = dir();
        let first = TemporaryFile::resume(&dir, &digits()).unwrap();
        assert!(TemporaryFile::resume(&dir, &digits()).is_none());
        first.write_at(b"half", 0).unwrap();
        drop(first);
        let second = TemporaryFile::resume(&dir, &digits()).unwrap();
        assert_eq!(second.len().unwrap(), 4);
        second.discard();
        drop(second);
        assert!(dir.names().unwrap().is_empty());
        let third = TemporaryFile::resume(&dir, &digits()).unwrap();
        third.write_at(b"whole", 0).unwrap();
        third.keep(&dir, &digits()).unwrap();
        drop(third);
        assert_eq!(dir.names().unwrap(), [digits()]);
    }

    #[test]
    fn a_part_without_a_byte_does_not_stay() {
        let (_temp, dir) = dir();
        drop(TemporaryFile::resume(&dir, &digits()).unwrap());
        assert!(dir.names().unwrap().is_empty());
    }

    #[test]
    fn what_leads_to_another_file_is_not_written_to() {
        let (temp, dir) = dir();
        let (victim, part) = (temp.path().join("victim"), temp.path().join(format!("{TEMPORARY}{}", digits())));
        std::fs::write(&victim, b"precious").unwrap();
        std::fs::hard_link(&victim, &part).unwrap();
        assert!(TemporaryFile::resume(&dir, &digits()).is_none());
        std::fs::remove_file(&part).unwrap();
        std::os::unix::fs::symlink(&victim, &part).unwrap();
        assert!(TemporaryFile::resume(&dir, &digits()).is_none());
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    }
}
