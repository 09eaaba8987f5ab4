//! The section `reference`: which repository and tag the artifact wants.

use minijinja::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reading::Reading;
use crate::{
    error::{Code, Error, Result},
    oci::Tag,
    plan::ReferencePlan,
    types::definition::{
        many::{Expression, Template},
        texts::Texts,
    },
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

    /// Plans the reference; what the user gave is checked against it.
    ///
    /// Also returns a warning when the natural tag is not one.
    pub(in crate::types) fn plan(&self, reading: &Reading<'_>) -> Result<(ReferencePlan, Option<String>)> {
        let text = |t: &Option<Template>| t.as_ref().map(|t| reading.text(t)).transpose();
        let repository = text(&self.append_repository)?.filter(|r| !r.is_empty());
        let wanted = text(&self.tag)?.filter(|t| !t.is_empty()).map(|t| replace(t, &self.encode));
        let (tag, warning) = match wanted {
            None => (None, None),
            Some(wanted) => match wanted.parse::<Tag>() {
                Ok(tag) => (Some(tag), None),
                Err(_) => (None, Some(format!("`{wanted}` cannot be a tag; give one yourself"))),
            },
        };
        let strict = self.strict.as_ref().map_or(Ok(false), |e| reading.truth(e))?;
        self.check_given(reading, tag.as_deref().filter(|_| strict))?;
        Ok((ReferencePlan { repository, tag, strict }, warning))
    }

    fn check_given(&self, reading: &Reading<'_>, only: Option<&str>) -> Result<()> {
        let Some(given) = &reading.inputs.reference else { return Ok(()) };
        if let (Some(only), Some(tag)) = (only, given.tag.as_deref())
            && tag != only
        {
            let message = format!("the tag must be `{only}`, not `{tag}`");
            return Err(Error::invalid(message).with_code(Code::ReferenceFixed));
        }
        let reading = reading.with("ref", self.describe(given.repository.as_str(), given.tag.as_deref()));
        for assertion in &self.assert {
            let matters = assertion.when.as_ref().map_or(Ok(true), |e| reading.truth(e))?;
            if matters && !reading.truth(&assertion.that)? {
                return Err(Error::invalid(reading.text(&assertion.message)?));
            }
        }
        Ok(())
    }

    /// A reference as expressions see it.
    pub(super) fn describe(&self, repository: &str, tag: Option<&str>) -> Value {
        let basename = repository.rsplit('/').next().unwrap_or_default();
        let text = |t: Option<String>| t.map_or(Value::from(()), Value::from);
        Value::from_pairs([
            ("repository", Value::from(repository)),
            ("basename", Value::from(basename)),
            ("tag", text(tag.map(str::to_owned))),
            ("version", text(tag.map(|t| replace(t.to_owned(), &self.decode)))),
        ])
    }
}

fn replace(text: String, table: &[Replacement]) -> String {
    table.iter().filter(|r| !r.from.is_empty()).fold(text, |text, r| text.replace(&r.from, &r.to))
}
