//! Manifests and indexes, in the field order of the image specification's Go structs.

use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;

use super::{Annotations, Descriptor, descriptor::nullable, exact_keys, media_type};
use crate::error::{Error, Kind, Result};

/// Largest manifest or index that is written, and that every registry must accept, in bytes (distribution-spec,
/// "Pushing Manifests": 4 MiB). Reading allows twice as much.
pub const MAX_MANIFEST: u64 = 4 << 20;

/// Deepest nesting of JSON accepted in an OCI document.
pub const MAX_JSON_DEPTH: usize = 64;

/// An image manifest (image-spec manifest.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// Recommended; Helm, among others, omits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Type of the artifact; required if the config is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The config blob.
    pub config: Descriptor,
    /// The content, in order.
    #[serde(default, deserialize_with = "nullable")]
    pub layers: Vec<Descriptor>,
    /// The manifest that this one refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Annotations of the artifact.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

/// An image index (image-spec image-index.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// Recommended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Type of the artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests, in order of preference.
    #[serde(default, deserialize_with = "nullable")]
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Annotations of the index.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

impl Index {
    /// An index of these manifests and nothing else.
    #[must_use]
    pub fn of(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::INDEX.into()),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: Annotations::new(),
        }
    }
}

/// The role of content as seen by the document that points to it: a registry keeps blobs and manifests apart
/// (distribution-spec, `/v2/<name>/blobs/` and `/v2/<name>/manifests/`). One digest may have both roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Content named by `config`, `layers` or `blobs`.
    Blob,
    /// Content named by `manifests`, `subject`, a tag or a list of referrers, whatever its media type.
    Manifest,
}

/// A manifest of an unknown media type, with the keys that it shares with known manifests. Its bytes are kept as they
/// are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Other {
    /// Content named by `config`, `layers` and `blobs`, in this order.
    pub blobs: Vec<Descriptor>,
    /// Content named by `manifests`.
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one refers to.
    pub subject: Option<Descriptor>,
    /// Type of the artifact.
    pub artifact_type: Option<String>,
    /// Annotations of the artifact.
    pub annotations: Annotations,
}

/// A document used as a manifest, parsed by the media type of its descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// An image manifest, OCI's or Docker's.
    Manifest(Box<Manifest>),
    /// An index, OCI's, or Docker's manifest list.
    Index(Box<Index>),
    /// Anything else: OCI's withdrawn artifact manifest, Docker's schema 1, formats of later specifications.
    Other(Box<Other>),
}

impl Parsed {
    /// Parses a document of this media type. If the media type is unknown, only the keys of known manifests are read,
    /// and the document need not be JSON.
    ///
    /// Errors: more than 8 MiB; a key that is a known one only without regard to case; JSON nested too deep; in a manifest
    /// or index, malformed JSON, a duplicate key, a `schemaVersion` other than 2, a contradicting `mediaType` in the body,
    /// both `layers` and `manifests` (security.md of containerd, GHSA-77vh-xpmg-72qh); in any other JSON object, a
    /// malformed value of one of these keys, since content would be left behind.
    pub fn read(media_type: &str, bytes: &[u8]) -> Result<Self> {
        if bytes.len() as u64 > 2 * MAX_MANIFEST {
            return Err(Error::limit(format!(
                "manifest of {} bytes exceeds the maximum of {}",
                bytes.len(),
                2 * MAX_MANIFEST
            )));
        }
        if !media_type::points(media_type) {
            return Other::read(bytes).map(|other| Self::Other(Box::new(other)));
        }
        let malformed = |e| Error::caused(Kind::Invalid, "malformed manifest", e);
        let keys: Keys = exact_keys::from_slice(bytes).map_err(malformed)?;
        check_depth(bytes)?;
        if keys.layers.is_some() && keys.manifests.is_some() {
            return Err(Error::invalid("manifest has both `layers` and `manifests`"));
        }
        if let Some(own) = keys.media_type.filter(|own| own != media_type) {
            return Err(Error::mismatch(format!(
                "manifest is described as `{}`, but its `mediaType` is `{}`",
                media_type, own
            )));
        }
        let (parsed, version) = if media_type::is_index(media_type) {
            let index: Index = exact_keys::from_slice(bytes).map_err(malformed)?;
            let version = index.schema_version;
            (Self::Index(Box::new(index)), version)
        } else {
            let manifest: Manifest = exact_keys::from_slice(bytes).map_err(malformed)?;
            let version = manifest.schema_version;
            (Self::Manifest(Box::new(manifest)), version)
        };
        if version != 2 {
            return Err(Error::invalid(format!("manifest has schema version {version}; expected 2")));
        }
        Ok(parsed)
    }

