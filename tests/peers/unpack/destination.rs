//! What a disk that fills up leaves behind: nothing.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use artifact::{Kind, plan::Compression};

use crate::{
    harness::{Test, tests},
    support::{
        disk::Disk,
        tar::{Entry, archive},
        unpacking::{Job, extract},
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["mount"]
            single a_disk_that_fills_up_is_said_and_left_as_it_was,
            plain a_part_of_the_disk_stays_free_while_a_bomb_goes_off;
    ]
}

async fn a_disk_that_fills_up_is_said_and_left_as_it_was() {
    let full = Disk::of(256).unwrap();
    let bytes = archive((0..40).map(|i| Entry::file(format!("d/{i}"), vec![b'x'; 10_000])));
    let packed = zstd::encode_all(&bytes[..], 1).unwrap();
    let job = Job::default().step("", &packed, extract(Compression::Zstd(1))).await;
    let results = [job.run(&full.path().join("dest")).await, job.run(full.path()).await];
    let left = std::fs::read_dir(full.path()).unwrap().count();
    assert!(results.iter().all(|r| r.as_ref().is_err_and(|e| e.kind() == Kind::NoSpace)), "{results:?}");
    assert_eq!(left, 0);
}

/// Free bytes, and all there are.
fn space(disk: &Path) -> (u64, u64) {
    let found = rustix::fs::statvfs(disk).unwrap();
    (found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)
}

fn a_part_of_the_disk_stays_free_while_a_bomb_goes_off() {
    let disk = Disk::of(32 << 10).unwrap();
    let (free, all) = space(disk.path());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let packed = zstd::encode_all(&archive([Entry::file("zeros", vec![0; 8 << 20])])[..], 1).unwrap();
    let mut job = Job::default();
    for i in 0..6 {
        job = runtime.block_on(job.step(&format!("d{i}"), &packed, extract(Compression::Zstd(1))));
    }
    let done = AtomicBool::new(false);
    let (error, least) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut least = free;
            while !done.load(Ordering::Relaxed) {
                least = least.min(space(disk.path()).0);
            }
            least
        });
        let error = runtime.block_on(job.run(&disk.path().join("dest"))).unwrap_err();
        done.store(true, Ordering::Relaxed);
        (error, watch.join().unwrap())
    });
    assert!(error.kind() == Kind::NoSpace && error.to_string().contains(" stay free"), "{error}");
    // The file system itself needs a little for names.
    assert!(least + (64 << 10) >= all / 20, "{least} of {all} bytes were free");
    assert_eq!(std::fs::read_dir(disk.path()).unwrap().count(), 0);
}
