//! The section `reference`: the natural repository and tag of the artifact.

use super::reading::Reading;
use crate::{
    error::{Code, Error, Result},
    oci::Tag,
    plan::ReferencePlan,
    types::{
        definition::reference::{ReferenceRule, Replacement},
        language::values::Value,
    },
};

impl ReferenceRule {
    /// Plans the reference and checks the user's against it.
    ///
    /// Also returns a warning if the natural tag is invalid.
    pub(super) fn plan(&self, reading: &Reading<'_>) -> Result<(ReferencePlan, Option<String>)> {
        let repository = reading.optional_text(self.append_repository.as_ref())?.filter(|r| !r.is_empty());
        let wanted =
            reading.optional_text(self.tag.as_ref())?.filter(|t| !t.is_empty()).map(|t| replace_all(t, &self.encode));
        let strict = self.strict.as_ref().map_or(Ok(false), |e| reading.truth(e))?;
        let (tag, warning) = match wanted {
            None => (None, None),
            Some(wanted) => match wanted.parse::<Tag>() {
                Ok(tag) => (Some(tag), None),
                Err(_) if strict && reading.inputs.reference.is_some() => {
                    let message = format!("the tag must be `{wanted}`, which cannot be a tag");
                    return Err(Error::invalid(message).with_code(Code::NotATag));
                }
                Err(_) => (None, Some(format!("`{wanted}` cannot be a tag; give one yourself"))),
            },
        };
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
        let reading = reading.with("ref", self.reference_value(given.repository.as_str(), given.tag.as_deref()));
        for assertion in &self.assert {
            let matters = reading.holds(assertion.when.as_ref())?;
            if matters && !reading.truth(&assertion.that)? {
                return Err(Error::invalid(reading.text(&assertion.message)?));
            }
        }
        Ok(())
    }

    /// A reference as an expression value.
    fn reference_value(&self, repository: &str, tag: Option<&str>) -> Value {
        let basename = repository.rsplit('/').next().unwrap_or_default();
        Value::pairs([
            ("repository", Value::from(repository)),
            ("basename", Value::from(basename)),
            ("tag", Value::optional(tag)),
            ("version", Value::optional(tag.map(|t| replace_all(t.to_owned(), &self.decode)))),
        ])
    }
}

fn replace_all(text: String, table: &[Replacement]) -> String {
    table.iter().filter(|r| !r.from.is_empty()).fold(text, |text, r| text.replace(&r.from, &r.to))
}
