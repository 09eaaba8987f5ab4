//! The payload of legacy signatures, "simple signing": which manifest is signed, and under which name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json;
use crate::oci::Digest;

/// The media type of payloads.
pub(super) const MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// What cosign writes; signatures by GPG have another type.
const TYPE: &str = "cosign container image signature";

/// A payload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Payload {
    critical: Critical,
    optional: Option<BTreeMap<String, Value>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    payload_type: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Identity {
    docker_reference: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Image {
    docker_manifest_digest: String,
}

impl Payload {
    /// Signs this digest under this name, `registry/repository`.
    pub(super) fn new(digest: &Digest, reference: &str, annotations: &BTreeMap<String, String>) -> Self {
        let optional: BTreeMap<_, _> =
            annotations.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
        Self {
            critical: Critical {
                identity: Identity { docker_reference: reference.to_owned() },
                image: Image { docker_manifest_digest: digest.to_string() },
                payload_type: TYPE.to_owned(),
            },
            optional: (!optional.is_empty()).then_some(optional),
        }
    }

    /// Reads a payload. Errors: what is wrong with it, for people.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let payload: Self = json::read(bytes).map_err(|e| format!("the signed payload is malformed: {e}"))?;
        if payload.critical.payload_type != TYPE {
            return Err(format!("the signed payload has the unknown type `{}`", payload.critical.payload_type));
        }
        Ok(payload)
    }

    /// Errors: the payload is about another artifact.
    pub(super) fn about(&self, digest: &Digest) -> Result<(), String> {
        if self.critical.image.docker_manifest_digest == digest.to_string() {
            return Ok(());
        }
        Err("the payload is about another artifact".to_owned())
    }

    /// The name under which the artifact was signed.
    pub(super) fn reference(&self) -> &str {
        &self.critical.identity.docker_reference
    }

    /// The annotations that are text.
    pub(super) fn annotations(&self) -> BTreeMap<String, String> {
        let all = self.optional.iter().flatten();
        all.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    }
}
