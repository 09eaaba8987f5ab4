//! Plans: the artifact that a type makes of a source, as a printable value, before packing.
//!
//! A plan is a tree: a manifest, or an index with members that are planned or already stored. It contains no digests
//! of planned content. A config or annotation with a layer's digest contains a *quote* instead, the JSON object
//! `{"$layer": 0, "value": "digest"}`, which [`mod@crate::pack`] replaces. Plug-ins print plans, so the JSON form is a
//! public interface: `artifact-plan/v1`, documented in `artifact-types/plan.md`.

mod unpacking;
mod wire;

use std::{collections::BTreeMap, path::PathBuf};

#[cfg(feature = "types")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::oci::{Descriptor, Platform, Tag, json::Encoding};

#[cfg(feature = "types")]
pub(crate) use self::wire::{EncodingSchema, Plan as Wire};
pub use self::{
    unpacking::{Action, Step, Unpacking},
    wire::parse,
};

/// The version of the JSON form.
pub const API_VERSION: &str = "artifact-plan/v1";

/// A planned artifact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "wire::Plan", into = "wire::Plan")]
pub struct Plan {
    /// Name of the artifact type that planned it.
    pub type_name: String,
    /// The base directory of file paths.
    pub base: PathBuf,
    /// The manifest or index that tags will point to, with its content.
    pub root: Document,
    /// The natural repository and tag.
    pub reference: ReferencePlan,
    /// Warnings for the user before the push.
    pub warnings: Vec<String>,
}

/// A planned manifest or index.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// A manifest.
    Manifest(Box<ManifestPlan>),
    /// An index.
    Index(Box<IndexPlan>),
}

/// A planned manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManifestPlan {
    /// The config blob.
    pub config: Part,
    /// The layers; quotes refer to this order.
    #[serde(default)]
    pub layers: Vec<Part>,
    /// The artifact type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Whether to omit the manifest's own `mediaType`, as Helm does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub omit_media_type: bool,
    /// JSON encoding of the manifest.
    #[serde(default)]
    #[cfg_attr(feature = "types", schemars(with = "wire::EncodingSchema"))]
    pub encoding: Encoding,
    /// Order of the layers in the manifest.
    #[serde(default)]
    pub order: Order,
    /// Annotations; a value is a string or a quote.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, Value>,
    /// The subject of the artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "types", schemars(with = "Option<wire::DescriptorSchema>"))]
    pub subject: Option<Descriptor>,
    /// Expected file reads for the config and the layers, an estimate for progress. If `None`, as in a plan parsed from
    /// JSON, packing determines it from the disk. Update it after changing parts.
    #[serde(skip)]
    pub reads: Option<Reads>,
}

/// Amount of file reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reads {
    /// Number of files; a file read twice counts twice.
    pub files: usize,
    /// Total bytes.
    pub bytes: u64,
}

impl Reads {
    /// Adds a file of this length.
    pub fn file(&mut self, len: u64) {
        *self += Self { files: 1, bytes: len };
    }
}

impl std::ops::AddAssign for Reads {
    fn add_assign(&mut self, other: Self) {
        self.files += other.files;
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// A planned index.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IndexPlan {
    /// The members, in order of preference.
    pub members: Vec<Member>,
    /// The artifact type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// JSON encoding of the index.
    #[serde(default)]
    #[cfg_attr(feature = "types", schemars(with = "wire::EncodingSchema"))]
    pub encoding: Encoding,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The subject of the artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "types", schemars(with = "Option<wire::DescriptorSchema>"))]
    pub subject: Option<Descriptor>,
}

/// A member of an index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(try_from = "wire::Member", into = "wire::Member")]
#[cfg_attr(feature = "types", schemars(with = "wire::Member"))]
pub struct Member {
    /// The content.
    pub content: MemberContent,
    /// The platform.
    pub platform: Option<Platform>,
    /// Annotations of the descriptor.
    pub annotations: BTreeMap<String, String>,
}

/// The content of a member of an index.
#[derive(Debug, Clone, PartialEq)]
pub enum MemberContent {
    /// Planned with the index.
    Planned(Document),
    /// Already stored; copied along.
    Stored(Stored),
}

/// An artifact that is already in a store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stored {
    /// Location as on the command line: `registry.example/team/tool:v1`, `oci:dir:v1`.
    pub location: String,
    /// Descriptor of the artifact; the location must have it. If missing, the location is resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "types", schemars(with = "Option<wire::DescriptorSchema>"))]
    pub descriptor: Option<Descriptor>,
}

impl Plan {
    /// The manifest, unless this is an index.
    #[must_use]
    pub fn manifest(&self) -> Option<&ManifestPlan> {
        match &self.root {
            Document::Manifest(manifest) => Some(manifest),
            Document::Index(_) => None,
        }
    }

    /// The manifest, mutable, unless this is an index.
    pub fn manifest_mut(&mut self) -> Option<&mut ManifestPlan> {
        match &mut self.root {
            Document::Manifest(manifest) => Some(manifest),
            Document::Index(_) => None,
        }
    }

    /// All planned manifests, members before their index.
    #[must_use]
    pub fn manifests(&self) -> Vec<&ManifestPlan> {
        let mut all = Vec::new();
        self.root.manifests(&mut all);
        all
    }

    /// All members that are already stored.
    pub fn stored_mut(&mut self) -> Vec<&mut Stored> {
        let mut all = Vec::new();
        self.root.stored(&mut all);
        all
    }
}

