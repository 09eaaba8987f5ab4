//! TLS: verification of server certificates, and client certificates.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::{
    certificates::{ClientCertificate, SystemRoots, certificates},
    settings::NetSettings,
};
use crate::{
    error::{Code, Error, Kind, Result},
    stores::registry::origins::origin::HostTrust,
};

/// Format of times in messages.
const TIME: &str = "%Y-%m-%d %H:%M UTC";

/// TLS settings shared by all connections of one client.
pub(super) struct Tls {
    provider: Arc<CryptoProvider>,
    trust: Arc<Trust>,
    insecure: bool,
    certificate: Option<ClientCertificate>,
}

impl Tls {
    /// Errors: unusable certificates among `roots`.
    pub(super) fn new(settings: &NetSettings) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let trust = Trust::Signed(Box::new(Roots::new(settings)?), Arc::clone(&provider));
        let certificate = settings.certificate.clone();
        Ok(Self { trust: Arc::new(trust), provider, insecure: settings.insecure_tls, certificate })
    }

    /// The configuration for hosts with this trust.
    pub(super) fn config(&self, host_trust: HostTrust) -> Result<ClientConfig> {
        let trust = match host_trust {
            HostTrust::Own | HostTrust::Trusted if self.insecure => Arc::new(Trust::Anyone(Arc::clone(&self.provider))),
            HostTrust::Own | HostTrust::Trusted | HostTrust::Foreign => Arc::clone(&self.trust),
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::caused(Kind::Internal, "cannot set up TLS", e))?;
        let builder = builder.dangerous().with_custom_certificate_verifier(trust);
        let Some(own) = self.certificate.as_ref().filter(|_| host_trust == HostTrust::Own) else {
            return Ok(builder.with_no_client_auth());
        };
        let unfit = |e| Error::invalid(format!("client certificate and private key do not match: {e}"));
        builder.with_client_auth_cert(own.chain.clone(), own.key.clone_key()).map_err(unfit)
    }
}

/// Trusted certificates.
struct Roots {
    /// Those given by the user.
    own: Vec<CertificateDer<'static>>,
    system: Option<SystemRoots>,
    store: OnceLock<RootCertStore>,
}

impl Roots {
    fn new(settings: &NetSettings) -> Result<Self> {
        let mut own = Vec::new();
        for item in &settings.roots {
            own.extend(certificates(item)?);
        }
        let mut parsed = RootCertStore::empty();
        for certificate in &own {
            let unusable = |e| Error::invalid(format!("unusable certificate: {e}"));
            parsed.add(certificate.clone()).map_err(unusable)?;
        }
        Ok(Self { own, system: settings.system_roots.clone(), store: OnceLock::new() })
    }

    /// True if the user gave this very certificate.
    fn holds(&self, certificate: &CertificateDer<'_>) -> bool {
        self.own.iter().any(|own| own.as_ref() == certificate.as_ref())
    }

    fn store(&self) -> &RootCertStore {
        self.store.get_or_init(|| {
            let mut store = RootCertStore::empty();
            let system = self.system.iter().flat_map(|roots| roots()).map(CertificateDer::from);
            // A system's collection may contain a few that are too old to be parsed.
            store.add_parsable_certificates(self.own.iter().cloned().chain(system));
            store
        })
    }
}

/// The servers that are trusted.
enum Trust {
    /// All servers, as `insecure_tls` requests.
    Anyone(Arc<CryptoProvider>),
    /// Servers with a certificate that is valid now and for their name, and that is signed by an authority or given by
    /// the user. `openssl req -x509` makes an authority's certificate (`CA:TRUE`), which webpki does not accept for a
    /// server.
    Signed(Box<Roots>, Arc<CryptoProvider>),
}

impl Trust {
    fn provider(&self) -> &CryptoProvider {
        match self {
            Self::Anyone(provider) | Self::Signed(_, provider) => provider,
        }
    }
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
        if let Self::Signed(roots, provider) = self {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = provider.signature_verification_algorithms.all;
            let store = roots.store();
            match verify_server_cert_signed_by_trust_anchor(&certificate, store, intermediates, now, algorithms) {
                // Detected only after the validity period was checked.
                Err(rustls::Error::InvalidCertificate(why)) if is_authority(&why) && roots.holds(end_entity) => {}
                other => other?,
            }
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider().signature_verification_algorithms.supported_schemes()
    }
}

/// `io::Error::source` skips the error that it wraps, so this searches for it at any depth.
pub(in crate::stores::registry) fn cause<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a rustls::Error> {
    match error.downcast_ref::<std::io::Error>() {
        Some(io) => cause(io.get_ref()?),
        None => error.downcast_ref(),
    }
}

/// Explains a failure of TLS with this host, as messages show it.
pub(in crate::stores::registry) fn failed(what: &str, host: &str, error: &rustls::Error) -> Error {
    let (message, code) = match error {
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => {
            (format!("`{host}` answers in plain http, not https"), Some(Code::PlainHttpAnswered))
        }
        rustls::Error::InvalidCertificate(why) => {
            (format!("the certificate of `{host}` is not trusted: {}", unfit(why)), Some(code_of(why)))
        }
        other => (format!("https with `{host}` failed: {other}"), None),
    };
    code.into_iter().fold(Error::new(Kind::Unreachable, format!("{what}: {message}")), Error::with_code)
}

fn code_of(why: &CertificateError) -> Code {
    use CertificateError as E;
    match why {
        E::Expired | E::ExpiredContext { .. } | E::NotValidYet | E::NotValidYetContext { .. } => {
            Code::CertificateNotNow
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => Code::CertificateForAnother,
        _ => Code::CertificateNotTrusted,
    }
}

fn unfit(why: &CertificateError) -> String {
    let now = format!("this machine's clock says {}", jiff::Timestamp::now().strftime(TIME));
    match why {
        CertificateError::ExpiredContext { not_after, .. } => format!("it expired on {}; {now}", time(*not_after)),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("it is not valid before {}; {now}", time(*not_before))
        }
        CertificateError::UnknownIssuer => "it is not signed by a trusted authority".into(),
        _ if is_authority(why) => "it is an authority's certificate (`CA:TRUE`) and is not itself trusted".into(),
        _ => why.to_string(),
    }
}

fn time(time: UnixTime) -> String {
    let time = i64::try_from(time.as_secs()).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "an invalid date".into(), |time| time.strftime(TIME).to_string())
}

/// True if a server's certificate is rejected for being an authority's.
fn is_authority(why: &CertificateError) -> bool {
    matches!(why, CertificateError::Other(other) if other.0.to_string() == "CaUsedAsEndEntity")
}