    /// The `mediaType` in a document; `None` if it has none, or is no JSON object.
    ///
    /// Errors: a key that is `mediaType` only without regard to case.
    #[cfg(feature = "registry")]
    pub(crate) fn own_media_type(bytes: &[u8]) -> Result<Option<String>> {
        let malformed = |e| Error::caused(Kind::Invalid, "malformed manifest", e);
        match serde_json::from_slice::<IgnoredAny>(bytes) {
            Ok(_) if bytes.trim_ascii_start().starts_with(b"{") => {
                exact_keys::from_slice(bytes).map(|keys: Keys| keys.media_type).map_err(malformed)
            }
            _ => Ok(None),
        }
    }

    /// The media type of a document without a descriptor: its own `mediaType`, else inferred from its keys (image-spec
    /// leaves `mediaType` optional; Helm, Conftest and Homebrew omit it).
    pub fn sniff(bytes: &[u8]) -> Result<String> {
        let keys: Keys =
            exact_keys::from_slice(bytes).map_err(|e| Error::caused(Kind::Invalid, "malformed manifest", e))?;
        match keys {
            Keys { media_type: Some(own), .. } => Ok(own),
            Keys { manifests: Some(_), layers: None, .. } => Ok(media_type::INDEX.into()),
            Keys { manifests: None, .. } => Ok(media_type::MANIFEST.into()),
            _ => Err(Error::invalid("manifest has both `layers` and `manifests`")),
        }
    }

    /// All content that this document points to, except its subject, in document order and with its role.
    #[must_use]
    pub fn children(&self) -> Vec<(Role, &Descriptor)> {
        let blobs = |desc| (Role::Blob, desc);
        let manifests = |desc| (Role::Manifest, desc);
        match self {
            Self::Manifest(m) => std::iter::once(&m.config).chain(&m.layers).map(blobs).collect(),
            Self::Index(i) => i.manifests.iter().map(manifests).collect(),
            Self::Other(o) => o.blobs.iter().map(blobs).chain(o.manifests.iter().map(manifests)).collect(),
        }
    }

    /// The manifest that this document refers to.
    #[must_use]
    pub fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Manifest(m) => m.subject.as_ref(),
            Self::Index(i) => i.subject.as_ref(),
            Self::Other(o) => o.subject.as_ref(),
        }
    }

    /// The artifact type that the document declares; [`Self::artifact_type`] falls back to the media type of a config.
    #[must_use]
    pub fn own_artifact_type(&self) -> Option<&str> {
        match self {
            Self::Manifest(m) => m.artifact_type.as_deref(),
            Self::Index(i) => i.artifact_type.as_deref(),
            Self::Other(o) => o.artifact_type.as_deref(),
        }
    }

    /// The descriptor of this document for a list without names: with its artifact type and, for a referrer, its
    /// annotations, as in a list of referrers (image-spec image-layout.md leaves this to the writer). An annotation
    /// that would name the entry is left out.
    #[must_use]
    pub fn listed(&self, desc: &Descriptor) -> Descriptor {
        let mut annotations = Annotations::new();
        if self.subject().is_some() {
            annotations.clone_from(self.annotations());
            annotations.remove(super::annotation::REF_NAME);
        }
        Descriptor { artifact_type: self.artifact_type().map(Into::into), annotations, ..desc.bare() }
    }

    /// Annotations of this document.
    #[must_use]
    pub fn annotations(&self) -> &Annotations {
        match self {
            Self::Manifest(m) => &m.annotations,
            Self::Index(i) => &i.annotations,
            Self::Other(o) => &o.annotations,
        }
    }

    /// The artifact type for a list of referrers: the manifest's, else its config's media type (distribution-spec,
    /// "Listing Referrers").
    #[must_use]
    pub fn artifact_type(&self) -> Option<&str> {
        match self {
            Self::Manifest(m) => Some(given(&m.artifact_type).unwrap_or(&m.config.media_type)),
            Self::Index(i) => given(&i.artifact_type),
            Self::Other(o) => given(&o.artifact_type),
        }
    }
}

