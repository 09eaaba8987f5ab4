//! What must be signed, by whom, and what else is demanded of a signature.

use std::collections::BTreeMap;

#[cfg(feature = "keyless")]
use super::keyless::{Identity, TrustedRoot};
use super::{key::PublicKey, statement};

/// A demand that an artifact or a file meets or does not meet.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Requirement {
    /// What is asked for.
    pub kind: Kind,
    /// Who may have signed; any of them.
    pub signers: Vec<Signer>,
    /// How many different ones of `signers` must have signed.
    pub min: usize,
    /// Annotations that are signed along.
    pub annotations: BTreeMap<String, String>,
    /// The name under which it must have been signed. Only legacy signatures and attestations have one.
    pub name: SignedName,
    /// A timestamp (RFC 3161) of an authority of the trusted root is demanded.
    pub timestamp: bool,
    /// Whether an entry in a transparency log of the trusted root is demanded.
    pub log: LogEntry,
    /// Whom to believe about certificates, logs and timestamps.
    #[cfg(feature = "keyless")]
    pub trusted_root: Option<TrustedRoot>,
}

impl Requirement {
    /// A signature by any of these; nothing else is demanded.
    #[must_use]
    pub fn signature(signers: Vec<Signer>) -> Self {
        Self {
            kind: Kind::Signature,
            signers,
            min: 1,
            annotations: BTreeMap::new(),
            name: SignedName::Any,
            timestamp: false,
            log: LogEntry::default(),
            #[cfg(feature = "keyless")]
            trusted_root: None,
        }
    }

    /// The keys among the signers.
    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.signers.iter().filter_map(Signer::key)
    }

    /// Number of different signers: the same key given twice is one.
    #[must_use]
    pub fn different_signers(&self) -> usize {
        self.signers.iter().enumerate().filter(|(at, signer)| self.first_like(signer) == *at).count()
    }

    /// The position of the first signer that is the same as this one.
    pub(super) fn first_like(&self, signer: &Signer) -> usize {
        let same = |other: &Signer| match (other.key(), signer.key()) {
            (Some(other), Some(key)) => other == key,
            _ => std::ptr::eq(other, signer),
        };
        self.signers.iter().position(same).unwrap_or_default()
    }

    /// An attestation of this type by any of these; nothing else is demanded.
    #[must_use]
    pub fn attestation(predicate_type: impl Into<String>, signers: Vec<Signer>) -> Self {
        Self { kind: Kind::Attestation(predicate_type.into()), ..Self::signature(signers) }
    }
}

/// Whether an entry in a transparency log is demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogEntry {
    /// Of certificates, which are valid for minutes only; not of keys.
    #[default]
    OfCertificates,
    /// Of keys, too.
    Demanded,
    /// Of nobody; a certificate then needs a timestamp, which says that it was valid.
    Waived,
}

/// What is asked for. An attestation is never taken for a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A signature: predicate type [`statement::SIGNATURE`], or a legacy payload.
    Signature,
    /// An attestation with this predicate type.
    Attestation(String),
}

impl Kind {
    /// True if a statement with this predicate type is of this kind.
    pub(super) fn is(&self, predicate_type: &str) -> bool {
        match self {
            Self::Signature => predicate_type == statement::SIGNATURE,
            Self::Attestation(wanted) => predicate_type == wanted,
        }
    }
}

/// Who may have signed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Signer {
    /// Whoever has the private half of this key.
    Key(PublicKey),
    /// Whoever a certificate names.
    #[cfg(feature = "keyless")]
    Identity(Identity),
}

impl Signer {
    /// The key, if it is one.
    pub(super) fn key(&self) -> Option<&PublicKey> {
        match self {
            Self::Key(key) => Some(key),
            #[cfg(feature = "keyless")]
            Self::Identity(_) => None,
        }
    }
}

/// Under which name an artifact must have been signed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SignedName {
    /// Any, or none: the digest alone is what is signed, wherever it lies.
    #[default]
    Any,
    /// This `registry/repository`, with any tag or none.
    Repository(String),
    /// This text.
    Exact(String),
}

impl SignedName {
    /// True if a signature under this name meets the demand.
    pub(super) fn allows(&self, name: Option<&str>) -> bool {
        match (self, name) {
            (Self::Any, _) => true,
            (_, None) => false,
            (Self::Exact(wanted), Some(name)) => wanted == name,
            (Self::Repository(wanted), Some(name)) => {
                let rest = name.strip_prefix(wanted.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '@']))
            }
        }
    }
}
