//! Commands on disks that fill up, and with too few file descriptors.

use std::process::Command;

use super::{
    Dice, conclude,
    faults::clear,
    long,
    scene::{Job, Scene, said},
};
use crate::{
    harness::{Test, tests},
    support::disk::Disk,
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["mount"]
            plain a_disk_that_fills_up_is_a_clear_error_and_the_next_run_finishes;
        []
            plain too_few_file_descriptors_are_a_clear_error_and_the_next_run_finishes;
    ]
}

/// Sizes of each job in the short form.
const SHORT: usize = 1;

fn a_disk_that_fills_up_is_a_clear_error_and_the_next_run_finishes() {
    let scene = Scene::new(std::time::Duration::from_secs(3600));
    let (mut trials, mut full, mut failures) = (0, 0, Vec::new());
    for job in Job::ALL {
        let mut dice = Dice::of(&format!("{job:?} on a full disk"));
        let (reference, _) = scene.undisturbed(job, true);
        let most = if long().is_some() { 50 } else { SHORT };
        for kib in dice.some((0..50).map(|step| 40 + step * 44).collect(), most) {
            let disk = Disk::of(kib).unwrap();
            let trial = scene.trial_in(job, true, disk.path());
            let ran = trial.command().output().unwrap();
            trials += 1;
            full += usize::from(!ran.status.success());
            let told = || if ran.status.success() { Ok(()) } else { clear(&said(&ran)) };
            let judged = told().and_then(|()| trial.valid()).and_then(|()| {
                disk.remount("size=16m");
                trial.finishes(&reference)
            });
            failures.extend(judged.err().map(|what| trial.failure(&format!("{kib} KiB"), &what, &said(&ran))));
        }
    }
    assert!(long().is_none() || full * 4 > trials, "the disks were too large: {full} of {trials}");
    conclude("disks that fill up", trials, &failures);
}

fn too_few_file_descriptors_are_a_clear_error_and_the_next_run_finishes() {
    let scene = Scene::new(std::time::Duration::from_secs(3600));
    let limited = |files: usize| {
        ["sh", "-c", "ulimit -n $0; exec \"$@\""]
            .map(str::to_owned)
            .into_iter()
            .chain([files.to_string()])
            .collect::<Vec<_>>()
    };
    // With fewer, the program does not get as far as its own code.
    let least = (4..64).find(|files| {
        let mut command: Command = scene.command_by(&limited(*files), scene.path(), "ls oci:origin");
        command.output().unwrap().status.success()
    });
    let least = least.unwrap();
    let (mut trials, mut failures) = (0, Vec::new());
    for job in Job::ALL {
        let (reference, _) = scene.undisturbed(job, true);
        let step = if long().is_some() { 1 } else { 20 };
        for files in (least..least + 36).step_by(step) {
            let trial = scene.trial(job, true);
            let ran = scene.command_by(&limited(files), trial.dir(), &trial.line()).output().unwrap();
            trials += 1;
            let told = if ran.status.success() { Ok(()) } else { clear(&said(&ran)) };
            let judged = told.and_then(|()| trial.valid()).and_then(|()| trial.finishes(&reference));
            failures.extend(judged.err().map(|what| trial.failure(&format!("{files} files"), &what, &said(&ran))));
        }
    }
    conclude("too few file descriptors", trials, &failures);
}
