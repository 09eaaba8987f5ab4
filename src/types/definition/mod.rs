//! A definition: one YAML file, read strictly. Every error says where it is, and which key was meant.

pub(super) mod many;
pub(super) mod metadata;
pub(super) mod params;
pub(super) mod texts;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use self::{
    many::Many,
    metadata::{Metadata, Requires},
    params::Param,
    texts::{Text, Texts},
};
use super::{
    check::lint,
    language::expr::Engine,
    planning::{
        config::Config, documents::DocumentRule, index::IndexRule, layers::Layers, manifest::ManifestRule,
        reference::ReferenceRule, sets::FileSet, validate::Assertion,
    },
    probe::detect::Detect,
    test::TestCase,
    unpacking::{accept::Accept, unpack::Unpack},
};
use crate::{
    document::typed,
    error::{Error, Result},
    source::{Document, Options},
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

/// The section `source`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceRule {
    /// Named sets of files.
    #[serde(default)]
    pub sets: BTreeMap<String, FileSet>,
    /// Files that are read.
    #[serde(default)]
    pub documents: BTreeMap<String, DocumentRule>,
}

impl SourceRule {
    fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.part("sets", |texts| {
            self.sets.iter().for_each(|(name, set)| texts.part(name, |texts| set.texts(texts)));
        });
        texts.part("documents", |texts| {
            self.documents.iter().for_each(|(name, document)| texts.part(name, |texts| document.texts(texts)));
        });
    }
}

/// A definition with the positions of its parts.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) definition: Definition,
    pub(super) document: Document,
}

impl Placed {
    /// Reads the syntax and the keys of a definition; what it means is not checked yet.
    pub(super) fn read(text: &str, origin: &str) -> Result<Self> {
        let options = Options { limit: MAX_DEFINITION, aliases: 0, ..Options::default() };
        let document = Document::parse(text.as_bytes(), origin, &options)?;
        let version = document.value.get("apiVersion").and_then(Json::as_str).unwrap_or_default();
        if version != API_VERSION {
            let message = format!("`apiVersion` must be `{API_VERSION}`, not `{version}`");
            return Err(Error::unsupported(message).context(document.place("/apiVersion")));
        }
        let definition = typed(&document)?;
        Ok(Self { definition, document })
    }
}

impl Definition {
    /// Reads and checks a definition; `origin` names it in errors, which read `file:line:column: what`.
    ///
    /// Errors: malformed YAML, an unknown or missing key, a value of the wrong type, a malformed expression, an
    /// expression that names what does not exist, sections that contradict each other.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        Self::compile(text, origin, &Engine::new())
    }

    /// Reads a definition of ours, which a test has checked.
    pub(super) fn built_in(text: &str, origin: &str) -> Result<Self> {
        Placed::read(text, origin).map(|placed| placed.definition)
    }

    /// The same; what there is to evaluate in it is compiled by this engine, once.
    pub(super) fn compile(text: &str, origin: &str, engine: &Engine) -> Result<Self> {
        let placed = Placed::read(text, origin)?;
        let findings = lint::errors(&placed, engine);
        match findings.into_iter().next() {
            Some(finding) => Err(Error::invalid(finding.message).context(finding.place)),
            None => Ok(placed.definition),
        }
    }

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
                    let mut one = Texts::at(lint::config_at(self, i));
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

    /// The forms that a source may have.
    pub(super) fn forms(&self) -> Vec<&str> {
        let mut forms: Vec<&str> = self.detect.iter().map(|d| d.form.as_str()).collect();
        forms.dedup();
        forms
    }
}
