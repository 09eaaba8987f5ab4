//! Certificates in common encodings.

use std::sync::Arc;

use rustls::{
    InconsistentKeys,
    pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer, pem, pem::PemObject as _},
    sign::CertifiedKey,
};

use crate::error::{Code, Error, Result};

/// Returns the certificate authorities of a system. Called at most once per client, on the first server certificate:
/// reading them takes longer than many requests.
pub type SystemRoots = Arc<dyn Fn() -> SystemCertificates + Send + Sync>;

/// The certificate authorities of a system.
#[derive(Debug, Clone, Default)]
pub struct SystemCertificates {
    /// The certificates, each in DER.
    pub certificates: Vec<Vec<u8>>,
    /// Why some that should be there are not, in words: told where a server's certificate is not trusted.
    pub flaws: Vec<String>,
}

impl From<Vec<Vec<u8>>> for SystemCertificates {
    fn from(certificates: Vec<Vec<u8>>) -> Self {
        Self { certificates, flaws: Vec::new() }
    }
}

/// Parses one certificate in DER, or any number in PEM. Errors: no certificate.
pub(super) fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    // The byte order mark that some editors write.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
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
pub struct ClientCertificate(pub(super) Arc<CertifiedKey>);

impl ClientCertificate {
    /// A certificate, followed by those of its issuers, and its key, each in PEM; both may be in one text.
    ///
    /// Whether the certificate is of any use is for the server to judge: it may be of X.509 version 1.
    ///
    /// Errors: no certificate, no key, an encrypted key; certificate and key do not match.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self> {
        let chain = certificates(certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| match e {
            _ if key.windows(9).any(|word| word == b"ENCRYPTED") => {
                Error::unsupported("the private key is encrypted; `openssl pkey -in KEY -out PLAIN` decrypts it")
            }
            pem::Error::NoItemsFound => Error::invalid("no private key found"),
            e => Error::invalid(format!("malformed private key: {e}")),
        })?;
        let provider = rustls::crypto::ring::default_provider();
        let unfit = |e| Error::invalid(format!("the private key cannot be used: {e}"));
        let key = provider.key_provider.load_private_key(key).map_err(unfit)?;
        let certified = CertifiedKey::new(chain, key);
        if !agree(&certified) {
            return Err(Error::invalid("certificate and private key do not match"));
        }
        Ok(Self(Arc::new(certified)))
    }
}

/// Whether a certificate and a key belong together, as far as the key can tell.
fn agree(certified: &CertifiedKey) -> bool {
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => true,
        Err(rustls::Error::InconsistentKeys(_)) => false,
        // It cannot be parsed here, as version 1. A key is too long to be anywhere in it by chance.
        Err(_) => {
            let (certificate, key) = (certified.cert.first(), certified.key.public_key());
            let has = |(der, key): (&CertificateDer<'_>, SubjectPublicKeyInfoDer<'_>)| {
                der.windows(key.len().max(1)).any(|part| part == key.as_ref())
            };
            certificate.zip(key).is_none_or(has)
        }
    }
}
