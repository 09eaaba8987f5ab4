//! The section `config`: the config blob of the artifact.

use serde_json::Value as Json;

use super::reading::Reading;
use crate::{
    error::{Context as _, Error, Result},
    oci::media_type,
    plan::{Content, Part},
    types::{
        definition::config::Config,
        language::{json::refuse_quotes, typed},
    },
};

/// The OCI empty config.
pub(super) fn none() -> Part {
    Part {
        id: "config".into(),
        media_type: media_type::EMPTY.into(),
        content: Content::Empty {},
        annotations: Default::default(),
    }
}

impl Config {
    /// Plans the config; the reading's names include the layers.
    pub(super) fn plan(&self, reading: &Reading<'_>) -> Result<Part> {
        if self.empty {
            return Ok(none());
        }
        let media_type = reading.optional_text(self.media_type.as_ref())?.unwrap_or_default();
        if !media_type::is_valid(&media_type) {
            return Err(Error::invalid(format!("config: `{media_type}` is not a media type")));
        }
        let content = self.content(reading).context(|| "config")?;
        Ok(Part { id: "config".into(), media_type, content, annotations: Default::default() })
    }

    fn content(&self, reading: &Reading<'_>) -> Result<Content> {
        if let Some(set) = &self.raw {
            return match reading.set(set)? {
                [file] => Ok(Content::File(file.path.clone().into())),
                files => Err(Error::invalid(format!("expected one file in the set `{set}`, found {}", files.len()))),
            };
        }
        let value = match (&self.document, &self.value) {
            (Some(name), _) => {
                let read = reading
                    .document(name)
                    .ok_or_else(|| Error::invalid(format!("the document `{name}` does not exist")))?;
                refuse_quotes(&read.value)?;
                read.value.clone()
            }
            (None, Some(tree)) => typed::evaluate(tree, reading.engine, &reading.scope)?.unwrap_or(Json::Null),
            (None, None) => return Ok(Content::Empty {}),
        };
        Ok(Content::Json { value, encoding: self.json })
    }
}
