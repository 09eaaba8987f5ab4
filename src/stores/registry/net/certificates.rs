//! Certificates in the forms in which people keep them.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _};

use crate::error::{Code, Error, Result};

/// The certificate authorities of a system, in DER each. Called at most once by a client, when the first server shows
/// its certificate: reading them takes longer than many a request.
pub type SystemRoots = Arc<dyn Fn() -> Vec<Vec<u8>> + Send + Sync>;

/// Reads one certificate in DER, or any number in PEM. Errors: none.
pub(super) fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    if bytes.starts_with(&[0x30]) {
        return Ok(vec![CertificateDer::from(bytes.to_vec())]);
    }
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match read {
        Ok(certificates) if certificates.is_empty() => {
            Err(Error::invalid("there is no certificate in it").with_code(Code::NoCertificate))
        }
        Ok(certificates) => Ok(certificates),
        Err(e) => Err(Error::invalid(format!("malformed certificates: {e}"))),
    }
}

/// Whether [`Options::roots`](crate::stores::registry::Options::roots) takes these bytes.
///
/// Errors: there is no certificate in them, or a malformed one.
pub fn check_roots(bytes: &[u8]) -> Result<()> {
    certificates(bytes).map(drop)
}

/// A certificate that says who we are, and its key: shown to the registry itself when it asks for one, and to nobody
/// else, be it storage or a token service of the registry, a mirror or a proxy.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "a secret has no text form")]
pub struct ClientCertificate {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: Arc<PrivateKeyDer<'static>>,
}

impl ClientCertificate {
    /// A certificate, those that it is signed with behind it, and its key, PEM each; the two may be one text.
    ///
    /// Errors: no certificate, no key, a key that is encrypted. Whether the two belong together is seen when they are
    /// used.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self> {
        let chain = certificates(certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| match e {
            _ if key.windows(9).any(|word| word == b"ENCRYPTED") => {
                Error::unsupported("the key of a client certificate is encrypted")
            }
            pem::Error::NoItemsFound => Error::invalid("no key in the file of a key"),
            e => Error::invalid(format!("malformed key: {e}")),
        })?;
        Ok(Self { chain, key: Arc::new(key) })
    }
}
