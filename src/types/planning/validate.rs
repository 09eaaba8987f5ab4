//! The section `validate`: what must hold of the source and of what was planned.

use super::reading::Reading;
use crate::{
    error::{Context as _, Error, Result},
    types::definition::validate::{Assertion, Level},
};

/// Checks all assertions: the warnings, or one error with all that failed.
pub(super) fn check(assertions: &[Assertion], reading: &Reading<'_>) -> Result<Vec<String>> {
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    for (i, assertion) in assertions.iter().enumerate() {
        if !reading.has_form(&assertion.forms) {
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
