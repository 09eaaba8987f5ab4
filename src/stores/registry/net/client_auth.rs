//! What a server gets that asks for a client certificate.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rustls::{SignatureScheme, client::ResolvesClientCert, sign::CertifiedKey};

use super::certificates::ClientCertificate;

/// A client certificate or none, and whether any server of a pool has asked; which one is not known.
#[derive(Debug, Clone, Default)]
pub(super) struct ClientAuth {
    key: Option<Arc<CertifiedKey>>,
    asked: Arc<AtomicBool>,
}

/// What has become of a client certificate in a pool, for messages. Of a single server, only its alert tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stores::registry) enum ClientAuthUse {
    /// No server has asked.
    NotAsked,
    /// A server has asked, and there was none to show.
    None,
    /// A server has asked that is not the registry itself, and only that is shown one.
    NotForOthers,
    /// It was shown to a server that asked.
    Shown,
}

impl ClientAuth {
    /// Shows this certificate, if there is one.
    pub(super) fn showing(own: Option<&ClientCertificate>) -> Self {
        Self { key: own.map(|own| Arc::clone(&own.0)), asked: Arc::default() }
    }

    /// What the servers at hosts of this trust got so far.
    pub(super) fn what_became(&self, is_own: bool) -> ClientAuthUse {
        match (self.asked.load(Ordering::Relaxed), &self.key) {
            (false, _) => ClientAuthUse::NotAsked,
            (true, Some(_)) => ClientAuthUse::Shown,
            (true, None) if is_own => ClientAuthUse::None,
            (true, None) => ClientAuthUse::NotForOthers,
        }
    }
}

impl ResolvesClientCert for ClientAuth {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        // Otherwise it would not be told that a server asks.
        true
    }
}
