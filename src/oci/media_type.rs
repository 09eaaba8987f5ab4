//! Media types of the image specification and of Docker's older one, and the syntax of media types.

/// An image manifest (image-spec 1.1 manifest.md).
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An image index (image-spec 1.1 image-index.md).
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The config of a runnable image.
pub const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The same of Docker's image manifest.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// The empty descriptor's media type (image-spec 1.1 manifest.md, "Guidance for an Empty Descriptor").
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// A tar layer; its compressed forms add `+gzip` and `+zstd`.
pub const LAYER_TAR: &str = "application/vnd.oci.image.layer.v1.tar";
/// Docker's image manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Arbitrary bytes.
pub const OCTET_STREAM: &str = "application/octet-stream";

/// True if content of this type is an image manifest.
#[must_use]
pub fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, MANIFEST | DOCKER_MANIFEST)
}

/// True if content of this type is an index, a list of manifests.
#[must_use]
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, INDEX | DOCKER_LIST)
}

/// True if content of this type points to other content, so that it is pushed as a manifest and not as a blob.
#[must_use]
pub fn points(media_type: &str) -> bool {
    is_manifest(media_type) || is_index(media_type)
}

/// Most bytes of a media type: two names of 127, and a slash (RFC 6838, section 4.2).
pub(crate) const MAX_LEN: usize = 255;

/// True for a media type that the image specification's schema allows: two RFC 6838 names, no parameters.
#[must_use]
pub fn is_valid(media_type: &str) -> bool {
    let part = |part: &str| {
        (1..=127).contains(&part.len())
            && part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c))
    };
    media_type.split_once('/').is_some_and(|(kind, name)| part(kind) && part(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_have_two_parts_and_no_parameters() {
        for good in [MANIFEST, "a/b", "application/vnd.x-y_z.v1+tar.gz", "text/markdown"] {
            assert!(is_valid(good), "{good}");
        }
        for bad in ["", "a", "a/", "/b", "a/b/c", "text/plain; charset=utf-8", "a/b\r\nX: y", ".a/b", "a/ä"] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}
