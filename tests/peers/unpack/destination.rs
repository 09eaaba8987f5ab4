//! What a disk that fills up leaves behind: nothing.

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
            single a_disk_that_fills_up_is_said_and_left_as_it_was;
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
