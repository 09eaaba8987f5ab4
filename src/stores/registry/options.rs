//! How a registry is spoken to.

use std::{collections::HashMap, fmt, net::IpAddr, sync::Arc, time::Duration};

use super::{
    api::ranges::Ranges,
    auth::credentials::{Anonymous, Credentials},
    http::{rate_limit::Rate, retry::Backoff, settings::HttpSettings},
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

/// How a registry is spoken to.
#[derive(Clone)]
pub struct Options {
    /// http or https.
    pub protocol: Protocol,
    /// Certificates that are trusted: each item one in DER, or any number in PEM. Without these and `system_roots`,
    /// https fails.
    pub roots: Vec<Vec<u8>>,
    /// The authorities that the system trusts, which are trusted too.
    pub system_roots: Option<SystemRoots>,
    /// Takes every certificate of the registry and of what is in `trusted`.
    pub insecure_tls: bool,
    /// What is shown to the registry when it asks for a certificate.
    pub certificate: Option<ClientCertificate>,
    /// Who we say we are.
    pub credentials: Arc<dyn Credentials>,
    /// `host[:port]` of token services and storage that the registry may send us to although they are on another
    /// domain, or on a private network.
    pub trusted: Vec<String>,
    /// Through which proxies everything goes.
    pub proxies: Proxies,
    /// Names whose addresses are known without asking for them, in lower case: what `/etc/hosts` does for a system.
    pub addresses: HashMap<String, Vec<IpAddr>>,
    /// What opens the lines to the registry and to the hosts in `trusted`, in the place of TCP. What the registry sends
    /// us to elsewhere is reached over TCP even then.
    pub dial: Option<Arc<dyn Dial>>,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long an answer may take after the request was sent.
    pub header_timeout: Duration,
    /// How long the next bytes of an answer may take.
    pub read_timeout: Duration,
    /// How often a request is sent again that failed for a reason that may pass.
    pub retries: u32,
    /// How long is waited before.
    pub backoff: Backoff,
    /// How fast content and everything else in a body passes, up and down together with all clients that share it.
    pub rate: Option<Rate>,
    /// Who is told of every wait, every further attempt, and of what need not be fetched again.
    pub progress: Observer,
    /// When a blob is downloaded over several connections.
    pub ranges: Ranges,
}

impl Options {
    /// What the transport must know of these.
    pub(super) fn transport(&self) -> transport::Settings {
        let http = HttpSettings {
            user_agent: self.user_agent.clone(),
            header_timeout: self.header_timeout,
            read_timeout: self.read_timeout,
            retries: self.retries,
            backoff: self.backoff.clone(),
            rate: self.rate.clone(),
            progress: self.progress.clone(),
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
            ranges: Ranges::default(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}
