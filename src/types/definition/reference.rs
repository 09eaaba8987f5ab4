//! The section `reference`: the natural repository and tag of the artifact.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    many::{Expression, Template},
    texts::Texts,
};

/// The section `reference`: natural repository and tag.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReferenceRule {
    /// Last component of the repository, appended if missing.
    #[serde(default)]
    pub append_repository: Option<Template>,
    /// Default tag; blank for none.
    #[serde(default)]
    pub tag: Option<Template>,
    /// Replacements that make `tag` a valid tag: tags cannot contain `+`, for example.
    #[serde(default)]
    pub encode: Vec<Replacement>,
    /// Replacements that turn a tag back into a version.
    #[serde(default)]
    pub decode: Vec<Replacement>,
    /// Whether a tag from the user must equal `tag`.
    #[serde(default)]
    pub strict: Option<Expression>,
    /// Assertions about a reference from the user, in expressions `ref`.
    #[serde(default)]
    pub assert: Vec<ReferenceAssertion>,
}

/// A replacement in a tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Replacement {
    /// Text to replace.
    pub from: String,
    /// Replacement.
    pub to: String,
}

/// An assertion about a reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReferenceAssertion {
    /// Condition for the assertion.
    #[serde(default)]
    pub when: Option<Expression>,
    /// Expression that must be true.
    pub that: Expression,
    /// Message on failure.
    pub message: Template,
}

impl ReferenceRule {
    /// Collects the evaluated texts.
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
