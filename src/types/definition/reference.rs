//! The section `reference`: which repository and tag the artifact wants.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    many::{Expression, Template},
    texts::Texts,
};

/// The section `reference`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReferenceRule {
    /// A last component that the repository must have, appended where it is missing.
    #[serde(default)]
    pub append_repository: Option<Template>,
    /// The tag when the user gives none; blank for none.
    #[serde(default)]
    pub tag: Option<Template>,
    /// Replacements that make a tag of it: `+` may not be in a tag.
    #[serde(default)]
    pub encode: Vec<Replacement>,
    /// Replacements that make a version of a tag.
    #[serde(default)]
    pub decode: Vec<Replacement>,
    /// Whether a tag given by the user must equal `tag`.
    #[serde(default)]
    pub strict: Option<Expression>,
    /// What must hold of a reference given by the user, known as `ref`.
    #[serde(default)]
    pub assert: Vec<ReferenceAssertion>,
}

/// A replacement in a tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Replacement {
    /// What is replaced.
    pub from: String,
    /// By what.
    pub to: String,
}

/// What must hold of a reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReferenceAssertion {
    /// Whether it matters.
    #[serde(default)]
    pub when: Option<Expression>,
    /// What must hold.
    pub that: Expression,
    /// What is said when it does not.
    pub message: Template,
}

impl ReferenceRule {
    /// The texts that are evaluated.
    pub(in crate::types) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.template("appendRepository", &self.append_repository);
        texts.template("tag", &self.tag);
        texts.expression("strict", &self.strict);
        texts.part("assert", |texts| {
            for (i, assertion) in self.assert.iter().enumerate() {
                texts.part(i, |texts| {
                    texts.expression("when", &assertion.when);
                    texts.expression("that", &assertion.that);
                    texts.template("message", &assertion.message);
                });
            }
        });
    }
}
