//! The section `config`: the one blob that says what the artifact is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::reading::Reading;
use crate::{
    error::{Context as _, Error, Result},
    oci::{json::Encoding, media_type},
    plan::{Content, EncodingSchema, Part},
    types::{
        definition::{
            many::Template,
            texts::{self, Texts},
        },
        language::{typed, values},
    },
};

/// A config; exactly one of `empty`, `typedEmpty`, `document`, `raw` and `value` says what it is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The forms that have this one; all when nothing is said.
    #[serde(default)]
    pub forms: Vec<String>,
    /// Its media type; needless with `empty`.
    #[serde(default)]
    pub media_type: Option<Template>,
    /// The OCI empty descriptor.
    #[serde(default)]
    pub empty: bool,
    /// `{}`, with a media type of its own.
    #[serde(default)]
    pub typed_empty: bool,
    /// This document as JSON, keys in its own order.
    #[serde(default)]
    pub document: Option<String>,
    /// The one file of this set, unchanged.
    #[serde(default)]
    pub raw: Option<String>,
    /// A typed value.
    #[serde(default)]
    pub value: Option<Json>,
    /// How JSON becomes bytes.
    #[serde(default)]
    #[schemars(with = "EncodingSchema")]
    pub json: Encoding,
}

impl Config {
    /// The OCI empty config.
    pub(in crate::types) fn none() -> Part {
        Part {
            id: "config".into(),
            media_type: media_type::EMPTY.into(),
            content: Content::Empty {},
            annotations: Default::default(),
        }
    }

    /// The texts that are evaluated.
    pub(in crate::types) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.names("forms", texts::Part::Form, &self.forms);
        texts.media_type("mediaType", self.media_type.as_ref());
        texts.names("document", texts::Part::Document, &self.document);
        texts.names("raw", texts::Part::Set, &self.raw);
        texts.value("value", self.value.as_ref());
    }

    /// An error unless exactly one key says what it is.
    pub(in crate::types) fn check(&self) -> Result<()> {
        let (document, raw, value) = (self.document.is_some(), self.raw.is_some(), self.value.is_some());
        let kinds = [self.empty, self.typed_empty, document, raw, value].into_iter().filter(|k| *k).count();
        if kinds != 1 {
            return Err(Error::invalid(
                "a config has exactly one of `empty`, `typedEmpty`, `document`, `raw` and `value`",
            ));
        }
        if !self.empty && self.media_type.is_none() {
            return Err(Error::invalid("a config needs a `mediaType`"));
        }
        Ok(())
    }

    /// Plans the config; the layers are in the reading's names.
    pub(in crate::types) fn plan(&self, reading: &Reading<'_>) -> Result<Part> {
        if self.empty {
            return Ok(Self::none());
        }
        let media_type = self.media_type.as_ref().map(|m| reading.text(m)).transpose()?.unwrap_or_default();
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
                files => Err(Error::invalid(format!("the set `{set}` has {} files; one is expected", files.len()))),
            };
        }
        let value = match (&self.document, &self.value) {
            (Some(name), _) => {
                let read =
                    reading.document(name).ok_or_else(|| Error::invalid(format!("there is no document `{name}`")))?;
                values::refuse_quotes(&read.value)?;
                read.value.clone()
            }
            (None, Some(tree)) => typed::evaluate(tree, reading.engine, &reading.scope)?.unwrap_or(Json::Null),
            (None, None) => return Ok(Content::Empty {}),
        };
        Ok(Content::Json { value, encoding: self.json })
    }
}
