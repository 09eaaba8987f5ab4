//! Archives that zstd compresses as we do not.

use std::process::Stdio;

use artifact::plan::Compression;

use crate::{
    harness::{Test, tests},
    support::{
        peer,
        tar::{Entry, archive},
        unpacking::{Job, World, extract},
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["zstd"]
            single a_frame_that_needs_a_dictionary_is_refused;
    ]
}

async fn a_frame_that_needs_a_dictionary_is_refused() {
    let zstd = peer("zstd");
    let dir = tempfile::tempdir().unwrap();
    for i in 0..200 {
        std::fs::write(dir.path().join(i.to_string()), format!("sample {i} of some text that repeats, {i}")).unwrap();
    }
    let run = |command: &mut std::process::Command| {
        assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
    };
    let all = (0..200).map(|i| i.to_string());
    run(std::process::Command::new(&zstd)
        .current_dir(&dir)
        .args(["--train", "--maxdict=1024", "-o", "dict"])
        .args(all));
    std::fs::write(dir.path().join("good"), archive([Entry::file("a", "sample of some text")])).unwrap();
    run(std::process::Command::new(&zstd).current_dir(&dir).args(["-D", "dict", "good"]));
    let bytes = std::fs::read(dir.path().join("good.zst")).unwrap();
    Job::default().step("", &bytes, extract(Compression::Zstd(3))).await.refused(&World::new(), "Z11").await;
}