impl Other {
    fn read(bytes: &[u8]) -> Result<Self> {
        /// The keys of known manifests, `blobs` from OCI's withdrawn artifact manifest and `fsLayers` from Docker's
        /// schema 1.
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Document {
            config: Option<Value>,
            layers: Option<Value>,
            blobs: Option<Value>,
            manifests: Option<Value>,
            subject: Option<Value>,
            artifact_type: Option<Value>,
            annotations: Option<Value>,
            fs_layers: Option<IgnoredAny>,
        }
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Ok(Self::default());
        }
        check_depth(bytes)?;
        if serde_json::from_slice::<IgnoredAny>(bytes).is_err() {
            return Ok(Self::default());
        }
        let document: Document =
            exact_keys::from_slice(bytes).map_err(|e| Error::caused(Kind::Invalid, "malformed manifest", e))?;
        if document.fs_layers.is_some() {
            return Err(Error::unsupported("Docker manifests of schema version 1 are not supported"));
        }
        let mut blobs = described(document.config)?;
        blobs.append(&mut described(document.layers)?);
        blobs.append(&mut described(document.blobs)?);
        Ok(Self {
            blobs,
            manifests: described(document.manifests)?,
            subject: described(document.subject)?.pop(),
            artifact_type: document.artifact_type.and_then(|value| value.as_str().map(str::to_owned)),
            annotations: document.annotations.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default(),
        })
    }
}

/// The descriptors in a value: an object with a digest must be a valid one, or content would be left behind; other
/// values are skipped.
fn described(value: Option<Value>) -> Result<Vec<Descriptor>> {
    let candidates = match value {
        Some(Value::Array(values)) => values,
        Some(value) => vec![value],
        None => Vec::new(),
    };
    let described = candidates.into_iter().filter(|value| value.get("digest").is_some()).map(exact_keys::from_value);
    described.collect::<Result<_, _>>().map_err(|e| Error::caused(Kind::Invalid, "malformed manifest", e))
}

/// An empty artifact type counts as absent (distribution-spec, "Listing Referrers").
fn given(artifact_type: &Option<String>) -> Option<&str> {
    artifact_type.as_deref().filter(|text| !text.is_empty())
}

/// The keys that decide the type of a document; serde rejects duplicates of them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Keys {
    media_type: Option<String>,
    layers: Option<IgnoredAny>,
    manifests: Option<IgnoredAny>,
    /// Of an index, which has none, so that its `Config` is refused: readers tell a manifest by it.
    #[serde(rename = "config")]
    _config: Option<IgnoredAny>,
}

/// Errors: nested too deep.
fn check_depth(json: &[u8]) -> Result<()> {
    match depth(json) > MAX_JSON_DEPTH {
        true => Err(Error::limit(format!("manifest is nested more than {MAX_JSON_DEPTH} levels deep"))),
        false => Ok(()),
    }
}

