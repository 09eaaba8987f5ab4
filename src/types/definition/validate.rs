//! The section `validate`: assertions about the source and the plan.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    many::{Expression, Template},
    texts::{Part, Texts},
};

/// An assertion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Assertion {
    /// Forms with this assertion [default: all].
    #[serde(default)]
    pub forms: Vec<String>,
    /// Whether it is also about every part of the source, with the documents of the part.
    #[serde(default)]
    pub parts: bool,
    /// Condition for the assertion.
    #[serde(default)]
    pub when: Option<Expression>,
    /// Expression that must be true.
    pub that: Expression,
    /// Severity of a failure.
    #[serde(default)]
    pub level: Level,
    /// Message on failure.
    pub message: Template,
}

/// The severity of a failed assertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing is packed.
    #[default]
    Error,
    /// The user gets a warning.
    Warn,
}

impl Assertion {
    /// Collects the evaluated texts.
    pub(in crate::types) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.names("forms", Part::Form, &self.forms);
        texts.expression("when", &self.when);
        texts.expression("that", &self.that);
        texts.template("message", &self.message);
    }
}
