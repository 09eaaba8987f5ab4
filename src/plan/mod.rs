//! What will be made, as a printable value, before a byte is packed: the outcome of reading a source by a type.
//!
//! A plan is a tree: a manifest, or an index whose members are planned with it or stored already. It holds no digests of
//! what is planned. Where a config or an annotation has to quote one, it holds a *quote*, the JSON object
//! `{"$layer": 0, "value": "digest"}`, which [`mod@crate::pack`] replaces. Plans are what plug-in programs print, so their
//! JSON form is a public interface: `artifact-plan/v1`, described in `artifact-types/plan.md`.

mod wire;

use std::{collections::BTreeMap, path::PathBuf};

#[cfg(feature = "types")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::oci::{Descriptor, Platform, Tag, json::Encoding};

pub use self::wire::parse;
#[cfg(feature = "types")]
pub(crate) use self::wire::{EncodingSchema, Plan as Wire};

/// The version of the JSON form.
pub const API_VERSION: &str = "artifact-plan/v1";

/// What will be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "wire::Plan", into = "wire::Plan")]
pub struct Plan {
    /// Name of the artifact type that made it.
    pub type_name: String,
    /// The directory that the paths of files are relative to.
    pub base: PathBuf,
    /// The manifest or index that names stand for, and all below it.
    pub root: Document,
    /// Where it wants to go.
    pub reference: ReferencePlan,
    /// What the user should know before it is pushed.
    pub warnings: Vec<String>,
}

/// What a name or an index points at.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// A manifest.
    Manifest(Box<ManifestPlan>),
    /// An index.
    Index(Box<IndexPlan>),
}

/// A manifest to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManifestPlan {
    /// The config blob.
    pub config: Part,
    /// The layers, in the order that quotes count them.
    #[serde(default)]
    pub layers: Vec<Part>,
    /// The artifact type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Whether the manifest's own `mediaType` is left out, as Helm does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub omit_media_type: bool,
    /// How the manifest becomes bytes.
    #[serde(default)]
    #[cfg_attr(feature = "types", schemars(with = "wire::EncodingSchema"))]
    pub encoding: Encoding,
    /// In which order the layers stand.
    #[serde(default)]
    pub order: Order,
    /// Annotations; a value is a string or a quote.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, Value>,
    /// What the artifact is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "types", schemars(with = "Option<wire::DescriptorSchema>"))]
    pub subject: Option<Descriptor>,
    /// What packing reads from files for the config and the layers, where the planner knows it: a figure for progress, and
    /// no promise. Packing asks the disk where it is `None`, as it is in a plan that was read from JSON. Who changes the
    /// parts sets it anew.
    #[serde(skip)]
    pub reads: Option<Reads>,
}

/// What is read from files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reads {
    /// How many files; one that is read twice counts twice.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Reads {
    /// Counts a file of this length, too.
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

/// An index to be.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IndexPlan {
    /// Its members, in order of preference.
    pub members: Vec<Member>,
    /// The artifact type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// How the index becomes bytes.
    #[serde(default)]
    #[cfg_attr(feature = "types", schemars(with = "wire::EncodingSchema"))]
    pub encoding: Encoding,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What the artifact is about.
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
    /// What it is.
    pub content: MemberContent,
    /// The platform that it is for.
    pub platform: Option<Platform>,
    /// Annotations of its descriptor.
    pub annotations: BTreeMap<String, String>,
}

/// What a member of an index is.
#[derive(Debug, Clone, PartialEq)]
pub enum MemberContent {
    /// Planned with the index.
    Planned(Document),
    /// Stored already; it is carried along.
    Stored(Stored),
}

/// An artifact that is in a store already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stored {
    /// Where it is, as on a command line: `registry.example/team/tool:v1`, `oci:dir:v1`.
    pub location: String,
    /// What is there. Where it is not given, the location is asked; where it is, the location must have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "types", schemars(with = "Option<wire::DescriptorSchema>"))]
    pub descriptor: Option<Descriptor>,
}

impl Plan {
    /// The manifest, where this is not an index.
    #[must_use]
    pub fn manifest(&self) -> Option<&ManifestPlan> {
        match &self.root {
            Document::Manifest(manifest) => Some(manifest),
            Document::Index(_) => None,
        }
    }

    /// The manifest, to be changed.
    pub fn manifest_mut(&mut self) -> Option<&mut ManifestPlan> {
        match &mut self.root {
            Document::Manifest(manifest) => Some(manifest),
            Document::Index(_) => None,
        }
    }

    /// All manifests that will be made, members before what lists them.
    #[must_use]
    pub fn manifests(&self) -> Vec<&ManifestPlan> {
        let mut all = Vec::new();
        self.root.manifests(&mut all);
        all
    }

    /// All members that are stored already.
    pub fn stored_mut(&mut self) -> Vec<&mut Stored> {
        let mut all = Vec::new();
        self.root.stored(&mut all);
        all
    }
}

impl ManifestPlan {
    /// A manifest with this config, and nothing else.
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
    /// Sets the artifact type, in the place of what the type says.
    pub fn set_artifact_type(&mut self, artifact_type: String) {
        match self {
            Self::Manifest(manifest) => manifest.artifact_type = Some(artifact_type),
            Self::Index(index) => index.artifact_type = Some(artifact_type),
        }
    }

