//! The section `validate`: what must hold of the source and of what was planned.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    many::{Expression, Template},
    texts::{Part, Texts},
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
