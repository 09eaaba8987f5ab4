//! The files of keys: PEM blocks (RFC 7468).

use pem::{EncodeConfig, LineEnding, Pem};

use crate::error::{Error, Result};

/// A `SubjectPublicKeyInfo`.
pub(super) const PUBLIC_KEY: &str = "PUBLIC KEY";
/// What OpenSSL writes before a SEC1 key; it repeats what the key says.
const EC_PARAMETERS: &str = "EC PARAMETERS";

/// The only key in a file; other text around it is ignored.
pub(super) fn only_block(text: &[u8]) -> Result<Pem> {
    let blocks = pem::parse_many(text).map_err(|e| Error::misuse(format!("this is no PEM file: {e}")))?;
    let mut blocks = blocks.into_iter().filter(|block| block.tag() != EC_PARAMETERS);
    match (blocks.next(), blocks.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => {
            Err(Error::misuse("there is no key in this file: it has no whole PEM block (`-----BEGIN …-----`)"))
        }
        (Some(_), Some(_)) => Err(Error::misuse("there are several keys in this file; one is expected")),
    }
}

/// A PEM block with lines of 64 characters.
pub(super) fn armour(label: &str, content: &[u8]) -> String {
    pem::encode_config(&Pem::new(label, content), EncodeConfig::new().set_line_ending(LineEnding::LF))
}
