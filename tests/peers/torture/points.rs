//! The file operations of a job, as strace records them, one by one.

use super::scene::{Scene, Trial};
use crate::support::strace::{Strace, Traced, concerns};

/// An operation of a job: the so-manieth call of this name in its thread.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) call: String,
    pub(super) nth: usize,
    pub(super) text: String,
}

/// Runs a job, and does this to it (`-e inject=`).
pub(super) fn traced(strace: &Strace, scene: &Scene, trial: &Trial<'_>, inject: Option<&str>) -> Traced {
    let more = if trial.line().contains("--unpack") { "" } else { "--concurrency 1" };
    let line = format!("{} {more}", trial.line());
    strace.run(&trial.dir().join("strace.log"), inject, |words| scene.command_by(words, trial.dir(), &line))
}

/// The operations of an undisturbed run that have to do with the trial's own place or the sources.
pub(super) fn points(strace: &Strace, scene: &Scene, trial: &Trial<'_>) -> Vec<Point> {
    let traced = traced(strace, scene, trial, None);
    assert_eq!(traced.code, Some(0), "{}", traced.said);
    let mut points: Vec<Point> = Vec::new();
    let mut counts = std::collections::HashMap::new();
    for call in traced.calls {
        let nth = counts.entry((call.thread.clone(), call.name.clone())).or_insert(0_usize);
        *nth += 1;
        let known = points.iter().any(|point| point.call == call.name && point.nth == *nth);
        if concerns(&call.text, scene.path()) && !known {
            points.push(Point { call: call.name, nth: *nth, text: call.text });
        }
    }
    points
}
