//! Failures of a copy of many artifacts: which are told, and which end it.

use artifact::{Error, Kind, Result, error::Facts, location::Place};

pub(super) use super::super::several::Failure;
use super::{
    super::{report::Report, several::worst, text::count},
    Args,
};

/// With --keep-going, a failure of this place is noted, and the rest copied.
pub(super) fn kept_going<T>(
    args: &Args,
    place: &Place,
    outcome: Result<T>,
    failed: &mut Vec<Failure>,
) -> Result<Option<T>> {
    match outcome {
        Err(error) if args.keep_going => {
            failed.push(Failure::of(place, error));
            Ok(None)
        }
        Err(error) => Err(among(error, 1)),
        Ok(done) => Ok(Some(done)),
    }
}

/// The error for one of several artifacts, which ends the copy of the others.
pub(super) fn among(error: Error, others: usize) -> Error {
    let mut facts = Facts::default();
    facts.others = (others > 0 && !is_of_all(&error)).then_some(others);
    error.with_facts(facts)
}

/// True for a failure that has nothing to do with the artifact that met it: others meet it at the same destination.
pub(super) fn is_of_all(error: &Error) -> bool {
    matches!(error.kind(), Kind::NoSpace | Kind::ReadOnly | Kind::Busy | Kind::Internal)
}

/// Limit of the sources named in an error; if there are more, each gets a warning.
const NAMED: usize = 20;

/// One error for all failures, of the kind of the worst.
pub(super) fn all_of(failed: &[Failure], total: usize, report: &Report) -> Error {
    let told = |Failure { from, error }: &Failure, how: fn(String, &Error) -> String| how(from.join(", "), error);
    if failed.len() > NAMED {
        failed.iter().for_each(|one| report.warn(told(one, |from, e| format!("{from}: {e}"))));
    }
    let worst = worst(failed);
    let kind = worst.map_or(Kind::NotFound, Error::kind);
    let what = if failed.iter().all(|one| one.error.kind() == Kind::NotFound) { "found" } else { "read" };
    let named: Vec<String> =
        failed.iter().take(NAMED).map(|one| told(one, |from, e| format!("{from} ({e})"))).collect();
    let more = match failed.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let of = format!("{} of {}", failed.len(), count(total, "artifact"));
    let error = Error::new(kind, format!("{of} cannot be {what}: {}{more}", named.join("; ")));
    let error = match worst.and_then(Error::code) {
        Some(code) => error.with_code(code),
        None => error,
    };
    among(error, total.saturating_sub(failed.len()))
}
