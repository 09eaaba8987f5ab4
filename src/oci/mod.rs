//! The OCI specifications as plain data: digests, descriptors, manifests, indexes and their media types.
//!
//! Nothing here reads, writes or knows another module of this crate but [`crate::error`]. Fields are public and
//! optional where the specification makes them so; what was read from elsewhere is carried as bytes and never
//! written from these types again.

mod digest;
pub mod json;
mod manifest;
pub mod media_type;
mod platform;
mod text;

pub use digest::{Algorithm, Digest, Hasher, hashed};
pub use manifest::{Descriptor, Index, MAX_JSON_DEPTH, MAX_MANIFEST, Manifest, Parsed};
pub use platform::Platform;

/// Annotations: sorted by key, as Go's encoder writes maps, so that equal content has equal bytes.
pub type Annotations = std::collections::BTreeMap<String, String>;

/// Annotation keys that the image specification or common practice defines.
pub mod annotation {
    /// The name of the file that a layer holds (image-spec annotations.md; the oras convention on layers).
    pub const TITLE: &str = "org.opencontainers.image.title";
    /// When the content was made, RFC 3339.
    pub const CREATED: &str = "org.opencontainers.image.created";
    /// The reference of a descriptor in an `index.json` (image-spec annotations.md).
    pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
    /// `true` on a layer that is a directory packed as tar+gzip (oras-go `content/file`).
    pub const UNPACK: &str = "io.deis.oras.content.unpack";
    /// Digest of the uncompressed tar of such a layer (oras-go `content/file`).
    pub const UNPACK_DIGEST: &str = "io.deis.oras.content.digest";

    /// Whether [`REF_NAME`] may have this value (image-spec annotations.md): components of letters and digits, with
    /// separators `-._:@/+` and `--` between them; at most 512 bytes. Every tag is allowed too, though a tag may begin
    /// with `_` and end with a separator: a layout must be able to hold what a registry has.
    #[must_use]
    pub fn is_ref_name(name: &str) -> bool {
        let separated = |c: char| "-._:@/+".contains(c);
        let grammatical = (1..=512).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || separated(c))
            && !name.starts_with(separated)
            && !name.ends_with(separated);
        grammatical || super::is_tag(name)
    }
}

/// Whether this is a tag (distribution-spec, "Pulling manifests"): `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
#[must_use]
pub fn is_tag(text: &str) -> bool {
    let first = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= 128 && text.starts_with(first) && text.chars().all(|c| first(c) || c == '.' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_follow_the_grammar_of_the_distribution_specification() {
        for good in ["v1", "_", "_a-", "1.0-rc..1", &"a".repeat(128)] {
            assert!(is_tag(good) && annotation::is_ref_name(good), "{good}");
        }
        for bad in ["", ".a", "-a", "a/b", "a:b", "a b", "ä", &"a".repeat(129)] {
            assert!(!is_tag(bad), "{bad}");
        }
    }
}
