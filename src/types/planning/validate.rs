//! The section `validate`: what must hold of the source and of what was planned.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reading::Reading;
use crate::{
    error::{Context as _, Error, Result},
    types::definition::{
        many::{Expression, Template},
        texts::{Part, Texts},
    },
};

/// What must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Assertion {
    /// The forms that it matters in; all when nothing is said.
    #[serde(default)]
    pub forms: Vec<String>,
    /// Whether it matters.
    #[serde(default)]
    pub when: Option<Expression>,
    /// What must hold.
    pub that: Expression,
    /// Whether a failure is an error or a warning.
    #[serde(default)]
    pub level: Level,
    /// What is said when it does not hold.
    pub message: Template,
}

/// How bad a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing is packed.
    #[default]
    Error,
    /// The user is told.
    Warn,
}

impl Assertion {
    /// The texts that are evaluated.
    pub(in crate::types) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.names("forms", Part::Form, &self.forms);
        texts.expression("when", &self.when);
        texts.expression("that", &self.that);
        texts.template("message", &self.message);
    }
}

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
