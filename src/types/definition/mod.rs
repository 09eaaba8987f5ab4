//! A definition as data. Each section has a file with its keys, its texts with a meaning, and checks of literals.
//!
//! Add a new key here, and to the file of the same name in `probe`, `planning` or `unpacking`, which evaluates it.
//! Definitions do not depend on the expression language (only on the unit of what it costs), and nothing here evaluates a source, plan or manifest.

pub(super) mod accept;
pub(super) mod config;
mod count;
pub(super) mod deck;
pub(super) mod detect;
pub(super) mod documents;
pub(super) mod index;
mod keywords;
pub(super) mod layers;
pub(super) mod manifest;
pub(super) mod many;
pub(super) mod metadata;
pub(super) mod params;
pub(super) mod parts;
pub(super) mod reference;
pub(super) mod sets;
pub(super) mod source;
pub(super) mod tar;
pub(super) mod test;
pub(super) mod texts;
pub(super) mod unpack;
pub(super) mod validate;
pub(super) mod visits;

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
/// Size limit of a definition, in bytes.
pub const MAX_DEFINITION: u64 = 1 << 20;

/// The sections with texts that have a meaning.
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
    /// Name and description.
    pub metadata: Metadata,
    /// Needed features of the program.
    #[serde(default)]
    pub requires: Requires,
    /// Parameters: typed inputs that are not in the source.
    #[serde(default)]
    pub params: BTreeMap<String, Param>,
    /// Rules that detect sources of this type.
    #[serde(default)]
    pub detect: Vec<Detect>,
    /// Files that are read.
    #[serde(default)]
    pub source: SourceRule,
    /// Variables, strings or typed values.
    #[serde(default)]
    pub vars: Map<String, Json>,
    /// The config [default: the OCI empty config].
    #[serde(default)]
    pub config: Many<Config>,
    /// The layers.
    #[serde(default)]
    pub layers: Layers,
    /// The manifest, or that of every member of an index.
    #[serde(default)]
    pub manifest: ManifestRule,
    /// The index, if the artifact is one.
    #[serde(default)]
    pub index: Option<IndexRule>,
    /// The natural repository and tag.
    #[serde(default)]
    pub reference: ReferenceRule,
    /// Assertions.
    #[serde(default)]
    pub validate: Vec<Assertion>,
    /// References to other artifacts and images; reserved for bundles.
    #[serde(default)]
    pub refs: Map<String, Json>,
    /// Recognition of manifests of this type.
    #[serde(default)]
    pub accept: Accept,
    /// The files that artifacts become.
    #[serde(default)]
    pub unpack: Unpack,
    /// Tests: sources with expected results.
    #[serde(default)]
    pub tests: Vec<TestCase>,
}

impl Definition {
    /// The texts of all sections, with their positions.
    pub(super) fn all_texts(&self) -> impl Iterator<Item = (String, Text<'_>)> {
        SECTIONS.into_iter().flat_map(|section| self.texts(section).found)
    }

    /// The texts of a section with a meaning.
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

    /// The pointer to a config: the section can be one config or a list.
    pub(super) fn config_at(&self, i: usize) -> String {
        if self.config.0.len() == 1 { "/config".into() } else { format!("/config/{i}") }
    }

    /// The forms of sources.
    pub(super) fn forms(&self) -> Vec<&str> {
        let mut forms: Vec<&str> = self.detect.iter().map(|d| d.form.as_str()).collect();
        forms.dedup();
        forms
    }
}
