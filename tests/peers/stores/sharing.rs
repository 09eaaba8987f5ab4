//! Two layouts on a file system that lets files share their blocks.

use std::{path::Path, process::Command, sync::Arc};

use artifact::{
    Kind,
    copy::{self, Options},
    store::{ReadStore, Store},
    stores::Layout,
};

use crate::{
    harness::{Test, tests},
    support::{
        peer, run,
        samples::{Sample, deliver, named, names, noise},
        writing::{has, read},
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["mkfs.btrfs"]
            single a_layout_takes_large_files_of_another_one_without_a_copy_and_verifies_them;
    ]
}

const SIZE: usize = 32 << 20;

/// A btrfs of its own, gone when dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Self {
        let (mkfs, dir) = (peer("mkfs.btrfs"), tempfile::tempdir().unwrap());
        let (image, place) = (dir.path().join("image"), dir.path().join("mounted"));
        std::fs::File::create(&image).unwrap().set_len(256 << 20).unwrap();
        run(Command::new(mkfs).arg("--quiet").arg(&image));
        std::fs::create_dir(&place).unwrap();
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&place));
        Self(dir)
    }

    fn join(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join("mounted").join(name)
    }

    /// Bytes that are free once everything is written.
    fn free(&self) -> u64 {
        run(Command::new("sync").arg("-f").arg(self.join(".")));
        let known = rustix::fs::statvfs(self.join(".")).unwrap();
        known.f_bfree * known.f_frsize
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.join(".")).status();
    }
}

async fn carry(from: &Path, to: &Path) -> artifact::Result<()> {
    let from: Arc<dyn ReadStore> = Arc::new(Layout::open(from)?);
    let to: Arc<dyn Store> = Arc::new(Layout::create(to)?);
    copy::between(&from, &named("v1"), &to, &Options { names: names(&["v1"]), ..Options::default() }).await.map(drop)
}

async fn a_layout_takes_large_files_of_another_one_without_a_copy_and_verifies_them() {
    let disk = Disk::new();
    let (one, two, three) = (disk.join("one"), disk.join("two"), disk.join("three"));
    let sample = Sample::of(&[&noise(SIZE, 1)]);
    let store: Arc<dyn Store> = Arc::new(Layout::create(&one).unwrap());
    deliver(&store, &sample, &["v1"]).await.unwrap();
    let before = disk.free();
    carry(&one, &two).await.unwrap();
    let taken = before.saturating_sub(disk.free());
    assert!(taken < SIZE as u64 / 4, "{taken} bytes");
    let (layer, bytes) = sample.layer();
    assert!(read(&Layout::open(&two).unwrap(), layer, SIZE as u64).await.unwrap() == bytes);

    let mut wrong = bytes.to_vec();
    wrong[SIZE / 2] ^= 1;
    std::fs::write(one.join("blobs/sha256").join(layer.digest.hex()), wrong).unwrap();
    assert_eq!(carry(&one, &three).await.unwrap_err().kind(), Kind::Mismatch);
    assert!(!has(&Layout::open(&three).unwrap(), layer).await.unwrap());
    // What was taken before is a file of its own.
    assert!(read(&Layout::open(&two).unwrap(), layer, SIZE as u64).await.unwrap() == bytes);
}
