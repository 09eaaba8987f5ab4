//! What a server gets that asks for a client certificate.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rustls::{SignatureScheme, client::ResolvesClientCert, sign::CertifiedKey};

use super::certificates::ClientCertificate;

/// A client certificate or none, and whether a server has asked.
#[derive(Debug, Clone, Default)]
pub(super) struct ClientAuth {
    key: Option<Arc<CertifiedKey>>,
    asked: Arc<AtomicBool>,
}

/// What has become of a client certificate, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stores::registry) enum ClientAuthUse {
    /// No server has asked.
    NotAsked,
    /// There was none to show.
    None,
    /// There is none for servers other than the registry itself.
    NotForOthers,
    /// It was shown.
    Shown,
}

impl ClientAuth {
    /// Shows this certificate, if there is one.
    pub(super) fn showing(own: Option<&ClientCertificate>) -> Self {
        Self { key: own.map(|own| Arc::clone(&own.0)), asked: Arc::default() }
    }

    /// What a server at hosts of this trust got so far.
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
