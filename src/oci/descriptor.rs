//! Descriptors, in the field order of the image specification's Go struct.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Annotations, Digest, Platform, media_type};

/// A pointer to content: its type, digest and size (image-spec descriptor.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type of the content.
    pub media_type: String,
    /// Digest of the content.
    pub digest: Digest,
    /// Size of the content in bytes.
    pub size: u64,
    /// Other sources of the content; kept, never fetched.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Annotations of this descriptor.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    /// The content itself, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The platform that the content is for; boxed, since it is rare and descriptors may be many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Box<Platform>>,
    /// The artifact type of the manifest that this points to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

/// Go's encoder writes `null` for a nil slice or map; both mean empty.
pub(super) fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

impl Descriptor {
    /// A descriptor of these bytes.
    #[must_use]
    pub fn of(media_type: impl Into<String>, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// A descriptor without optional fields.
    #[must_use]
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            urls: Vec::new(),
            annotations: Annotations::new(),
            data: None,
            platform: None,
            artifact_type: None,
        }
    }

    /// The empty descriptor: `{}`, two bytes (image-spec manifest.md, "Guidance for an Empty Descriptor"), with its
    /// content inline as oras writes it.
    #[must_use]
    pub fn empty() -> Self {
        Self { data: Some("e30=".into()), ..Self::of(media_type::EMPTY, b"{}") }
    }

    /// The file name of this layer, by the oras convention. An empty one is none.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.annotations.get(super::annotation::TITLE).map(String::as_str).filter(|title| !title.is_empty())
    }

    /// True for content that stores may lack by its licence: it is fetched from elsewhere (image-spec layer.md,
    /// "Non-Distributable Layers", and Docker's foreign layers). `urls` alone do not make it so: other content may have
    /// further sources, too.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        self.media_type.contains(".layer.nondistributable.") || self.media_type.contains(".rootfs.foreign.")
    }

    /// True for the manifest of an attestation among the members of an index, as BuildKit keeps them beside each image
    /// (`docs/attestations/attestation-storage.md` there).
    #[must_use]
    pub fn is_attestation(&self) -> bool {
        let kind = self.annotations.get(super::annotation::REFERENCE_TYPE);
        kind.is_some_and(|kind| kind == "attestation-manifest")
    }

    /// Why [`Descriptor::data`] is not the content that this describes; `None` if it is, or if there is none.
    #[must_use]
    pub fn data_flaw(&self) -> Option<String> {
        let Ok(data) = BASE64_STANDARD.decode(self.data.as_ref()?) else { return Some("it is not base64".into()) };
        let digest = Digest::with(self.digest.algorithm(), &data);
        if data.len() as u64 != self.size {
            return Some(format!("{} bytes, not {}", data.len(), self.size));
        }
        (digest != self.digest).then(|| format!("its digest is {digest}"))
    }

    /// Type, digest and size, without the fields that describe one use of the content.
    #[must_use]
    pub fn bare(&self) -> Self {
        Self::new(self.media_type.clone(), self.digest.clone(), self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_is_small() {
        assert_eq!(size_of::<Descriptor>(), 176);
    }

    #[test]
    fn content_in_a_descriptor_is_compared_with_its_size_and_digest() {
        assert_eq!(Descriptor::empty().data_flaw(), None);
        assert_eq!(Descriptor::of("a/b", b"{}").data_flaw(), None);
        for (data, size, flaw) in [
            ("e30=", 3, "2 bytes, not 3"),
            ("e31=", 2, "not base64"),
            ("W10=", 2, "its digest is sha256:"),
            ("{}", 2, "not base64"),
            ("", 2, "0 bytes, not 2"),
        ] {
            let desc = Descriptor { data: Some(data.into()), size, ..Descriptor::empty() };
            assert!(desc.data_flaw().is_some_and(|found| found.contains(flaw)), "{data}: {:?}", desc.data_flaw());
        }
    }

    #[test]
    fn a_descriptor_is_written_in_the_order_of_the_spec() {
        assert_eq!(
            serde_json::to_string(&Descriptor::empty()).unwrap(),
            format!(
                r#"{{"mediaType":"{}","digest":"{}","size":2,"data":"e30="}}"#,
                media_type::EMPTY,
                Digest::of(b"{}")
            )
        );
    }
}
