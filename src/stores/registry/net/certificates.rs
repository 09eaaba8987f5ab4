//! Certificates in common encodings.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _};

use crate::error::{Code, Error, Result};

/// Returns the certificate authorities of a system, each in DER. Called at most once per client, on the first server
/// certificate: reading them takes longer than many requests.
pub type SystemRoots = Arc<dyn Fn() -> Vec<Vec<u8>> + Send + Sync>;

/// Parses one certificate in DER, or any number in PEM. Errors: no certificate.
pub(super) fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    if bytes.starts_with(&[0x30]) {
        return Ok(vec![CertificateDer::from(bytes.to_vec())]);
    }
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match read {
        Ok(certificates) if certificates.is_empty() => {
            Err(Error::invalid("no certificate found").with_code(Code::NoCertificate))
        }
        Ok(certificates) => Ok(certificates),
        Err(e) => Err(Error::invalid(format!("malformed certificates: {e}"))),
    }
}

/// Checks that these bytes are valid [`Options::roots`](crate::stores::registry::Options::roots).
///
/// Errors: no certificate, or a malformed one.
pub fn check_roots(bytes: &[u8]) -> Result<()> {
    certificates(bytes).map(drop)
}

/// A client certificate and its key: shown on request to the registry itself and to no other server, be it its storage
/// or token service, a mirror or a proxy.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "a secret has no text form")]
pub struct ClientCertificate {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: Arc<PrivateKeyDer<'static>>,
}

impl ClientCertificate {
    /// A certificate, followed by those of its issuers, and its key, each in PEM; both may be in one text.
    ///
    /// Errors: no certificate, no key, an encrypted key. Whether certificate and key match is checked on use.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self> {
        let chain = certificates(certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| match e {
            _ if key.windows(9).any(|word| word == b"ENCRYPTED") => {
                Error::unsupported("the private key is encrypted, which is not supported")
            }
            pem::Error::NoItemsFound => Error::invalid("no private key found"),
            e => Error::invalid(format!("malformed private key: {e}")),
        })?;
        Ok(Self { chain, key: Arc::new(key) })
    }
}
