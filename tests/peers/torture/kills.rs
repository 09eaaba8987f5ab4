//! SIGKILL at random moments, and at chosen file operations.

use std::{os::unix::process::ExitStatusExt as _, process::Stdio, time::Duration};

use super::{
    Dice, Outcome, conclude,
    content::Listing,
    long,
    points::{points, traced},
    scene::{Job, Scene, Trial, succeeds},
};
use crate::{
    harness::{Test, tests},
    support::strace::Strace,
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        []
            plain killed_at_any_moment_stores_stay_whole_and_the_next_run_finishes;
        ["strace"]
            plain killed_at_any_file_operation_stores_stay_whole_and_the_next_run_finishes;
    ]
}

/// How long the registry keeps an upload that nobody continues.
const SESSION: Duration = Duration::from_secs(2);
/// Kills of each job in the short form: at moments, at operations.
const SHORT: (usize, usize) = (4, 2);

fn killed_at_any_moment_stores_stay_whole_and_the_next_run_finishes() {
    let scene = Scene::new(SESSION);
    let each = long().map_or(SHORT.0, |all| all.div_ceil(Job::ALL.len()));
    let (mut kills, mut failures) = (0, Vec::new());
    for job in Job::ALL {
        let mut dice = Dice::of(&format!("{job:?}"));
        let references = [scene.undisturbed(job, false), scene.undisturbed(job, true)];
        let mut killed = 0;
        // Some points lie behind the end of a run that is faster than those before.
        for number in 0..each * 4 {
            if killed == each {
                break;
            }
            let seeded = number % 3 != 0;
            let (reference, span) = &references[usize::from(seeded)];
            let after = Duration::from_micros(dice.below(span.as_micros() as u64));
            let trial = scene.trial(job, seeded);
            if kill_after(&trial, after) {
                killed += 1;
                let how = format!("killed after {after:?} of {span:?}");
                failures.extend(judge(&trial, reference).err().map(|what| trial.failure(&how, &what, "")));
            }
        }
        kills += killed;
    }
    failures.extend(no_upload_lasts(&scene).err());
    conclude("SIGKILL at random moments", kills, &failures);
}

fn killed_at_any_file_operation_stores_stay_whole_and_the_next_run_finishes() {
    let strace = Strace::find().unwrap();
    let scene = Scene::new(SESSION);
    let (mut kills, mut failures) = (0, Vec::new());
    for job in Job::ALL {
        let mut dice = Dice::of(&format!("{job:?} by operation"));
        let seeded = dice.below(3) != 0;
        let (reference, _) = scene.undisturbed(job, seeded);
        let points = points(&strace, &scene, &scene.trial(job, seeded));
        let most = long().unwrap_or(SHORT.1);
        for point in dice.some(points, most) {
            let trial = scene.trial(job, seeded);
            let traced =
                traced(&strace, &scene, &trial, Some(&format!("{}:signal=SIGKILL:when={}", point.call, point.nth)));
            kills += usize::from(traced.killed);
            let how = format!("killed at {} {}: {}", point.call, point.nth, point.text);
            failures.extend(judge(&trial, &reference).err().map(|what| trial.failure(&how, &what, &traced.said)));
        }
    }
    failures.extend(no_upload_lasts(&scene).err());
    conclude("SIGKILL at file operations", kills, &failures);
}

/// `false` when it had ended before.
fn kill_after(trial: &Trial<'_>, after: Duration) -> bool {
    let mut child = trial.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    let _ = child.kill();
    child.wait().unwrap().signal() == Some(9)
}

fn judge(trial: &Trial<'_>, reference: &Listing) -> Outcome {
    trial.valid()?;
    trial.finishes(reference)
}

/// Uploads that nobody continues are forgotten when their time is over.
fn no_upload_lasts(scene: &Scene) -> Outcome {
    std::thread::sleep(SESSION + Duration::from_millis(100));
    let line = format!("push earlier.txt {}/last:v1", scene.host());
    succeeds(&mut scene.command(scene.path(), &line), "a last push")?;
    let left = scene.uploads();
    if left.is_empty() { Ok(()) } else { Err(format!("uploads that last: {left:?}")) }
}
