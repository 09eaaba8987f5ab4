//! The outcome of a verification: what holds, what does not and why, and the error that it is.

use std::collections::BTreeSet;

use super::{
    evidence::{Evidence, Format},
    judging::MAX_CHECKS,
    requirement::{Kind, Requirement},
};
use crate::{
    error::{Error, Kind as ErrorKind, Result},
    oci::{Annotations, Descriptor, Digest},
};

/// The outcome of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The requirement is met.
    Verified,
    /// Something of the kind that was asked for is there, and the requirement is not met.
    Rejected,
    /// Nothing of the kind that was asked for is there.
    Unsigned,
    /// What could be read does not meet the requirement, and not all could be read: nobody knows.
    Undecided,
}

/// The outcome of a verification, with its reasons.
#[derive(Debug, Clone)]
pub struct Verification {
    /// The outcome.
    pub verdict: Verdict,
    /// The artifact.
    pub subject: Descriptor,
    /// What meets the requirement, also where there is too little of it.
    pub signatures: Vec<Verified>,
    /// By how many of the signers of the requirement they are; the same key given twice is one.
    pub signers: usize,
    /// What does not.
    pub rejected: Vec<Rejected>,
    /// The predicate types of attestations that are there and were not asked for.
    pub others: BTreeSet<String>,
}

/// A signature or attestation that holds.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Its format.
    pub format: Format,
    /// Where it lies.
    pub place: String,
    /// Who signed.
    pub signer: SignedBy,
    /// Type of the statement; `None` in the legacy format.
    pub predicate_type: Option<String>,
    /// The digest of what was signed: a statement or a payload.
    pub statement_digest: Digest,
    /// The statement, as it was signed; for a legacy signature, its payload.
    pub statement: Vec<u8>,
    /// The annotations that are signed along.
    pub annotations: Annotations,
    /// The name under which it was signed, if any.
    pub name: Option<String>,
    /// When it was signed, in RFC 3339, where a timestamp or a log was verified.
    pub time: Option<String>,
    /// What was verified.
    pub checked: Vec<Check>,
    /// What is there and was not asked for.
    pub not_checked: Vec<Check>,
}

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignedBy {
    /// The key with this SHA-256.
    Key(Digest),
    /// Whoever the certificate names.
    Identity {
        /// An address of e-mail, or a URI.
        identity: String,
        /// Who vouches for it.
        issuer: String,
    },
}

/// What a verification looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The signature itself.
    Signature,
    /// That the artifact is what was signed.
    Subject,
    /// The type of the statement.
    PredicateType,
    /// The annotations that were asked for.
    Annotations,
    /// The name under which it was signed.
    Name,
    /// The certificate, its chain and its entry in a certificate log.
    Certificate,
    /// The identity in the certificate.
    Identity,
    /// The entry in a transparency log.
    LogEntry,
    /// The timestamp.
    Timestamp,
}

impl Check {
    /// The words for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Subject => "digest",
            Self::PredicateType => "type",
            Self::Annotations => "annotations",
            Self::Name => "name",
            Self::Certificate => "certificate",
            Self::Identity => "identity",
            Self::LogEntry => "log entry",
            Self::Timestamp => "timestamp",
        }
    }
}

/// Something of the kind that was asked for that does not meet the requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its format.
    pub format: Format,
    /// Where it lies.
    pub place: String,
    /// The reason.
    pub why: String,
}

impl Verification {
    /// Errors: kind `Unsigned` for an artifact without what was asked for, `Mismatch` if the requirement is not met, the
    /// first error of the evidence if it is not whole, kind `Limit` if more than [`MAX_CHECKS`] would have to be checked.
    pub fn check(&self, requirement: &Requirement, evidence: Evidence) -> Result<()> {
        let digest = &self.subject.digest;
        match self.verdict {
            Verdict::Verified => Ok(()),
            Verdict::Undecided => Err(evidence.errors.into_iter().next().unwrap_or_else(|| {
                Error::limit(format!("{digest} has more signatures than are checked with these keys: {MAX_CHECKS}"))
            })),
            Verdict::Unsigned => {
                let message = match &requirement.kind {
                    Kind::Signature if self.others.is_empty() => format!("{digest} is not signed"),
                    Kind::Signature => format!("{digest} has attestations, and no signature"),
                    Kind::Attestation(wanted) => format!("{digest} has no attestation of the type `{wanted}`"),
                };
                let there: Vec<String> = self.others.iter().take(10).map(|found| format!("`{found}`")).collect();
                let there = if there.is_empty() { String::new() } else { format!("; there are {}", there.join(", ")) };
                Err(Error::new(ErrorKind::Unsigned, message + &there))
            }
            Verdict::Rejected => {
                let message = if self.signatures.is_empty() {
                    format!("no signature of {digest} holds")
                } else {
                    format!("{digest} is signed by {} of those named, not by {}", self.signers, requirement.min)
                };
                Err(Error::mismatch(message))
            }
        }
    }
}
