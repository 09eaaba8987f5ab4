//! Files in the making.

use std::{
    fs::File,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::fs::OFlags;

use super::{Dir, TEMPORARY, cannot};
use crate::error::{Context as _, Kind, Result};

/// A file in the making, under a temporary name and locked: it gets its name, or vanishes when dropped.
///
/// One that holds a part of known content is called after it, and stays when it is dropped or its writer dies: the next
/// attempt goes on with it. It need not be synced, since whoever goes on reads it again.
#[derive(Debug)]
pub(in crate::stores) struct Draft {
    dir: Dir,
    name: String,
    file: Arc<File>,
    kept: AtomicBool,
    stays: AtomicBool,
}

impl Draft {
    /// An empty file in this directory.
    pub(in crate::stores) fn new(dir: &Dir) -> Result<Self> {
        loop {
            let name = format!("{TEMPORARY}{:016x}", RandomState::new().build_hasher().finish());
            let opened = dir.file_with(&name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL);
            let file = match opened {
                Err(e) if e.kind() == Kind::Exists => continue,
                other => other?.0,
            };
            file.lock().context(|| format!("cannot lock `{}`", dir.path.join(&name).display()))?;
            // Between creation and lock, another process may have taken it for a leftover.
            if dir.holds(&name, &file)? {
                return Ok(Self::of(dir, name, file, false));
            }
        }
    }

    /// The part of some content, by the digits of its digest, that an earlier attempt left; empty when there is none.
    /// Nothing when it cannot be had: another writer is at it, or it is something that others can reach, too.
    pub(in crate::stores) fn resume(dir: &Dir, digits: &str) -> Option<Self> {
        let name = format!("{TEMPORARY}{digits}");
        loop {
            let (file, meta) = dir.file_with(&name, OFlags::RDWR | OFlags::CREATE).ok()?;
            if meta.nlink() > 1 || file.try_lock().is_err() {
                return None;
            }
            // Between opening and lock, its writer may have finished it.
            if dir.holds(&name, &file).ok()? {
                return Some(Self::of(dir, name, file, true));
            }
        }
    }

    fn of(dir: &Dir, name: String, file: File, stays: bool) -> Self {
        let (kept, stays) = (AtomicBool::new(false), AtomicBool::new(stays));
        Self { dir: dir.clone(), name, file: Arc::new(file), kept, stays }
    }

    /// The open file.
    pub(in crate::stores) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// The same file, opened again to be read.
    pub(in crate::stores) fn reopen(&self) -> Result<File> {
        Ok(self.dir.file(&self.name)?.0)
    }

    /// Its name for now.
    #[cfg(test)]
    pub(in crate::stores) fn name(&self) -> &str {
        &self.name
    }

    /// Where it is for now.
    pub(in crate::stores) fn path(&self) -> PathBuf {
        self.dir.path.join(&self.name)
    }

    /// How many bytes it has.
    pub(in crate::stores) fn len(&self) -> Result<u64> {
        let meta = self.file.metadata();
        Ok(meta.context(|| format!("cannot look at `{}`", self.path().display()))?.len())
    }

    /// Throws away what is in it.
    pub(in crate::stores) fn clear(&self) -> Result<()> {
        self.file.set_len(0).context(|| format!("cannot write `{}`", self.path().display()))
    }

    /// Writes at a position.
    pub(in crate::stores) fn write_at(&self, bytes: &[u8], at: u64) -> Result<()> {
        self.file.write_all_at(bytes, at).context(|| format!("cannot write `{}`", self.path().display()))
    }

    /// Says that nobody should go on with it: it will vanish.
    pub(in crate::stores) fn discard(&self) {
        self.stays.store(false, Ordering::Relaxed);
    }

    /// Makes the content durable and gives the file its name, replacing what had it. The directory is not synced.
    pub(in crate::stores) fn keep(&self, dir: &Dir, name: &str) -> Result<()> {
        self.file.sync_all().context(|| format!("cannot sync `{}`", self.path().display()))?;
        rustix::fs::renameat(&*self.dir.fd, &*self.name, &*dir.fd, name)
            .map_err(|e| cannot("write", &dir.path.join(name), e))?;
        self.kept.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let stays = self.stays.load(Ordering::Relaxed) && self.len().is_ok_and(|len| len > 0);
        if !self.kept.load(Ordering::Relaxed) && !stays {
            // A leftover that cannot be removed now is found by the next writer.
            let _ = self.dir.remove(&self.name);
        }
    }
}

/// Writes small content at once: a temporary file, synced, renamed, the directory synced.
pub(in crate::stores) fn replace(dir: &Dir, name: &str, content: &[u8]) -> Result<()> {
    let draft = Draft::new(dir)?;
    draft.write_at(content, 0)?;
    draft.keep(dir, name)?;
    dir.sync()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::dir, *};

    fn digits() -> String {
        "0a".repeat(32)
    }

    #[test]
    fn a_part_is_taken_up_by_one_writer_and_stays_until_it_is_whole_or_wrong() {
        let (_temp, dir) = dir();
        let first = Draft::resume(&dir, &digits()).unwrap();
        assert!(Draft::resume(&dir, &digits()).is_none());
        first.write_at(b"half", 0).unwrap();
        drop(first);
        let second = Draft::resume(&dir, &digits()).unwrap();
        assert_eq!(second.len().unwrap(), 4);
        second.discard();
        drop(second);
        assert!(dir.names().unwrap().is_empty());
        let third = Draft::resume(&dir, &digits()).unwrap();
        third.write_at(b"whole", 0).unwrap();
        third.keep(&dir, &digits()).unwrap();
        drop(third);
        assert_eq!(dir.names().unwrap(), [digits()]);
    }

    #[test]
    fn a_part_without_a_byte_does_not_stay() {
        let (_temp, dir) = dir();
        drop(Draft::resume(&dir, &digits()).unwrap());
        assert!(dir.names().unwrap().is_empty());
    }

    #[test]
    fn what_leads_to_another_file_is_not_written_to() {
        let (temp, dir) = dir();
        let (victim, part) = (temp.path().join("victim"), temp.path().join(format!("{TEMPORARY}{}", digits())));
        std::fs::write(&victim, b"precious").unwrap();
        std::fs::hard_link(&victim, &part).unwrap();
        assert!(Draft::resume(&dir, &digits()).is_none());
        std::fs::remove_file(&part).unwrap();
        std::os::unix::fs::symlink(&victim, &part).unwrap();
        assert!(Draft::resume(&dir, &digits()).is_none());
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    }
}
