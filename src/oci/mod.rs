//! The OCI specifications as plain data: digests, descriptors, manifests, indexes and their media types; and names,
//! each with one grammar, parsed once at the edge.
//!
//! This module does no I/O and uses no other module of this crate but [`crate::error`]. Fields are public, and optional
//! where the specification says so. Documents read from elsewhere are kept as bytes and never written from these types
//! again.

mod descriptor;
mod digest;
mod digest_prefix;
pub(crate) mod exact_keys;
pub mod json;
mod manifest;
pub mod media_type;
mod platform;
mod platforms;
mod ref_name;
mod reference;
mod registry_name;
mod repository_name;
mod tag;
mod text;

pub use descriptor::Descriptor;
pub use digest::{Algorithm, Digest, Hasher, hashed};
pub use digest_prefix::DigestPrefix;
pub use manifest::{Index, MAX_JSON_DEPTH, MAX_MANIFEST, Manifest, Other, Parsed, Role};
pub use platform::{Fit, Platform};
pub use platforms::Platforms;
pub use ref_name::RefName;
pub use reference::{Reference, without_userinfo};
pub use registry_name::RegistryName;
pub use repository_name::RepositoryName;
pub use tag::Tag;

/// Annotations: sorted by key, as Go's encoder writes maps, so that equal content has equal bytes.
pub type Annotations = std::collections::BTreeMap<String, String>;

/// Annotation keys that the image specification or common practice defines.
pub mod annotation {
    /// The name of the file that a layer holds (image-spec annotations.md; the oras convention on layers).
    pub const TITLE: &str = "org.opencontainers.image.title";
    /// The reference of a descriptor in an `index.json` (image-spec annotations.md).
    pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
    /// Of a manifest with a sigstore bundle: the type of its statement.
    pub const PREDICATE_TYPE: &str = "dev.sigstore.bundle.predicateType";
    /// The date on which an artifact was built, RFC 3339 (image-spec annotations.md).
    pub const CREATED: &str = "org.opencontainers.image.created";
    /// What a manifest in an index is about another one there (BuildKit, `docs/attestations/attestation-storage.md`).
    pub const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
    /// Digest of that other one.
    pub const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";
    /// On an index in a list: the platforms whose members the store has, if others were left out on purpose; see
    /// [`Platforms`](super::Platforms).
    pub const PLATFORMS: &str = "vnd.artifact.platforms";
    /// `true` on a layer that is a directory packed as tar+gzip (oras-go `content/file`).
    pub const UNPACK: &str = "io.deis.oras.content.unpack";
    /// Digest of the uncompressed tar of such a layer (oras-go `content/file`).
    pub const UNPACK_DIGEST: &str = "io.deis.oras.content.digest";
}
