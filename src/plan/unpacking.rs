//! Plans for unpacking: the files that the blobs of an artifact become.

#[cfg(feature = "types")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Compression, wire};
use crate::oci::{Descriptor, Digest};

/// The plan for unpacking an artifact, before any file is written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Unpacking {
    /// Steps, in order.
    pub steps: Vec<Step>,
    /// Warnings for the user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A step: one blob to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// The blob.
    #[cfg_attr(feature = "types", schemars(with = "wire::DescriptorSchema"))]
    pub blob: Descriptor,
    /// Path relative to the destination, `/` between components; the writer checks it again.
    pub path: String,
    /// Conversion to files.
    pub action: Action,
}

/// The conversion of a blob to files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(JsonSchema))]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Action {
    /// Write the blob as one file.
    Write {
        /// Permission bits; set-id bits and write permission for others are never set.
        #[serde(default = "wire::plain_mode")]
        mode: u32,
    },
    /// Extract the blob, a tar archive, below [`Step::path`].
    Extract {
        /// Compression, by the media type.
        #[serde(default)]
        compress: Compression,
        /// First path component, which every member must have; it is stripped.
        #[serde(default)]
        root: Option<String>,
        /// Number of components to strip behind it, whatever they are called. A file with no more is an error.
        #[serde(default)]
        strip: usize,
        /// Whether to create symbolic links that stay inside; otherwise links are errors.
        #[serde(default)]
        links: bool,
        /// Digest of the uncompressed archive, if known.
        #[serde(default)]
        #[cfg_attr(feature = "types", schemars(with = "Option<String>"))]
        diff_id: Option<Digest>,
    },
}
