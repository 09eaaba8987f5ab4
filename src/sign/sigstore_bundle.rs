//! Sigstore bundles, version 0.3: a signature with all that is needed to verify it, as one JSON document.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{base64::Bytes, dsse::Envelope, json};

/// The media type of bundles, also of their manifests and blobs.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// An older spelling of the same.
const MEDIA_TYPE_PARAMETER: &str = "application/vnd.dev.sigstore.bundle+json;version=0.3";
/// What all spellings and versions start with.
pub(super) const MEDIA_TYPE_START: &str = "application/vnd.dev.sigstore.bundle";
/// Older versions, which allow certificate chains, and log entries without an inclusion proof. They are read beside files
/// alone, where a certificate says who signed: sigstore's clients wrote them until 2024.
const MEDIA_TYPE_V0_1: &str = "application/vnd.dev.sigstore.bundle+json;version=0.1";
const MEDIA_TYPE_V0_2: &str = "application/vnd.dev.sigstore.bundle+json;version=0.2";
/// Most log entries, timestamps and certificates of one bundle.
const MAX_PARTS: usize = 16;

/// A bundle. Unknown keys are refused, as by every reader of protobuf's JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SigstoreBundle {
    pub(super) media_type: String,
    pub(super) verification_material: Material,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) message_signature: Option<MessageSignature>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) dsse_envelope: Option<Envelope>,
}

/// What a bundle is verified with.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Material {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) public_key: Option<PublicKeyHint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) certificate: Option<Certificate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) x509_certificate_chain: Option<Chain>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tlog_entries: Vec<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) timestamp_verification_data: Option<Timestamps>,
}

/// Which key it was, as a hint that nothing signs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PublicKeyHint {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) hint: String,
}

/// A certificate in DER.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Certificate {
    pub(super) raw_bytes: Bytes,
}

/// Certificates, the signer's first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Chain {
    pub(super) certificates: Vec<Certificate>,
}

/// Timestamps of the signature.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Timestamps {
    #[serde(default)]
    pub(super) rfc3161_timestamps: Vec<Timestamp>,
}

/// A timestamp (RFC 3161) in DER.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Timestamp {
    pub(super) signed_timestamp: Bytes,
}

/// A signature of a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MessageSignature {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) message_digest: Option<MessageDigest>,
    pub(super) signature: Bytes,
}

/// The digest of a file. A part that is missing is empty, as in protobuf.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageDigest {
    #[serde(default)]
    pub(super) algorithm: String,
    #[serde(default)]
    pub(super) digest: Bytes,
}

impl SigstoreBundle {
    /// Reads a bundle. Errors: what is wrong with it, for people.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        Self::read_if(bytes, |_| false)
    }

    /// Reads a bundle that lies beside a file. Errors: what is wrong with it, for people.
    pub(super) fn read_of_file(bytes: &[u8]) -> Result<Self, String> {
        let old = [MEDIA_TYPE_V0_1, MEDIA_TYPE_V0_2];
        Self::read_if(bytes, |bundle| bundle.has_certificate() && old.contains(&bundle.media_type.as_str()))
    }

    fn read_if(bytes: &[u8], may_be_old: impl Fn(&Self) -> bool) -> Result<Self, String> {
        let bundle: Self = json::read(bytes).map_err(|e| format!("the bundle is malformed: {e}"))?;
        if ![MEDIA_TYPE, MEDIA_TYPE_PARAMETER].contains(&bundle.media_type.as_str()) && !may_be_old(&bundle) {
            return Err(format!("the bundle has the media type `{}`; version 0.3 is read", bundle.media_type));
        }
        if bundle.message_signature.is_some() == bundle.dsse_envelope.is_some() {
            return Err("the bundle must have either `dsseEnvelope` or `messageSignature`".to_owned());
        }
        let Material { tlog_entries, x509_certificate_chain, .. } = &bundle.verification_material;
        let certificates = x509_certificate_chain.as_ref().map_or(0, |chain| chain.certificates.len());
        let parts = tlog_entries.len().max(bundle.timestamps().len()).max(certificates);
        if parts > MAX_PARTS {
            return Err(format!(
                "the bundle has {parts} log entries, timestamps or certificates; the limit is {MAX_PARTS}"
            ));
        }
        Ok(bundle)
    }

    /// A bundle by the key with this hint.
    pub(super) fn of_key(hint: String) -> Self {
        Self {
            media_type: MEDIA_TYPE.to_owned(),
            verification_material: Material { public_key: Some(PublicKeyHint { hint }), ..Material::default() },
            message_signature: None,
            dsse_envelope: None,
        }
    }

    /// A legacy signature with the same parts: its log entry has no inclusion proof.
    pub(super) fn of_legacy(verification_material: Material) -> Self {
        let media_type = if verification_material.tlog_entries.is_empty() { MEDIA_TYPE_V0_2 } else { MEDIA_TYPE_V0_1 };
        Self { media_type: media_type.to_owned(), verification_material, message_signature: None, dsse_envelope: None }
    }

    /// True if a certificate says who signed.
    pub(super) fn has_certificate(&self) -> bool {
        self.verification_material.certificate.is_some() || self.verification_material.x509_certificate_chain.is_some()
    }

    /// The timestamps, in DER.
    pub(super) fn timestamps(&self) -> &[Timestamp] {
        self.verification_material.timestamp_verification_data.as_ref().map_or(&[], |data| &data.rfc3161_timestamps)
    }
}
