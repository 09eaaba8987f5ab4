//! The section `layers`: which blobs there are, of what, in which order.

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

/// The section `layers`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Layers {
    /// In which order they stand in the manifest.
    #[serde(default)]
    #[schemars(with = "OrderSchema")]
    pub order: Order,
    /// The layers, or rules that give several.
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

/// A layer, or one for every file of some sets. Its content is one of `raw`, `tar` and `text`; with `each` alone, the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Layer {
    /// Its role.
    pub id: String,
    /// The forms that have it; all when nothing is said.
    #[serde(default)]
    pub forms: Vec<String>,
    /// Whether there is such a layer at all.
    #[serde(default)]
    pub when: Option<Expression>,
    /// One layer for every file of these sets; the file is `file` in all templates below.
    #[serde(default)]
    pub each: Many<String>,
    /// Its media type. When nothing is said: that of the file by its name, or that of an OCI tar layer.
    #[serde(default)]
    pub media_type: Option<Template>,
    /// The set whose one file it is, unchanged; an empty set gives no layer.
    #[serde(default)]
    pub raw: Option<String>,
    /// A tar archive.
    #[serde(default)]
    pub tar: Option<Tar>,
    /// This text.
    #[serde(default)]
    pub text: Option<Template>,
    /// How a tar archive is compressed: `none` (the default), `gzip`, `zstd`, with a level behind a colon.
    #[serde(default)]
    pub compress: Option<Template>,
    /// The name that it has on disk: the title annotation, and on a tar archive the annotations that say it is one.
    #[serde(default)]
    pub title: Option<Template>,
    /// Annotations, strings or typed values; blank ones are left out. `layer.digest`, `layer.diffId` and `layer.size`
    /// quote the layer itself.
    #[serde(default)]
    pub annotations: Map<String, Json>,
}

impl Layers {
    /// The texts that are evaluated.
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

    /// An error unless there is exactly one content.
    pub(in crate::types) fn check(&self) -> Result<()> {
        let contents = [self.raw.is_some(), self.tar.is_some(), self.text.is_some()].into_iter().filter(|c| *c).count();
        if contents > 1 || (contents == 0 && self.each.is_empty()) {
            return Err(Error::invalid("a layer has exactly one of `raw`, `tar` and `text`, or `each` alone"));
        }
        if self.compress.is_some() && self.tar.is_none() {
            return Err(Error::invalid("`compress` needs `tar`"));
        }
        self.tar.as_ref().map_or(Ok(()), |tar| tar.header.check())
    }
}
