//! The section `config`: the config blob of the artifact.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{
    many::Template,
    texts::{Part, Texts},
};
use crate::{
    error::{Error, Result},
    oci::json::Encoding,
    plan::EncodingSchema,
};

/// A config, with exactly one of `empty`, `typedEmpty`, `document`, `raw` and `value`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Forms with this config [default: all].
    #[serde(default)]
    pub forms: Vec<String>,
    /// Media type; not needed with `empty`.
    #[serde(default)]
    pub media_type: Option<Template>,
    /// The OCI empty descriptor.
    #[serde(default)]
    pub empty: bool,
    /// `{}` with the given media type.
    #[serde(default)]
    pub typed_empty: bool,
    /// The document with this name as JSON, keys in source order.
    #[serde(default)]
    pub document: Option<String>,
    /// The set with this name, which has one file; its bytes, unchanged.
    #[serde(default)]
    pub raw: Option<String>,
    /// A typed value.
    #[serde(default)]
    pub value: Option<Json>,
    /// JSON encoding.
    #[serde(default)]
    #[schemars(with = "EncodingSchema")]
    pub json: Encoding,
}

impl Config {
    /// Collects the evaluated texts.
    pub(in crate::types) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.names("forms", Part::Form, &self.forms);
        texts.media_type("mediaType", self.media_type.as_ref());
        texts.names("document", Part::Document, &self.document);
        texts.names("raw", Part::Set, &self.raw);
        texts.value("value", self.value.as_ref());
    }

    /// Errors: not exactly one kind of content.
    pub(in crate::types) fn check(&self) -> Result<()> {
        let (document, raw, value) = (self.document.is_some(), self.raw.is_some(), self.value.is_some());
        let kinds = [self.empty, self.typed_empty, document, raw, value].into_iter().filter(|k| *k).count();
        if kinds != 1 {
            return Err(Error::invalid(
                "a config needs exactly one of `empty`, `typedEmpty`, `document`, `raw` and `value`",
            ));
        }
        if !self.empty && self.media_type.is_none() {
            return Err(Error::invalid("a config needs a `mediaType`"));
        }
        Ok(())
    }
}
