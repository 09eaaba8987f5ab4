//! Full and read-only disks: a clean error, nothing half visible, what was there stays whole.

use std::{path::Path, sync::Arc};

use artifact::{
    Kind,
    store::{Store, remove_name},
    stores::{Archive, Decompression, Layout},
};

use crate::{
    harness::{Test, tests},
    support::{
        disk::Disk,
        samples::{Sample, deliver, named, noise, ref_name},
        writing::read,
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["mount"]
            single a_full_disk_is_a_clean_error_at_every_size,
            single a_read_only_disk_is_read_and_not_written,
            single a_part_of_the_disk_stays_free_while_an_archive_is_decompressed;
    ]
}

async fn a_part_of_the_disk_stays_free_while_an_archive_is_decompressed() {
    let (disk, dir) = (Disk::of(4 << 10).unwrap(), tempfile::tempdir().unwrap());
    let path = dir.path().join("x.tar.zst");
    for (zeros, fits) in [(1 << 20, true), (8 << 20, false)] {
        std::fs::write(&path, zstd::encode_all(&vec![0; zeros][..], 1).unwrap()).unwrap();
        let error = Archive::open_with(&path, &Decompression::new(disk.path())).unwrap_err();
        assert_eq!(error.kind() == Kind::NoSpace, !fits, "{error}");
        assert!(fits || error.to_string().contains(" stay free"), "{error}");
        assert_eq!(std::fs::read_dir(disk.path()).unwrap().count(), 0);
    }
}

fn layout(dir: &Path) -> artifact::Result<Arc<dyn Store>> {
    Ok(Arc::new(Layout::create(dir.join("layout"))?))
}

fn archive(dir: &Path) -> artifact::Result<Arc<dyn Store>> {
    Ok(Arc::new(Archive::create(dir.join("x.tar"))?))
}

type Open = fn(&Path) -> artifact::Result<Arc<dyn Store>>;

const STORES: [Open; 2] = [layout, archive];

async fn whole(store: &Arc<dyn Store>, sample: &Sample, tag: &str) {
    assert_eq!(store.resolve(&named(tag)).await.unwrap(), *sample.root());
    for (desc, bytes) in sample.all() {
        assert!(read(store.as_ref(), desc, 8 << 20).await.unwrap() == bytes);
    }
}

/// Names of files in a directory and below.
fn files(dir: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path.display().to_string()) }
    }
}

async fn a_full_disk_is_a_clean_error_at_every_size() {
    let (small, big) = (Sample::of(&[b"small"]), Sample::of(&[&noise(40_000, 1), &noise(300_000, 2), b"tail"]));
    for open in STORES {
        let mut outcomes = Vec::new();
        for kib in (60..=520).step_by(20) {
            let disk = Disk::of(kib).unwrap();
            let store = open(disk.path()).unwrap();
            deliver(&store, &small, &["v1"]).await.unwrap();
            let outcome = deliver(&store, &big, &["v2"]).await;
            drop(store);
            let store = open(disk.path()).unwrap();
            whole(&store, &small, "v1").await;
            match outcome {
                Ok(()) => whole(&store, &big, "v2").await,
                Err(e) => {
                    assert_eq!(e.kind(), Kind::NoSpace, "{kib} KiB: {e}");
                    assert_eq!(store.list_names().await.unwrap().names, ["v1"]);
                    let mut left = Vec::new();
                    files(disk.path(), &mut left);
                    assert!(!left.iter().any(|name| name.contains("artifact-")), "{left:?}");
                }
            }
            outcomes.push(store.list_names().await.unwrap().names.len());
            disk.remount("size=2m");
            deliver(&store, &big, &["v2"]).await.unwrap();
            whole(&store, &big, "v2").await;
        }
        assert!(outcomes.contains(&1) && outcomes.contains(&2), "{outcomes:?}");
    }
}

async fn a_read_only_disk_is_read_and_not_written() {
    let disk = Disk::of(1024).unwrap();
    let (one, two) = (Sample::of(&[b"one"]), Sample::of(&[b"two"]));
    for open in STORES {
        deliver(&open(disk.path()).unwrap(), &one, &["v1"]).await.unwrap();
    }
    disk.remount("ro");
    let stores: [Arc<dyn Store>; 2] = [
        Arc::new(Layout::open(disk.path().join("layout")).unwrap()),
        Arc::new(Archive::open(disk.path().join("x.tar")).unwrap()),
    ];
    for store in stores {
        whole(&store, &one, "v1").await;
        assert_eq!(deliver(&store, &two, &["v2"]).await.unwrap_err().kind(), Kind::ReadOnly, "{store}");
        assert_eq!(remove_name(&*store, ref_name("v1")).await.unwrap_err().kind(), Kind::ReadOnly, "{store}");
        whole(&store, &one, "v1").await;
    }
}
