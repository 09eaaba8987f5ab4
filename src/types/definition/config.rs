//! The section `config`: the one blob that says what the artifact is.

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
    /// The texts that are evaluated.
    pub(in crate::types) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.names("forms", Part::Form, &self.forms);
        texts.media_type("mediaType", self.media_type.as_ref());
        texts.names("document", Part::Document, &self.document);
        texts.names("raw", Part::Set, &self.raw);
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
}