/// Depth of nested brackets outside strings.
fn depth(json: &[u8]) -> usize {
    let (mut now, mut most, mut string, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match (string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => string = false,
            (true, _) => {}
            (false, b'"') => string = true,
            (false, b'{' | b'[') => {
                now += 1;
                most = most.max(now);
            }
            (false, b'}' | b']') => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESC: &str = r#"{"mediaType":"a/b","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}"#;

    #[test]
    fn a_manifest_without_media_type_is_read() {
        let bytes = format!(r#"{{"schemaVersion":2,"config":{DESC},"layers":null}}"#);
        assert!(matches!(Parsed::read(media_type::MANIFEST, bytes.as_bytes()), Ok(Parsed::Manifest(_))));
        assert_eq!(Parsed::sniff(bytes.as_bytes()).unwrap(), media_type::MANIFEST);
    }

    #[test]
    fn hostile_manifests_are_refused() {
        for bad in [
            format!(r#"{{"schemaVersion":2,"config":{DESC},"layers":[],"manifests":[]}}"#),
            format!(r#"{{"schemaVersion":2,"config":{DESC},"layers":[],"layers":[]}}"#),
            format!(r#"{{"schemaVersion":1,"config":{DESC},"layers":[]}}"#),
            format!(r#"{{"schemaVersion":2,"mediaType":"{}","config":{DESC},"layers":[]}}"#, media_type::INDEX),
            format!(r#"{{"schemaVersion":2,"config":{DESC},"layers":[],"x":{}{}}}"#, "[".repeat(70), "]".repeat(70)),
            r#"{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:00","size":2},"layers":[]}"#.into(),
            DESC.replace("2}", "-1}"),
            String::new(),
        ] {
            assert!(Parsed::read(media_type::MANIFEST, bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_manifest_of_an_unknown_type_is_followed_by_the_keys_that_it_shares_with_known_ones() {
        let two = DESC.replace("a/b", "c/d");
        let bytes = format!(
            r#"{{"config":{DESC},"blobs":[{two}],"manifests":[{DESC}],"subject":{two},"artifactType":"x/y","annotations":{{"k":"v"}}}}"#
        );
        let parsed = Parsed::read("application/vnd.oci.artifact.manifest.v1+json", bytes.as_bytes()).unwrap();
        let children: Vec<_> = parsed.children().into_iter().map(|(role, d)| (role, d.media_type.as_str())).collect();
        assert_eq!(children, [(Role::Blob, "a/b"), (Role::Blob, "c/d"), (Role::Manifest, "a/b")]);
        assert_eq!(parsed.subject().map(|subject| subject.media_type.as_str()), Some("c/d"));
        assert_eq!((parsed.artifact_type(), parsed.annotations().len()), (Some("x/y"), 1));
    }

    #[test]
    fn what_is_no_manifest_leads_nowhere() {
        for text in ["", "<xml/>", "[1]", "{}", r#"{"config":"fast","layers":3,"annotations":[],"manifests":null}"#] {
            assert_eq!(Parsed::read("a/b", text.as_bytes()).unwrap().children(), [], "{text}");
        }
    }

    #[test]
    fn what_an_unknown_manifest_would_leave_behind_is_an_error() {
        for bad in [
            r#"{"layers":[{"digest":"md5:00","size":1,"mediaType":"a/b"}]}"#.to_owned(),
            r#"{"config":{"digest":7}}"#.to_owned(),
            format!(r#"{{"blobs":[{DESC}],"blobs":[]}}"#),
            r#"{"schemaVersion":1,"fsLayers":[]}"#.to_owned(),
            format!(r#" {{"x":{}{},"layers":[{DESC}]}}"#, "[".repeat(64), "]".repeat(64)),
            format!(r#"{{"x":{}{},"layers":[{DESC}]}}"#, "[".repeat(500), "]".repeat(500)),
        ] {
            assert!(Parsed::read("a/b", bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_empty_artifact_type_is_none() {
        let bytes = format!(r#"{{"schemaVersion":2,"artifactType":"","config":{DESC},"layers":[]}}"#);
        assert_eq!(Parsed::read(media_type::MANIFEST, bytes.as_bytes()).unwrap().artifact_type(), Some("a/b"));
        let bytes = r#"{"schemaVersion":2,"artifactType":"","manifests":[]}"#;
        assert_eq!(Parsed::read(media_type::INDEX, bytes.as_bytes()).unwrap().artifact_type(), None);
    }
}
