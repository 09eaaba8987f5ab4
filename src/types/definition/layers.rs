//! The section `layers`: the layers, their content and their order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{
    many::{Expression, Many, Template},
    tar::Tar,
    texts::{Part, Texts},
};
use crate::{
    error::{Error, Result},
    plan::Order,
};

/// The section `layers`: the layers, their content and their order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Layers {
    /// Order in the manifest.
    #[serde(default)]
    #[schemars(with = "OrderSchema")]
    pub order: Order,
    /// Layers, and rules for several layers.
    #[serde(default)]
    pub items: Vec<Layer>,
}

/// The schema of [`Order`].
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code)]
enum OrderSchema {
    Listed,
    Digest,
}

/// A layer, or one per file of some sets. Its content is one of `raw`, `tar` and `text`; with `each` alone, the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Layer {
    /// Role of the layer.
    pub id: String,
    /// Forms with this layer [default: all].
    #[serde(default)]
    pub forms: Vec<String>,
    /// Condition for the layer.
    #[serde(default)]
    pub when: Option<Expression>,
    /// One layer per file of these sets; the layer's templates see the file as `file`.
    #[serde(default)]
    pub each: Many<String>,
    /// Media type [default: that of the file by its name, or that of an OCI tar layer].
    #[serde(default)]
    pub media_type: Option<Template>,
    /// Set with one file, whose bytes are the layer, unchanged; an empty set gives no layer.
    #[serde(default)]
    pub raw: Option<String>,
    /// Tar archive of a set.
    #[serde(default)]
    pub tar: Option<Tar>,
    /// Text content.
    #[serde(default)]
    pub text: Option<Template>,
    /// Compression of a tar archive: `none` (the default), `gzip` or `zstd`, with an optional level, as in `zstd:19`.
    #[serde(default)]
    pub compress: Option<Template>,
    /// Name on disk: sets the title annotation and, for a tar archive, those that mark it as a directory.
    #[serde(default)]
    pub title: Option<Template>,
    /// Annotations, strings or typed values; blank ones are omitted. `layer.digest`, `layer.diffId` and `layer.size`
    /// refer to the layer itself.
    #[serde(default)]
    pub annotations: Map<String, Json>,
}

impl Layers {
    /// Collects the evaluated texts.
    pub(in crate::types) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.part("items", |texts| {
            self.items.iter().enumerate().for_each(|(i, layer)| texts.part(i, |texts| layer.texts(texts)));
        });
    }
}

impl Layer {
    fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.names("forms", Part::Form, &self.forms);
        texts.expression("when", &self.when);
        texts.names("each", Part::Set, &self.each.0);
        texts.media_type("mediaType", self.media_type.as_ref());
        texts.names("raw", Part::Set, &self.raw);
        self.tar.iter().for_each(|tar| texts.part("tar", |texts| tar.texts(texts)));
        texts.template("text", &self.text);
        texts.template("compress", &self.compress);
        texts.template("title", &self.title);
        texts.values("annotations", &self.annotations);
    }

    /// Errors: not exactly one kind of content.
    pub(in crate::types) fn check(&self) -> Result<()> {
        let contents = [self.raw.is_some(), self.tar.is_some(), self.text.is_some()].into_iter().filter(|c| *c).count();
        if contents > 1 || (contents == 0 && self.each.is_empty()) {
            return Err(Error::invalid("a layer needs exactly one of `raw`, `tar` and `text`, or `each` alone"));
        }
        if self.compress.is_some() && self.tar.is_none() {
            return Err(Error::invalid("`compress` needs `tar`"));
        }
        self.tar.as_ref().map_or(Ok(()), Tar::check)
    }
}
