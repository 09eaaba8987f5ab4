//! Several artifacts in one command: those that failed are told, and the worst of them decides the exit code.

use std::{fmt::Display, process::ExitCode};

use artifact::Error;
use serde_json::{Map, Value};

use super::{
    exit_code, rank,
    report::{self, Report},
    text::count,
};

/// Artifacts that failed together, by their locations, and why.
pub(super) struct Failure {
    pub(super) from: Vec<String>,
    pub(super) error: Error,
}

impl Failure {
    pub(super) fn of(from: &dyn Display, error: Error) -> Self {
        Self { from: vec![from.to_string()], error }
    }

    /// As JSON, once for each artifact.
    fn json(&self) -> impl Iterator<Item = Value> {
        self.from.iter().map(|from| {
            let mut json = report::failure(&self.error);
            if let Some(json) = json.as_object_mut() {
                json.insert("location".into(), from.clone().into());
            }
            json
        })
    }
}

/// The worst of the errors, which decides the exit code.
pub(super) fn worst(failed: &[Failure]) -> Option<&Error> {
    failed.iter().map(|failure| &failure.error).min_by_key(|error| rank(error.kind()))
}

/// Adds what failed to a document, if something did.
pub(super) fn add_failures(document: &mut Map<String, Value>, failed: &[Failure]) {
    if !failed.is_empty() {
        document.insert("failed".into(), failed.iter().flat_map(Failure::json).collect());
    }
}

/// Tells each failure and the number of them, and gives the exit code. `verb` is what was to be done, `done` the number of
/// artifacts that it was done with.
pub(super) fn tell_failures(report: &Report, verb: &str, failed: Vec<Failure>, done: usize, dry: bool) -> ExitCode {
    let Some(worst) = worst(&failed).map(Error::kind) else { return ExitCode::SUCCESS };
    let number = failed.iter().map(|failure| failure.from.len()).fold(0, usize::saturating_add);
    for Failure { from, error } in failed {
        report.error(&error.context(format!("{verb} {}", from.join(", "))));
    }
    let fail = if dry { "would fail" } else { "failed" };
    report.say(format!("{number} of {} {fail}", count(done.saturating_add(number), "artifact")));
    ExitCode::from(exit_code(worst))
}
