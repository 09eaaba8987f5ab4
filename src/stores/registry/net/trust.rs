//! Verification of server certificates.

use std::{fmt, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::roots::{Roots, check_alone, is_authority};
use crate::progress::{Event, Observer};

/// The servers that are trusted.
pub(super) enum Trust {
    /// All servers, as `insecure_tls` requests.
    Anyone(Arc<CryptoProvider>),
    /// Servers with a certificate that is valid now and for their name, and that is signed by an authority or given by
    /// the user.
    Signed(Box<Roots>, Arc<CryptoProvider>, Observer),
}

/// Why a certificate that nobody has signed is not trusted although the user gave some of servers.
#[derive(Debug)]
pub(super) struct OtherServersGiven;

impl fmt::Display for OtherServersGiven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a certificate of a server is trusted for itself only")
    }
}

impl std::error::Error for OtherServersGiven {}

/// Why a certificate that nobody has signed is not trusted: authorities of the system are missing.
#[derive(Debug)]
pub(super) struct AuthoritiesMissing(pub(super) String);

impl fmt::Display for AuthoritiesMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AuthoritiesMissing {}

impl Trust {
    fn provider(&self) -> &CryptoProvider {
        match self {
            Self::Anyone(provider) | Self::Signed(_, provider, _) => provider,
        }
    }

    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider().signature_verification_algorithms
    }

    /// Checks a certificate that no authority vouches for: it must be one that the user gave. `true` if it has an
    /// authority all the same, which is not trusted.
    ///
    /// `openssl req -x509` makes an authority's certificate (`CA:TRUE`), which webpki does not accept for a server, and
    /// what `openssl s_client` shows of a registry is not its authority's.
    fn check_given(
        &self,
        roots: &Roots,
        der: &CertificateDer<'_>,
        failure: rustls::Error,
        now: UnixTime,
    ) -> Result<bool, rustls::Error> {
        if !roots.holds(der) {
            let unknown = matches!(failure, rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer));
            let other = |why| rustls::Error::from(CertificateError::Other(OtherError(why)));
            return Err(match roots.flaws() {
                _ if !unknown => failure,
                [] if roots.holds_a_server() => other(Arc::new(OtherServersGiven)),
                [] => failure,
                flaws => other(Arc::new(AuthoritiesMissing(flaws.join("; ")))),
            });
        }
        let certificate = ParsedCertificate::try_from(der)?;
        match check_alone(&certificate, now, self.algorithms()) {
            Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                Ok(!self.is_self_signed(der, &certificate, now))
            }
            Err(rustls::Error::InvalidCertificate(why)) if is_authority(&why) => Ok(false),
            other => other.map(|()| false),
        }
    }

    fn is_self_signed(&self, der: &CertificateDer<'_>, certificate: &ParsedCertificate<'_>, now: UnixTime) -> bool {
        let mut itself = RootCertStore::empty();
        let added = itself.add(der.clone().into_owned()).is_ok();
        added
            && verify_server_cert_signed_by_trust_anchor(certificate, &itself, &[], now, self.algorithms().all).is_ok()
    }
}

fn pinned(name: &ServerName<'_>) -> String {
    let name = name.to_str();
    format!(
        "the certificate of `{name}` is trusted because it is itself among the trusted certificates; with that of its \
         authority, a renewed one will be trusted, too"
    )
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self, Self::Anyone(_)) { "Anyone" } else { "Signed" })
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Self::Signed(roots, _, progress) = self {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let (store, all) = (roots.store(), self.algorithms().all);
            let is_pinned =
                match verify_server_cert_signed_by_trust_anchor(&certificate, store, intermediates, now, all) {
                    Ok(()) => false,
                    Err(failure) => self.check_given(roots, end_entity, failure, now)?,
                };
            verify_server_name(&certificate, server_name)?;
            if is_pinned {
                progress.tell(Event::Note(pinned(server_name)));
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, self.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, self.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms().supported_schemes()
    }
}
