//! TLS: whom to trust, and what to show.

use std::sync::Arc;

use rustls::{ClientConfig, crypto::CryptoProvider};

use super::{client_auth::ClientAuth, roots::Roots, settings::NetSettings, trust::Trust};
use crate::{
    error::{Error, Kind, Result},
    stores::registry::origins::origin::HostTrust,
};

/// TLS settings shared by all connections of one client.
pub(super) struct Tls {
    provider: Arc<CryptoProvider>,
    trust: Arc<Trust>,
    insecure: bool,
    own: ClientAuth,
    trusted: ClientAuth,
    foreign: ClientAuth,
}

impl Tls {
    /// Errors: unusable certificates among `roots`.
    pub(super) fn new(settings: &NetSettings) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = Box::new(Roots::new(settings, &provider)?);
        let trust = Arc::new(Trust::Signed(roots, Arc::clone(&provider), settings.progress.clone()));
        let own = ClientAuth::showing(settings.certificate.as_ref());
        let (trusted, foreign) = (ClientAuth::default(), ClientAuth::default());
        Ok(Self { provider, trust, insecure: settings.insecure_tls, own, trusted, foreign })
    }

    /// The configuration for hosts with this trust.
    pub(super) fn config(&self, host_trust: HostTrust) -> Result<ClientConfig> {
        self.configure(host_trust, self.client_auth(host_trust).clone())
    }

    /// The configuration for proxies, which get no client certificate.
    pub(super) fn config_for_proxies(&self) -> Result<ClientConfig> {
        self.configure(HostTrust::Foreign, ClientAuth::default())
    }

    fn configure(&self, host_trust: HostTrust, client_auth: ClientAuth) -> Result<ClientConfig> {
        let trust = match host_trust {
            HostTrust::Own | HostTrust::Trusted if self.insecure => Arc::new(Trust::Anyone(Arc::clone(&self.provider))),
            HostTrust::Own | HostTrust::Trusted | HostTrust::Foreign => Arc::clone(&self.trust),
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::caused(Kind::Internal, "cannot set up TLS", e))?;
        let builder = builder.dangerous().with_custom_certificate_verifier(trust);
        Ok(builder.with_client_cert_resolver(Arc::new(client_auth)))
    }

    /// What hosts with this trust get that ask for a client certificate.
    pub(super) fn client_auth(&self, host_trust: HostTrust) -> &ClientAuth {
        match host_trust {
            HostTrust::Own => &self.own,
            HostTrust::Trusted => &self.trusted,
            HostTrust::Foreign => &self.foreign,
        }
    }
}
