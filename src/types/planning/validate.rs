//! The section `validate`: assertions about the source and the plan.

use super::reading::Reading;
use crate::{
    error::{Context as _, Error, Result},
    types::definition::validate::{Assertion, Level},
};

/// Checks all assertions and returns the warnings. Errors: all failed assertions, as one error.
pub(super) fn check(assertions: &[Assertion], reading: &Reading<'_>) -> Result<Vec<String>> {
    check_those(assertions, reading, |_| true)
}

/// [`check`], of the assertions that also count in parts.
pub(super) fn check_part(assertions: &[Assertion], part: &Reading<'_>) -> Result<Vec<String>> {
    check_those(assertions, part, |assertion| assertion.parts)
}

fn check_those(
    assertions: &[Assertion],
    reading: &Reading<'_>,
    counts: impl Fn(&Assertion) -> bool,
) -> Result<Vec<String>> {
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    for (i, assertion) in assertions.iter().enumerate() {
        if !counts(assertion) || !reading.has_form(&assertion.forms) {
            continue;
        }
        let at = || format!("validate[{i}]");
        let matters = reading.holds(assertion.when.as_ref()).context(at)?;
        if !matters || reading.truth(&assertion.that).context(at)? {
            continue;
        }
        let message = reading.text(&assertion.message).context(at)?;
        match assertion.level {
            Level::Error => errors.push(message),
            Level::Warn => warnings.push(message),
        }
    }
    if errors.is_empty() { Ok(warnings) } else { Err(Error::invalid(errors.join("; "))) }
}
