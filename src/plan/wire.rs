//! The JSON form of plans, `artifact-plan/v1`: structs for reading, writing and the schema.
//!
//! Alternatives are keys, of which exactly one is present. serde's `flatten` cannot express that together with
//! `deny_unknown_fields`, and a misspelled key must be an error.

use std::{collections::BTreeMap, path::PathBuf};

#[cfg(feature = "types")]
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    API_VERSION, Compression, Content, Document, Entry, IndexPlan, ManifestPlan, MemberContent, ReferencePlan, Stored,
};
use crate::{
    error::{Error, Kind, Result},
    oci::{Platform, json::Encoding},
};

/// Parses the JSON form of a plan, or of [`super::Unpacking`]. Errors (kind `Invalid`): the path of the invalid key
/// (`manifest.layers[2].file`) and the reason.
pub fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|e| {
        let path = e.path().to_string();
        let place = if path == "." { String::new() } else { format!("`{path}`: ") };
        Error::new(Kind::Invalid, format!("{place}{}", e.into_inner()))
    })?;
    reader.end().map_err(|e| Error::caused(Kind::Invalid, "expected one JSON document, found more", e))?;
    Ok(value)
}

/// A plan: exactly one of `manifest` and `index`.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "types", schemars(title = "artifact plan", transform = one_of_manifest_and_index))]
pub(crate) struct Plan {
    /// `artifact-plan/v1`.
    #[cfg_attr(feature = "types", schemars(extend("const" = API_VERSION)))]
    api_version: String,
    /// Name of the artifact type that planned it.
    #[serde(rename = "type")]
    type_name: String,
    /// Base directory of file paths: the source or a directory in it. Relative to the source, or absolute.
    base: PathBuf,
    /// The planned manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    manifest: Option<ManifestPlan>,
    /// The planned index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<IndexPlan>,
    /// The natural repository and tag.
    #[serde(default)]
    reference: ReferencePlan,
    /// Warnings for the user before the push.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// A planned blob with exactly one of `empty`, `text`, `json`, `file` and `tar`.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "types", schemars(transform = one_of_contents))]
pub(super) struct Part {
    /// Role in the type, such as `chart` or `slide`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    id: String,
    /// Media type.
    media_type: String,
    /// The two bytes `{}`; with media type `application/vnd.oci.empty.v1+json`, the OCI empty descriptor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    empty: Option<Empty>,
    /// Text content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// A JSON document; in a config, it can contain quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    json: Option<Json>,
    /// Path of a file, relative to the plan's `base`; its bytes are the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    /// A tar archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tar: Option<Tar>,
    /// Annotations of the descriptor; a value is a string or a quote.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, Value>,
}

/// An empty object, `{}`.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
struct Empty {}

/// A planned JSON document.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
struct Json {
    /// The document, keys in order.
    value: Value,
    /// JSON encoding.
    #[serde(default)]
    #[cfg_attr(feature = "types", schemars(with = "EncodingSchema"))]
    encoding: Encoding,
}

/// A planned tar archive.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
struct Tar {
    /// The entries, in order.
    entries: Vec<Entry>,
    /// Compression.
    #[serde(default)]
    compress: Compression,
}

/// A member of an index: exactly one of `manifest`, `index` and `stored`.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "types", schemars(transform = one_of_members))]
pub(super) struct Member {
    /// A manifest planned with the index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    manifest: Option<ManifestPlan>,
    /// An index planned with the index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<IndexPlan>,
    /// An artifact that is already in a store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stored: Option<Stored>,
    /// The platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "types", schemars(with = "Option<PlatformSchema>"))]
    platform: Option<Platform>,
    /// Annotations of the descriptor.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

/// The one present value. Errors: none or several.
fn exactly_one<T, const N: usize>(what: &str, keys: [&str; N], values: [Option<T>; N]) -> Result<T, String> {
    let mut there = values.into_iter().flatten();
    match (there.next(), there.next()) {
        (Some(one), None) => Ok(one),
        _ => Err(format!("{what} needs exactly one of `{}`", keys.join("`, `"))),
    }
}

const CONTENTS: [&str; 5] = ["empty", "text", "json", "file", "tar"];
const DOCUMENTS: [&str; 2] = ["manifest", "index"];
const MEMBERS: [&str; 3] = ["manifest", "index", "stored"];

impl TryFrom<Plan> for super::Plan {
    type Error = String;

