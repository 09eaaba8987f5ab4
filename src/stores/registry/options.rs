//! Options for accessing a registry.

use std::{collections::HashMap, fmt, net::IpAddr, sync::Arc, time::Duration};

use super::{
    api::ranges::Ranges,
    auth::credentials::{Anonymous, Credentials},
    http::{rate_limit::Rate, retry::Backoff, sent_secrets::SentSecrets, settings::HttpSettings},
    net::{
        certificates::{ClientCertificate, SystemRoots},
        dial::Dial,
        proxy::Proxies,
        settings::NetSettings,
    },
    origins::origin::Protocol,
    transport,
};
use crate::progress::Observer;

/// Options for accessing a registry.
#[derive(Clone)]
pub struct Options {
    /// http or https.
    pub protocol: Protocol,
    /// Trusted certificates: each item one in DER, or any number in PEM. Without these and `system_roots`, https fails.
    pub roots: Vec<Vec<u8>>,
    /// The system's authorities, which are trusted as well.
    pub system_roots: Option<SystemRoots>,
    /// Disables TLS certificate verification for the registry and the hosts in `trusted`.
    pub insecure_tls: bool,
    /// The client certificate to show to the registry on request.
    pub certificate: Option<ClientCertificate>,
    /// The source of credentials.
    pub credentials: Arc<dyn Credentials>,
    /// `host[:port]` of token services and storage that the registry may refer us to although they are on another
    /// domain or in a private network.
    pub trusted: Vec<String>,
    /// The proxies for all connections.
    pub proxies: Proxies,
    /// Preset addresses of names, in lower case, like a system's `/etc/hosts`.
    pub addresses: HashMap<String, Vec<IpAddr>>,
    /// Opens connections to the registry and to the hosts in `trusted`, instead of TCP. Other hosts that the registry
    /// refers us to are still reached over TCP.
    pub dial: Option<Arc<dyn Dial>>,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// Timeout for connecting.
    pub connect_timeout: Duration,
    /// Timeout for a response after the request was sent.
    pub header_timeout: Duration,
    /// Timeout for the next bytes of a response.
    pub read_timeout: Duration,
    /// How often a request is retried after a failure that may pass.
    pub retries: u32,
    /// Delays before retries.
    pub backoff: Backoff,
    /// Rate limit for the bodies of all uploads and downloads, shared by all clients with the same one.
    pub rate: Option<Rate>,
    /// Receives events about delays, retries, and bytes saved by resuming.
    pub progress: Observer,
    /// Collects the secrets that are sent, for whoever prints errors.
    pub sent: SentSecrets,
    /// Conditions for downloading a blob over several connections.
    pub ranges: Ranges,
}

impl Options {
    /// The settings for the transport.
    pub(super) fn transport(&self) -> transport::Settings {
        let http = HttpSettings {
            user_agent: self.user_agent.clone(),
            header_timeout: self.header_timeout,
            read_timeout: self.read_timeout,
            retries: self.retries,
            backoff: self.backoff.clone(),
            rate: self.rate.clone(),
            progress: self.progress.clone(),
            sent: self.sent.clone(),
        };
        let net = NetSettings {
            roots: self.roots.clone(),
            system_roots: self.system_roots.clone(),
            insecure_tls: self.insecure_tls,
            certificate: self.certificate.clone(),
            proxies: self.proxies.clone(),
            addresses: Arc::new(self.addresses.clone()),
            dial: self.dial.clone(),
            connect_timeout: self.connect_timeout,
            progress: self.progress.clone(),
        };
        transport::Settings { credentials: Arc::clone(&self.credentials), trusted: self.trusted.clone(), http, net }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            protocol: Protocol::Auto,
            roots: Vec::new(),
            system_roots: None,
            insecure_tls: false,
            certificate: None,
            credentials: Arc::new(Anonymous),
            trusted: Vec::new(),
            proxies: Proxies::default(),
            addresses: HashMap::new(),
            dial: None,
            user_agent: concat!("artifact/", env!("CARGO_PKG_VERSION")).into(),
            connect_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(60),
            read_timeout: Duration::from_secs(30),
            retries: 5,
            backoff: Backoff::default(),
            rate: None,
            progress: Observer::default(),
            sent: SentSecrets::default(),
            ranges: Ranges::default(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}
