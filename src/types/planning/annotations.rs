//! Annotations of layers and manifests: typed values, and annotations about a layer's form on disk.

use serde_json::Value as Json;

use crate::{
    error::{Error, Result},
    oci::annotation,
    plan::{Compression, Content, Quote, Quoted},
};

/// Marks a layer as a directory packed as tar, where oras' own annotation would make oras fail: it reads only gzip.
pub const UNPACK: &str = "vnd.artifact.content.unpack";
/// Digest of the uncompressed tar of such a layer.
pub const UNPACK_DIGEST: &str = "vnd.artifact.content.digest";

/// A typed value as an annotation: a string or a quote; `None` if blank.
pub(super) fn annotation_value(value: Option<Json>) -> Result<Option<Json>> {
    match value {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Bool(b)) => Ok(Some(b.to_string().into())),
        Some(Json::Number(n)) => Ok(Some(n.to_string().into())),
        Some(quote) if Quote::from_value(&quote).is_some() => Ok(Some(quote)),
        Some(Json::String(text)) => Ok(Some(text.into())),
        Some(_) => Err(Error::invalid("an annotation must be a string, not a list or an object")),
    }
}

/// The annotations of a layer for a file or directory with this name.
pub(super) fn title_annotations(title: &str, index: usize, content: &Content) -> Vec<(String, Json)> {
    let mut out = vec![(annotation::TITLE.to_owned(), Json::from(title))];
    if let Content::Tar { compress, .. } = content {
        let (unpack, digest) = match compress {
            Compression::Gzip(_) => (annotation::UNPACK, annotation::UNPACK_DIGEST),
            _ => (UNPACK, UNPACK_DIGEST),
        };
        out.push((unpack.to_owned(), "true".into()));
        out.push((digest.to_owned(), Quote { layer: index, value: Quoted::DiffId }.to_value()));
    }
    out
}