    fn try_from(plan: Plan) -> Result<Self, String> {
        if plan.api_version != API_VERSION {
            return Err(format!("the plan has version `{}`; expected `{API_VERSION}`", plan.api_version));
        }
        let root = [plan.manifest.map(Document::from), plan.index.map(Document::from)];
        Ok(Self {
            type_name: plan.type_name,
            base: plan.base,
            root: exactly_one("a plan", DOCUMENTS, root)?,
            reference: plan.reference,
            warnings: plan.warnings,
        })
    }
}

impl From<super::Plan> for Plan {
    fn from(plan: super::Plan) -> Self {
        let (manifest, index) = split(plan.root);
        Self {
            api_version: API_VERSION.into(),
            type_name: plan.type_name,
            base: plan.base,
            manifest,
            index,
            reference: plan.reference,
            warnings: plan.warnings,
        }
    }
}

fn split(document: Document) -> (Option<ManifestPlan>, Option<IndexPlan>) {
    match document {
        Document::Manifest(manifest) => (Some(*manifest), None),
        Document::Index(index) => (None, Some(*index)),
    }
}

impl TryFrom<Part> for super::Part {
    type Error = String;

    fn try_from(part: Part) -> Result<Self, String> {
        let contents = [
            part.empty.map(|Empty {}| Content::Empty {}),
            part.text.map(Content::Text),
            part.json.map(|Json { value, encoding }| Content::Json { value, encoding }),
            part.file.map(Content::File),
            part.tar.map(|Tar { entries, compress }| Content::Tar { entries, compress }),
        ];
        let content = exactly_one("a blob", CONTENTS, contents)?;
        Ok(Self { id: part.id, media_type: part.media_type, content, annotations: part.annotations })
    }
}

impl From<super::Part> for Part {
    fn from(part: super::Part) -> Self {
        let (id, media_type, annotations) = (part.id, part.media_type, part.annotations);
        let bare = Self { id, media_type, empty: None, text: None, json: None, file: None, tar: None, annotations };
        match part.content {
            Content::Empty {} => Self { empty: Some(Empty {}), ..bare },
            Content::Text(text) => Self { text: Some(text), ..bare },
            Content::Json { value, encoding } => Self { json: Some(Json { value, encoding }), ..bare },
            Content::File(file) => Self { file: Some(file), ..bare },
            Content::Tar { entries, compress } => Self { tar: Some(Tar { entries, compress }), ..bare },
        }
    }
}

impl TryFrom<Member> for super::Member {
    type Error = String;

    fn try_from(member: Member) -> Result<Self, String> {
        let planned = |document| MemberContent::Planned(document);
        let contents = [
            member.manifest.map(Document::from).map(planned),
            member.index.map(Document::from).map(planned),
            member.stored.map(MemberContent::Stored),
        ];
        let content = exactly_one("a member", MEMBERS, contents)?;
        Ok(Self { content, platform: member.platform, annotations: member.annotations })
    }
}

impl From<super::Member> for Member {
    fn from(member: super::Member) -> Self {
        let (manifest, index, stored) = match member.content {
            MemberContent::Planned(document) => {
                let (manifest, index) = split(document);
                (manifest, index, None)
            }
            MemberContent::Stored(stored) => (None, None, Some(stored)),
        };
        Self { manifest, index, stored, platform: member.platform, annotations: member.annotations }
    }
}

#[cfg(feature = "types")]
fn one_of(schema: &mut Schema, keys: &[&str]) {
    let alternatives: Vec<Value> = keys.iter().map(|key| serde_json::json!({ "required": [key] })).collect();
    schema.insert("oneOf".into(), alternatives.into());
}

#[cfg(feature = "types")]
fn one_of_manifest_and_index(schema: &mut Schema) {
    one_of(schema, &DOCUMENTS);
}

#[cfg(feature = "types")]
fn one_of_contents(schema: &mut Schema) {
    one_of(schema, &CONTENTS);
}

#[cfg(feature = "types")]
fn one_of_members(schema: &mut Schema) {
    one_of(schema, &MEMBERS);
}

/// Default permission bits of a file.
pub(super) fn plain_mode() -> u32 {
    0o644
}

/// The schema of [`Encoding`].
#[cfg(feature = "types")]
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code)]
pub(crate) enum EncodingSchema {
    Go,
    Compact,
    Canonical,
}

/// The schema of [`crate::oci::Descriptor`].
#[cfg(feature = "types")]
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code)]
pub(super) struct DescriptorSchema {
    /// Media type of the content.
    media_type: String,
    /// Digest of the content: `sha256:…`.
    digest: String,
    /// Size of the content in bytes.
    size: u64,
}

/// The schema of [`Platform`].
#[cfg(feature = "types")]
#[derive(JsonSchema)]
#[allow(dead_code)]
struct PlatformSchema {
    /// Operating system, Go's names: `linux`.
    os: String,
    /// CPU architecture, Go's names: `arm64`.
    architecture: String,
    /// Variant of the CPU: `v8`.
    #[serde(default)]
    variant: Option<String>,
    /// Version of the operating system.
    #[serde(rename = "os.version", default)]
    os_version: Option<String>,
    /// Required features of the operating system.
    #[serde(rename = "os.features", default)]
    os_features: Vec<String>,
}
