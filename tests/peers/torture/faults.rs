//! A fault at the nth file operation, for every n: one clear error, nothing half visible, and the next run finishes.

use super::{
    Dice, Outcome, conclude,
    content::{Listing, UNFINISHED},
    long,
    points::{Point, points, traced},
    scene::{Job, Scene, Trial},
};
use crate::{
    harness::{Test, tests},
    support::strace::{Strace, Traced},
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["strace"]
            plain a_fault_at_any_file_operation_is_one_clear_error_and_the_next_run_finishes,
            plain a_disk_that_says_nothing_about_its_files_is_an_error_and_not_a_loop,
            plain a_file_system_without_locks_is_an_error_and_not_a_loop;
    ]
}

/// Faults of each job in the short form.
const SHORT: usize = 3;

const ERRORS: [&str; 5] = ["ENOSPC", "EIO", "EDQUOT", "EROFS", "EMFILE"];

/// Whether a system may answer this operation so.
fn may(error: &str, point: &Point) -> bool {
    let call = point.call.trim_end_matches("at2").trim_end_matches("at");
    let text = &point.text;
    let opens = matches!(call, "open");
    let changes = matches!(call, "mkdir" | "rename" | "ftruncate" | "link" | "symlink");
    let makes = opens && text.contains("O_CREAT");
    match error {
        "ENOSPC" | "EDQUOT" => makes || changes || is_write(&point.call),
        "EROFS" => {
            let writes = opens && (text.contains("O_RDWR") || text.contains("O_WRONLY"));
            makes || writes || changes || matches!(call, "unlink" | "rmdir" | "fchmod" | "utimens")
        }
        "EMFILE" => opens || text.contains("F_DUPFD"),
        _ => call != "fcntl",
    }
}

/// Whether all later operations of this name may fail too: those that only files know, of which the runtime has none.
fn lasts(call: &str) -> bool {
    !matches!(call, "read" | "write" | "fcntl" | "ioctl" | "openat" | "open")
}

/// What must not fail unnoticed.
fn is_write(call: &str) -> bool {
    matches!(call, "write" | "pwrite64" | "fsync" | "fdatasync" | "fallocate" | "copy_file_range" | "sendfile")
}

fn a_fault_at_any_file_operation_is_one_clear_error_and_the_next_run_finishes() {
    let strace = Strace::find().unwrap();
    let scene = Scene::new(std::time::Duration::from_secs(3600));
    let (mut trials, mut failures) = (0, Vec::new());
    for job in Job::ALL {
        let mut dice = Dice::of(&format!("{job:?} with faults"));
        let seeded = dice.below(3) != 0;
        let (reference, _) = scene.undisturbed(job, seeded);
        let points = points(&strace, &scene, &scene.trial(job, seeded));
        let pairs = points.iter().flat_map(|point| ERRORS.map(|error| (point, error)));
        let pairs: Vec<_> = pairs.filter(|(point, error)| may(error, point)).collect();
        let most = long().unwrap_or(SHORT);
        for (point, error) in dice.some(pairs, most) {
            let trial = scene.trial(job, seeded);
            // Errors of a disk that is full or broken stay.
            let on = if lasts(&point.call) && dice.below(2) == 0 { "+" } else { "" };
            let inject = format!("{}:error={error}:when={}{on}", point.call, point.nth);
            let traced = traced(&strace, &scene, &trial, Some(&inject));
            let Some(hit) = traced.injected(scene.path()).cloned().filter(|_| traced.only_files()) else { continue };
            trials += 1;
            let how = format!("{inject} at {}", hit.text);
            failures.extend(judge(&trial, &traced, &reference).err().map(|e| trial.failure(&how, &e, &traced.said)));
        }
    }
    conclude("faults at file operations", trials, &failures);
}

fn a_disk_that_says_nothing_about_its_files_is_an_error_and_not_a_loop() {
    let strace = Strace::find().unwrap();
    let scene = Scene::new(std::time::Duration::from_secs(3600));
    // Not `statx`: where that fails, the standard library asks in the older way.
    let call = "newfstatat";
    for job in [Job::CopyLayouts, Job::CopyArchive] {
        let points = points(&strace, &scene, &scene.trial(job, true)).into_iter().filter(|point| point.call == call);
        for point in points {
            ends(&strace, &scene, job, &point, "EIO");
        }
    }
}

fn a_file_system_without_locks_is_an_error_and_not_a_loop() {
    let strace = Strace::find().unwrap();
    let scene = Scene::new(std::time::Duration::from_secs(3600));
    for job in [Job::PushLayout, Job::PullFiles, Job::PullOver, Job::CopyArchive] {
        let points = points(&strace, &scene, &scene.trial(job, true));
        let first = points.iter().find(|point| point.call == "flock").unwrap();
        ends(&strace, &scene, job, first, "ENOLCK");
    }
}

/// An operation that fails from here on: the command ends, with a clear error if with any.
fn ends(strace: &Strace, scene: &Scene, job: Job, point: &Point, error: &str) {
    let trial = scene.trial(job, true);
    let Point { call, nth, text } = point;
    let traced = traced(strace, scene, &trial, Some(&format!("{call}:error={error}:when={nth}+")));
    assert!(!traced.hangs, "{job:?} {text}: {}", traced.said);
    if traced.injected(scene.path()).is_some() {
        let told = if traced.code == Some(0) { Ok(()) } else { clear(&traced.said) };
        told.and_then(|()| trial.valid()).unwrap();
    }
}

fn judge(trial: &Trial<'_>, traced: &Traced, reference: &Listing) -> Outcome {
    let missed = traced.calls.iter().any(|call| call.text.contains("(INJECTED)") && is_write(&call.name));
    match traced.code {
        _ if traced.hangs => return Err("it hangs".into()),
        Some(0) if missed && !all_hits_are_elsewhere(trial, traced) => {
            return Err("a failed write went unnoticed".into());
        }
        Some(0) => {}
        Some(1..=69) => clear(&traced.said)?,
        other => return Err(format!("ended with {other:?}")),
    }
    trial.valid()?;
    let mut made = trial.tree();
    // What could not be looked at, opened or removed any more is found by the next run.
    if traced.calls.iter().any(|call| call.text.contains("(INJECTED)") && call.text.contains(UNFINISHED)) {
        made.retain(|path, _| !path.contains(UNFINISHED));
    }
    if traced.code == Some(0) && made != *reference {
        return Err("it said that all went well, and did not do it".into());
    }
    trial.finishes(reference)
}

/// Threads count their calls apart: one fault may also hit what is not a file of ours.
fn all_hits_are_elsewhere(trial: &Trial<'_>, traced: &Traced) -> bool {
    let ours = trial.dir().display().to_string();
    let hits = traced.calls.iter().filter(|call| call.text.contains("(INJECTED)") && is_write(&call.name));
    { hits }.all(|call| !call.text.contains(&ours))
}

/// One error, perhaps with what was being done and a hint, after what the source was taken for, and no panic.
pub(super) fn clear(said: &str) -> Outcome {
    let errors = said.lines().filter(|line| line.starts_with("error: ")).count();
    let known = ["error: ", "  in: ", "hint: ", "warning: ", "waiting ", "file-bundle (directory): "];
    let strange = said.lines().find(|line| !known.iter().any(|start| line.starts_with(start)));
    match (errors, strange) {
        (1, None) => Ok(()),
        (n, strange) => Err(format!("not one clear error but {n}, and {strange:?}")),
    }
}
