//! The section `validate`: what must hold of the source and of what was planned.

use super::reading::Reading;
use crate::{
    error::{Context as _, Error, Result},
    types::definition::validate::{Assertion, Level},
};

/// Checks all assertions: the warnings, or one error with all that failed.
pub(in crate::types) fn check(assertions: &[Assertion], reading: &Reading<'_>) -> Result<Vec<String>> {
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    for (i, assertion) in assertions.iter().enumerate() {
        if !assertion.forms.is_empty() && !assertion.forms.contains(&reading.form) {
            continue;
        }
        let at = || format!("validate[{i}]");
        let matters = assertion.when.as_ref().map_or(Ok(true), |e| reading.truth(e)).context(at)?;
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
