//! What will be made, as a printable value, before a byte is packed: the outcome of reading a source by a type.
//!
//! A plan holds no digests. Where a config or an annotation has to quote one, it holds a *quote*, the JSON object
//! `{"$layer": 0, "value": "digest"}`, which [`mod@crate::pack`] replaces. Plans are what plug-in programs print, so the
//! JSON form of these structs is a public interface: `artifact-plan/v1`.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::oci::{Descriptor, Tag, json::Encoding};

/// The version of the JSON form.
pub const API_VERSION: &str = "artifact-plan/v1";

/// What will be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// [`API_VERSION`].
    pub api_version: String,
    /// Name of the artifact type that made it.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The directory that the paths of files are relative to.
    pub base: PathBuf,
    /// The config blob.
    pub config: Part,
    /// The layers, in the order that quotes count them.
    #[serde(default)]
    pub layers: Vec<Part>,
    /// What the manifest says beyond config and layers.
    #[serde(default)]
    pub manifest: ManifestPlan,
    /// Where it wants to go.
    #[serde(default)]
    pub reference: ReferencePlan,
    /// What the user should know before it is pushed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A blob to be: the config or a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Part {
    /// Its role in the type: `chart`, `slide`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Its media type.
    pub media_type: String,
    /// What it consists of.
    #[serde(flatten)]
    pub content: Content,
    /// Annotations of its descriptor; a value is a string or a quote.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, Value>,
}

/// What a blob consists of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
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
        #[serde(default)]
        encoding: Encoding,
    },
    /// The bytes of this file, relative to [`Plan::base`].
    File(PathBuf),
    /// A tar archive of these entries, in this order.
    Tar {
        /// What is in it.
        entries: Vec<Entry>,
        /// How it is compressed.
        #[serde(default)]
        compress: Compression,
    },
}

/// One member of a tar archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// What the manifest says beyond config and layers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ManifestPlan {
    /// The artifact type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Whether the manifest's own `mediaType` is left out, as Helm does.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub omit_media_type: bool,
    /// How the manifest becomes bytes.
    pub encoding: Encoding,
    /// In which order the layers stand.
    pub order: Order,
    /// Annotations; a value is a string or a quote.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, Value>,
    /// What the artifact is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
}

/// In which order layers stand in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ReferencePlan {
    /// A last component that the repository must have, appended where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The tag, when the user gives none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
    /// Whether tag and last component given by the user must equal these.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
}

/// A value of a layer that is known only once it is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quote {
    /// Which layer, counted from 0 in [`Plan::layers`].
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
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unpacking {
    /// What to write, in order.
    pub steps: Vec<Step>,
    /// What the user should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One thing to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The blob to take.
    pub blob: Descriptor,
    /// Where it goes, relative to the destination: `/` between components; checked again by the writer.
    pub path: String,
    /// How it becomes files.
    pub action: Action,
}

/// How a blob becomes files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// The blob is one file.
    Write {
        /// Permission bits; set-id bits and write permission of others are never given.
        mode: u32,
    },
    /// The blob is a tar archive whose members are written below [`Step::path`].
    Extract {
        /// How the archive is compressed, by its media type.
        compress: Compression,
        /// A first component that every member must have, and that is stripped.
        root: Option<String>,
        /// Whether symbolic links that stay inside are made; otherwise a link is an error.
        links: bool,
        /// Digest of the uncompressed archive, where it is known.
        diff_id: Option<crate::oci::Digest>,
    },
}
