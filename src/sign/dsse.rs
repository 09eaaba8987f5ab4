//! DSSE envelopes: a payload with its type, and what is signed of the two (DSSE 1.0).

use serde::{Deserialize, Serialize};

use super::base64::Bytes;

/// The payload type of in-toto statements.
pub(super) const IN_TOTO: &str = "application/vnd.in-toto+json";

/// An envelope.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Envelope {
    pub(super) payload: Bytes,
    pub(super) payload_type: String,
    pub(super) signatures: Vec<EnvelopeSignature>,
}

/// A signature of an envelope.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EnvelopeSignature {
    pub(super) sig: Bytes,
    /// A hint that no signature covers. Read, never written: cosign refuses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) keyid: Option<String>,
}

impl Envelope {
    /// What is signed: the "pre-authentication encoding".
    pub(super) fn signed(&self) -> Vec<u8> {
        signed(&self.payload_type, &self.payload)
    }
}

/// What is signed of a payload of this type.
pub(super) fn signed(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn the_signed_bytes_name_both_lengths() {
        let expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world";
        assert_eq!(signed("http://example.com/HelloWorld", b"hello world"), expected);
    }
}
