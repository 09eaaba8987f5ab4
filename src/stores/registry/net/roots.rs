//! The certificates that are trusted.

use std::sync::OnceLock;

use rustls::{
    CertificateError, RootCertStore,
    client::verify_server_cert_signed_by_trust_anchor,
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms},
    pki_types::{CertificateDer, UnixTime},
    server::ParsedCertificate,
};

use super::{
    certificates::{SystemCertificates, SystemRoots, certificates},
    settings::NetSettings,
};
use crate::error::{Error, Result};

/// Trusted certificates.
pub(super) struct Roots {
    /// Authorities given by the user.
    authorities: Vec<CertificateDer<'static>>,
    /// All that the user gave. One of a server is trusted for itself only: it must not sign others.
    own: Vec<CertificateDer<'static>>,
    system: Option<SystemRoots>,
    /// All authorities, and why some of the system's are missing.
    store: OnceLock<(RootCertStore, Vec<String>)>,
}

impl Roots {
    /// Errors: a file without certificates, or with unusable ones.
    pub(super) fn new(settings: &NetSettings, provider: &CryptoProvider) -> Result<Self> {
        let mut own = Vec::new();
        for item in &settings.roots {
            own.extend(certificates(item)?);
        }
        let mut parsed = RootCertStore::empty();
        for certificate in &own {
            let unusable = |e| Error::invalid(format!("unusable certificate: {e}"));
            parsed.add(certificate.clone()).map_err(unusable)?;
        }
        let algorithms = provider.signature_verification_algorithms;
        let authorities = own.iter().filter(|one| may_sign(one, &algorithms)).cloned().collect();
        Ok(Self { authorities, own, system: settings.system_roots.clone(), store: OnceLock::new() })
    }

    /// True if the user gave this very certificate.
    pub(super) fn holds(&self, certificate: &CertificateDer<'_>) -> bool {
        self.own.iter().any(|own| own.as_ref() == certificate.as_ref())
    }

    /// True if the user gave a certificate of a server.
    pub(super) fn holds_a_server(&self) -> bool {
        self.authorities.len() < self.own.len()
    }

    /// The authorities.
    pub(super) fn store(&self) -> &RootCertStore {
        &self.known().0
    }

    /// Why authorities of the system are missing.
    pub(super) fn flaws(&self) -> &[String] {
        &self.known().1
    }

    fn known(&self) -> &(RootCertStore, Vec<String>) {
        self.store.get_or_init(|| {
            let mut store = RootCertStore::empty();
            let SystemCertificates { certificates, flaws } =
                self.system.as_ref().map(|roots| roots()).unwrap_or_default();
            let system = certificates.into_iter().map(CertificateDer::from);
            // A system's collection may contain a few that are too old to be parsed.
            store.add_parsable_certificates(self.authorities.iter().cloned().chain(system));
            (store, flaws)
        })
    }
}

/// Whether a certificate is that of an authority (RFC 5280 section 4.2.1.9), or of version 1, which cannot tell.
fn may_sign(certificate: &CertificateDer<'_>, algorithms: &WebPkiSupportedAlgorithms) -> bool {
    let Ok(parsed) = ParsedCertificate::try_from(certificate) else { return true };
    let verdict = match check_alone(&parsed, UnixTime::now(), algorithms) {
        // The time is checked first, and of an authority that the user gave it is not asked.
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            check_alone(&parsed, not_after, algorithms)
        }
        Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
            check_alone(&parsed, not_before, algorithms)
        }
        other => other,
    };
    matches!(verdict, Err(rustls::Error::InvalidCertificate(why)) if is_authority(&why))
}

/// Checks a certificate of a server without a look at who signed it: in the end, nobody has (`UnknownIssuer`), if it is
/// not rejected for its time, for being an authority's or for its purpose, in this order.
pub(super) fn check_alone(
    certificate: &ParsedCertificate<'_>,
    now: UnixTime,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), rustls::Error> {
    verify_server_cert_signed_by_trust_anchor(certificate, &RootCertStore::empty(), &[], now, algorithms.all)
}

/// True if a server's certificate is rejected for being an authority's.
pub(super) fn is_authority(why: &CertificateError) -> bool {
    matches!(why, CertificateError::Other(other) if other.0.to_string() == "CaUsedAsEndEntity")
}

/// True if a certificate is rejected for being of X.509 version 1.
pub(super) fn is_version_1(why: &CertificateError) -> bool {
    matches!(why, CertificateError::Other(other) if other.0.to_string().contains("UnsupportedCertVersion"))
}