impl ManifestPlan {
    /// A manifest with only this config.
    #[must_use]
    pub fn of(config: Part) -> Self {
        Self {
            config,
            layers: Vec::new(),
            artifact_type: None,
            omit_media_type: false,
            encoding: Encoding::default(),
            order: Order::default(),
            annotations: BTreeMap::new(),
            subject: None,
            reads: None,
        }
    }
}

impl From<ManifestPlan> for Document {
    fn from(manifest: ManifestPlan) -> Self {
        Self::Manifest(Box::new(manifest))
    }
}

impl From<IndexPlan> for Document {
    fn from(index: IndexPlan) -> Self {
        Self::Index(Box::new(index))
    }
}

impl Document {
    /// Overrides the artifact type.
    pub fn set_artifact_type(&mut self, artifact_type: String) {
        match self {
            Self::Manifest(manifest) => manifest.artifact_type = Some(artifact_type),
            Self::Index(index) => index.artifact_type = Some(artifact_type),
        }
    }

    /// Adds annotations, which override existing ones.
    pub fn annotate(&mut self, annotations: impl IntoIterator<Item = (String, String)>) {
        match self {
            Self::Manifest(manifest) => {
                manifest.annotations.extend(annotations.into_iter().map(|(key, value)| (key, value.into())));
            }
            Self::Index(index) => index.annotations.extend(annotations),
        }
    }

    /// The subject.
    #[must_use]
    pub fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Manifest(manifest) => manifest.subject.as_ref(),
            Self::Index(index) => index.subject.as_ref(),
        }
    }

    /// Sets the subject.
    pub fn set_subject(&mut self, subject: Descriptor) {
        match self {
            Self::Manifest(manifest) => manifest.subject = Some(subject),
            Self::Index(index) => index.subject = Some(subject),
        }
    }

    fn manifests<'a>(&'a self, all: &mut Vec<&'a ManifestPlan>) {
        match self {
            Self::Manifest(manifest) => all.push(manifest),
            Self::Index(index) => {
                for member in &index.members {
                    if let MemberContent::Planned(document) = &member.content {
                        document.manifests(all);
                    }
                }
            }
        }
    }

    fn stored<'a>(&'a mut self, all: &mut Vec<&'a mut Stored>) {
        let Self::Index(index) = self else { return };
        for member in &mut index.members {
            match &mut member.content {
                MemberContent::Planned(document) => document.stored(all),
                MemberContent::Stored(stored) => all.push(stored),
            }
        }
    }
}

/// A planned blob: the config or a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(try_from = "wire::Part", into = "wire::Part")]
#[cfg_attr(feature = "types", schemars(with = "wire::Part"))]
pub struct Part {
    /// Role in the type, such as `chart` or `slide`.
    pub id: String,
    /// Media type.
    pub media_type: String,
    /// The content.
    pub content: Content,
    /// Annotations of the descriptor; a value is a string or a quote.
    pub annotations: BTreeMap<String, Value>,
}

/// The content of a planned blob.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// The two bytes `{}`; with media type [`crate::oci::media_type::EMPTY`], the OCI empty descriptor.
    Empty {},
    /// A text.
    Text(String),
    /// A JSON document, optionally with quotes.
    Json {
        /// The document, keys in order.
        value: Value,
        /// JSON encoding.
        encoding: Encoding,
    },
    /// The bytes of a file; path relative to [`Plan::base`].
    File(PathBuf),
    /// A tar archive.
    Tar {
        /// The entries, in order.
        entries: Vec<Entry>,
        /// Compression.
        compress: Compression,
    },
}

/// One member of a tar archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// Name in the archive: a relative path with `/` between components, without `..`.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Modification time in seconds since 1970.
    #[serde(default)]
    pub mtime: u64,
    /// Kind and content.
    pub kind: EntryKind,
}

/// The kind and content of a member of a tar archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file with the bytes of this file; path relative to [`Plan::base`].
    File(PathBuf),
    /// A regular file with this text.
    Text(String),
    /// A symbolic link to this target.
    Symlink(String),
}

/// The compression of a tar archive. The bytes depend only on algorithm and level, not on the number of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// No compression.
    #[default]
    None,
    /// gzip, at this level (0 to 9).
    Gzip(u32),
    /// zstd, at this level (1 to 19).
    Zstd(i32),
}

/// The order of layers in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// As planned.
    #[default]
    Listed,
    /// Ascending by digest, as Helm and Zarf do.
    Digest,
}

/// The natural repository and tag of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ReferencePlan {
    /// Last component of the repository, appended if missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Default tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "types", schemars(with = "Option<String>"))]
    pub tag: Option<Tag>,
    /// Whether the user's tag and last component must equal these.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
}

/// A value of a layer that is known only after packing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quote {
    /// Index of the layer in [`ManifestPlan::layers`].
    #[serde(rename = "$layer")]
    pub layer: usize,
    /// The value.
    pub value: Quoted,
}

/// The values of a layer that can be quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Quoted {
    /// The digest of the blob.
    Digest,
    /// The digest of the content before compression.
    DiffId,
    /// The size of the blob, a number.
    Size,
}

impl Quote {
    /// The JSON form of this quote in a plan.
    #[must_use]
    pub fn to_value(self) -> Value {
        let value = match self.value {
            Quoted::Digest => "digest",
            Quoted::DiffId => "diffId",
            Quoted::Size => "size",
        };
        serde_json::json!({ "$layer": self.layer, "value": value })
    }

    /// The quote in this JSON object, if it is one.
    #[must_use]
    pub fn from_value(value: &Value) -> Option<Self> {
        value.get("$layer")?;
        serde_json::from_value(value.clone()).ok()
    }
}
