//! Small disks, that fill up, and that can be made read-only.

use std::{path::Path, process::Command};

use super::run;

/// A small file system of its own in memory, gone when dropped.
pub(crate) struct Disk(tempfile::TempDir);

impl Disk {
    /// `None` where mounting is not permitted.
    pub(crate) fn of(kib: usize) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={kib}k");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output();
        if done.is_ok_and(|out| out.status.success()) {
            return Some(Self(dir));
        }
        None
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Changes a mount option, as `size=2m` or `ro`.
    pub(crate) fn remount(&self, option: &str) {
        run(Command::new("mount").args(["-o", &format!("remount,{option}")]).arg(self.path()));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}