    /// Adds annotations, which win over those that are there.
    pub fn annotate(&mut self, annotations: impl IntoIterator<Item = (String, String)>) {
        match self {
            Self::Manifest(manifest) => {
                manifest.annotations.extend(annotations.into_iter().map(|(key, value)| (key, value.into())));
            }
            Self::Index(index) => index.annotations.extend(annotations),
        }
    }

    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Manifest(manifest) => manifest.subject.as_ref(),
            Self::Index(index) => index.subject.as_ref(),
        }
    }

    /// Says what it is about.
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

/// A blob to be: the config or a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(try_from = "wire::Part", into = "wire::Part")]
#[cfg_attr(feature = "types", schemars(with = "wire::Part"))]
pub struct Part {
    /// Its role in the type: `chart`, `slide`.
    pub id: String,
    /// Its media type.
    pub media_type: String,
    /// What it consists of.
    pub content: Content,
    /// Annotations of its descriptor; a value is a string or a quote.
    pub annotations: BTreeMap<String, Value>,
}

/// What a blob consists of.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// The two bytes `{}`; with media type [`crate::oci::media_type::EMPTY`], the OCI empty descriptor.
    Empty {},
    /// This text.
    Text(String),
    /// A JSON document; it may hold quotes.
    Json {
        /// The document, its keys in order.
        value: Value,
        /// How it becomes bytes.
        encoding: Encoding,
    },
    /// The bytes of this file, relative to [`Plan::base`].
    File(PathBuf),
    /// A tar archive of these entries, in this order.
    Tar {
        /// What is in it.
        entries: Vec<Entry>,
        /// How it is compressed.
        compress: Compression,
    },
}

/// One member of a tar archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// Its name in the archive: relative, `/` between components, none of them `..`.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Seconds since 1970.
    #[serde(default)]
    pub mtime: u64,
    /// What it is.
    pub kind: EntryKind,
}

/// What a member of a tar archive is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file with the bytes of this one, relative to [`Plan::base`].
    File(PathBuf),
    /// A regular file with this text.
    Text(String),
    /// A symbolic link to this target.
    Symlink(String),
}

/// How a tar archive is compressed. The bytes depend on algorithm and level only, never on the number of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip, at this level (0 to 9).
    Gzip(u32),
    /// zstd, at this level (1 to 19).
    Zstd(i32),
}

/// In which order layers stand in the manifest.
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

/// Where an artifact wants to go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ReferencePlan {
    /// A last component that the repository must have, appended where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The tag, when the user gives none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "types", schemars(with = "Option<String>"))]
    pub tag: Option<Tag>,
    /// Whether tag and last component given by the user must equal these.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
}

/// A value of a layer that is known only once it is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quote {
    /// Which layer, counted from 0 in [`ManifestPlan::layers`].
    #[serde(rename = "$layer")]
    pub layer: usize,
    /// Which value.
    pub value: Quoted,
}

/// What can be quoted of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Quoted {
    /// The digest of its blob.
    Digest,
    /// The digest of its content before compression.
    DiffId,
    /// The size of its blob, a number.
    Size,
}

impl Quote {
    /// This quote as the JSON object that stands for it in a plan.
    #[must_use]
    pub fn to_value(self) -> Value {
        let value = match self.value {
            Quoted::Digest => "digest",
            Quoted::DiffId => "diffId",
            Quoted::Size => "size",
        };
        serde_json::json!({ "$layer": self.layer, "value": value })
    }

    /// The quote that this JSON object stands for, if it is one.
    #[must_use]
    pub fn from_value(value: &Value) -> Option<Self> {
        value.get("$layer")?;
        serde_json::from_value(value.clone()).ok()
    }
}

/// What will be written when an artifact is unpacked, before a file is touched.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Unpacking {
    /// What to write, in order.
    pub steps: Vec<Step>,
    /// What the user should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One thing to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// The blob to take.
    #[cfg_attr(feature = "types", schemars(with = "wire::DescriptorSchema"))]
    pub blob: Descriptor,
    /// Where it goes, relative to the destination: `/` between components; checked again by the writer.
    pub path: String,
    /// How it becomes files.
    pub action: Action,
}

/// How a blob becomes files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Action {
    /// The blob is one file.
    Write {
        /// Permission bits; set-id bits and write permission of others are never given.
        #[serde(default = "wire::plain_mode")]
        mode: u32,
    },
    /// The blob is a tar archive whose members are written below [`Step::path`].
    Extract {
        /// How the archive is compressed, by its media type.
        #[serde(default)]
        compress: Compression,
        /// A first component that every member must have, and that is stripped.
        #[serde(default)]
        root: Option<String>,
        /// Whether symbolic links that stay inside are made; otherwise a link is an error.
        #[serde(default)]
        links: bool,
        /// Digest of the uncompressed archive, where it is known.
        #[serde(default)]
        #[cfg_attr(feature = "types", schemars(with = "Option<String>"))]
        diff_id: Option<crate::oci::Digest>,
    },
}
