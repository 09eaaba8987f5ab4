//! Bytes in JSON, as base64.

use std::{fmt, ops::Deref};

use base64::{
    Engine as _,
    alphabet::{STANDARD as ALPHABET, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Readers of protobuf's JSON take both alphabets, with and without padding.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const ANY: GeneralPurpose = GeneralPurpose::new(&ALPHABET, LENIENT);
const ANY_URL_SAFE: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// Bytes that are base64 in a document.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Bytes {
    /// Decodes text. Errors: what is wrong with it.
    pub(super) fn decode(text: &str) -> Result<Self, String> {
        let decoded = ANY.decode(text).or_else(|e| ANY_URL_SAFE.decode(text).map_err(|_| e));
        decoded.map(Self).map_err(|e| format!("this is no base64: {e}"))
    }

    /// The text for a document.
    pub(super) fn encode(&self) -> String {
        STANDARD.encode(&self.0)
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.encode())
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::decode(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}
