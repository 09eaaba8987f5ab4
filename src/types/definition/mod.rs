//! A definition as data: a file for each section, with its keys, the texts in it that mean something, and what is wrong
//! with values that are written out.
//!
//! A new key has its place here, and where the file of the same name in `probe`, `planning` or `unpacking` evaluates it.
//! Definitions do not know the language of their expressions, and no source, plan or manifest is evaluated here.

pub(super) mod accept;
pub(super) mod config;
mod count;
pub(super) mod deck;
pub(super) mod detect;
pub(super) mod documents;
pub(super) mod index;
pub(super) mod layers;
pub(super) mod manifest;
pub(super) mod many;
pub(super) mod metadata;
pub(super) mod params;
pub(super) mod reference;
pub(super) mod sets;
pub(super) mod source;
pub(super) mod tar;
pub(super) mod test;
pub(super) mod texts;
pub(super) mod unpack;
pub(super) mod validate;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use self::{
    accept::Accept,
    config::Config,
    detect::Detect,
    index::IndexRule,
    layers::Layers,
    manifest::ManifestRule,
    many::Many,
    metadata::{Metadata, Requires},
    params::Param,
    reference::ReferenceRule,
    source::SourceRule,
    test::TestCase,
    texts::{Text, Texts},
    unpack::Unpack,
    validate::Assertion,
};

/// The version of the language.
pub const API_VERSION: &str = "artifact-type/v1";
/// Largest definition, in bytes.
pub const MAX_DEFINITION: u64 = 1 << 20;

/// The sections with texts that mean something.
const SECTIONS: [&str; 10] =
    ["source", "vars", "layers", "config", "manifest", "index", "reference", "validate", "accept", "unpack"];

/// An artifact type, as data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "artifact type")]
pub struct Definition {
    /// `artifact-type/v1`.
    #[schemars(extend("const" = API_VERSION))]
    pub api_version: String,
    /// `ArtifactType`.
    #[schemars(extend("const" = "ArtifactType"))]
    pub kind: String,
    /// What it is called.
    pub metadata: Metadata,
    /// What it needs of the program.
    #[serde(default)]
    pub requires: Requires,
    /// Typed inputs that are not in the source.
    #[serde(default)]
    pub params: BTreeMap<String, Param>,
    /// How sources of this type are told from others.
    #[serde(default)]
    pub detect: Vec<Detect>,
    /// What is read.
    #[serde(default)]
    pub source: SourceRule,
    /// Values that are used more than once, strings or typed.
    #[serde(default)]
    pub vars: Map<String, Json>,
    /// The config; the empty one when nothing is said.
    #[serde(default)]
    pub config: Many<Config>,
    /// The layers.
    #[serde(default)]
    pub layers: Layers,
    /// The manifest, or each of an index.
    #[serde(default)]
    pub manifest: ManifestRule,
    /// The index, where the artifact is one.
    #[serde(default)]
    pub index: Option<IndexRule>,
    /// Where it wants to go.
    #[serde(default)]
    pub reference: ReferenceRule,
    /// What must hold.
    #[serde(default)]
    pub validate: Vec<Assertion>,
    /// Which other artifacts and images it speaks of; kept for bundles.
    #[serde(default)]
    pub refs: Map<String, Json>,
    /// Which manifests are of this type.
    #[serde(default)]
    pub accept: Accept,
    /// Which files it becomes.
    #[serde(default)]
    pub unpack: Unpack,
    /// Sources with what they must become.
    #[serde(default)]
    pub tests: Vec<TestCase>,
}

impl Definition {
    /// The texts of all sections, with their positions.
    pub(super) fn all_texts(&self) -> impl Iterator<Item = (String, Text<'_>)> {
        SECTIONS.into_iter().flat_map(|section| self.texts(section).found)
    }

    /// The texts of a section that mean something.
    pub(super) fn texts(&self, section: &str) -> Texts<'_> {
        let mut texts = Texts::at(format!("/{section}"));
        match section {
            "source" => self.source.texts(&mut texts),
            "vars" => {
                texts = Texts::at("");
                texts.values(section, &self.vars);
            }
            "layers" => self.layers.texts(&mut texts),
            "config" => {
                for (i, config) in self.config.0.iter().enumerate() {
                    let mut one = Texts::at(self.config_at(i));
                    config.texts(&mut one);
                    texts.found.extend(one.found);
                }
            }
            "manifest" => self.manifest.texts(&mut texts),
            "index" => self.index.iter().for_each(|index| index.texts(&mut texts)),
            "reference" => self.reference.texts(&mut texts),
            "validate" => {
                for (i, assertion) in self.validate.iter().enumerate() {
                    texts.part(i, |texts| assertion.texts(texts));
                }
            }
            "accept" => self.accept.texts(&mut texts),
            "unpack" => self.unpack.texts(&mut texts),
            _ => {}
        }
        texts
    }

    /// Where a config stands: the section may be one, or a list.
    pub(super) fn config_at(&self, i: usize) -> String {
        if self.config.0.len() == 1 { "/config".into() } else { format!("/config/{i}") }
    }

    /// The forms that a source may have.
    pub(super) fn forms(&self) -> Vec<&str> {
        let mut forms: Vec<&str> = self.detect.iter().map(|d| d.form.as_str()).collect();
        forms.dedup();
        forms
    }
}
