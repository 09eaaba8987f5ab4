//! Whether evidence meets a requirement: pure, without any store.

use std::{cell::Cell, collections::BTreeSet};

#[cfg(feature = "keyless")]
use super::keyless;
use super::{
    dsse::{self, Envelope},
    evidence::{Candidate, Content, Evidence, Format},
    files::FileHashes,
    key::{Algorithm, PublicKey},
    requirement::{Kind, Requirement, SignedName, Signer},
    sigstore_bundle::SigstoreBundle,
    simple_signing::Payload,
    statement::{self, Statement},
    verdict::{Check, Rejected, SignedBy, Verdict, Verification, Verified},
};
use crate::oci::{Annotations, Digest};

/// Most times that a signature is checked with a key, for one artifact and one requirement.
pub const MAX_CHECKS: usize = 100;

/// Judges evidence.
#[must_use]
pub fn judge(evidence: &Evidence, requirement: &Requirement) -> Verification {
    let mut all = Verification {
        verdict: Verdict::Unsigned,
        subject: evidence.subject.clone(),
        signatures: Vec::new(),
        signers: 0,
        rejected: Vec::new(),
        others: BTreeSet::new(),
    };
    let mut signers = BTreeSet::new();
    let left = Cell::new(MAX_CHECKS);
    let mut undecided = !evidence.errors.is_empty();
    for candidate in likely_first(&evidence.candidates, requirement) {
        let Candidate { format, place, content } = candidate;
        let judged = match content {
            Err(why) => Judged::Rejected(why.clone()),
            Ok(content) => {
                let (digest, file) = (&evidence.subject.digest, evidence.file.as_ref());
                Judging { content, requirement, digest, file, left: &left }.judge()
            }
        };
        match judged {
            Judged::Holds(found) => {
                signers.extend(found.iter().map(|found| found.of));
                all.signatures.extend(found.into_iter().map(|found| found.at(*format, place, content.as_ref().ok())));
            }
            Judged::Other(predicate_type) => all.others.extend(predicate_type),
            Judged::Rejected(why) => all.rejected.push(Rejected { format: *format, place: place.clone(), why }),
            Judged::TooMany => undecided = true,
        }
    }
    all.signers = signers.len();
    if all.signers >= requirement.min.max(1) {
        all.verdict = Verdict::Verified;
    } else if undecided {
        all.verdict = Verdict::Undecided;
    } else if !all.signatures.is_empty() || !all.rejected.is_empty() {
        all.verdict = Verdict::Rejected;
    }
    all
}

/// First what says that a wanted key made it: only so much is checked.
fn likely_first<'e>(candidates: &'e [Candidate], requirement: &Requirement) -> Vec<&'e Candidate> {
    let hints: Vec<String> = requirement.keys().map(PublicKey::hint).collect();
    let is_likely = |candidate: &&Candidate| {
        let hint = candidate
            .content
            .as_ref()
            .ok()
            .and_then(|content| content.bundle.verification_material.public_key.as_ref());
        hint.is_some_and(|hint| hints.contains(&hint.hint))
    };
    let (mut likely, others): (Vec<_>, Vec<_>) = candidates.iter().partition(is_likely);
    likely.extend(others);
    likely
}

/// What became of one candidate.
enum Judged {
    /// It holds, once for each signer.
    Holds(Vec<Holds>),
    /// It is of another kind: an attestation with this predicate type, or a legacy signature.
    Other(Option<String>),
    /// It is of the kind, or nobody knows what it is, and does not hold.
    Rejected(String),
    /// It was not checked, since too much was.
    TooMany,
}

/// What holds, and how far it was checked.
struct Holds {
    /// Which of the signers of the requirement this is: the position of the first equal one.
    of: usize,
    signer: SignedBy,
    predicate_type: Option<String>,
    statement: Vec<u8>,
    annotations: Annotations,
    name: Option<String>,
    time: Option<String>,
    checked: Vec<Check>,
}

impl Holds {
    fn at(self, format: Format, place: &str, content: Option<&Content>) -> Verified {
        let Self { of: _, signer, predicate_type, statement, annotations, name, time, checked } = self;
        let there = content.map_or(Vec::new(), |content| content.there());
        let not_checked = there.into_iter().filter(|check| !checked.contains(check)).collect();
        let statement_digest = Digest::of(&statement);
        let place = place.to_owned();
        Verified {
            format,
            place,
            signer,
            predicate_type,
            statement_digest,
            statement,
            annotations,
            name,
            time,
            checked,
            not_checked,
        }
    }
}

impl Content {
    /// What could be checked beside the signature.
    fn there(&self) -> Vec<Check> {
        let mut there = Vec::new();
        if !self.bundle.verification_material.tlog_entries.is_empty() {
            there.push(Check::LogEntry);
        }
        if !self.bundle.timestamps().is_empty() {
            there.push(Check::Timestamp);
        }
        there
    }
}

/// What a candidate says, not yet verified.
struct Claim<'c> {
    signed: SignedBytes<'c>,
    signature: &'c [u8],
    /// The text of it; empty for a file.
    statement: &'c [u8],
    predicate_type: Option<String>,
    annotations: Annotations,
    name: Option<String>,
}

/// What a signature is of.
enum SignedBytes<'c> {
    Message(Vec<u8>),
    File(&'c FileHashes),
}

struct Judging<'a> {
    content: &'a Content,
    requirement: &'a Requirement,
    digest: &'a Digest,
    /// The file that is signed, if it is no artifact.
    file: Option<&'a FileHashes>,
    left: &'a Cell<usize>,
}

impl Judging<'_> {
    fn judge(self) -> Judged {
        let claim = match self.claim() {
            Ok(Ok(claim)) => claim,
            Ok(Err(other)) => return Judged::Other(other),
            Err(why) => return Judged::Rejected(why),
        };
        let mut holds = Vec::new();
        let mut why = None;
        for signer in &self.requirement.signers {
            match self.signed_by(signer, &claim) {
                Ok(Some(found)) => holds.push(found),
                Ok(None) => return Judged::TooMany,
                Err(reason) => why = why.or(Some(reason)),
            }
        }
        if holds.is_empty() {
            return Judged::Rejected(why.unwrap_or_else(|| "nobody is named who may have signed".to_owned()));
        }
        match self.agrees(&claim) {
            Ok(checks) => {
                holds.iter_mut().for_each(|found| found.checked.extend(&checks));
                Judged::Holds(holds)
            }
            Err(why) => Judged::Rejected(why),
        }
    }

    /// What the candidate says; the inner error is the type of another kind.
    fn claim(&self) -> Result<Result<Claim<'_>, Option<String>>, String> {
        let bundle = &self.content.bundle;
        if let Some(envelope) = &bundle.dsse_envelope {
            return self.statement_claim(envelope);
        }
        let signature = bundle.message_signature.as_ref().ok_or("there is no signature in it")?;
        if self.requirement.kind != Kind::Signature {
            return Ok(Err(None));
        }
        let Some(payload) = &self.content.payload else {
            let file = self.file.ok_or("it is a signature of a file, not of an artifact")?;
            file.fits(signature.message_digest.as_ref())?;
            return Ok(Ok(Claim {
                signed: SignedBytes::File(file),
                signature: &signature.signature,
                statement: &[],
                predicate_type: None,
                annotations: Annotations::new(),
                name: None,
            }));
        };
        let read = Payload::read(payload);
        let (annotations, name) = match &read {
            Ok(payload) => (payload.annotations(), Some(payload.reference().to_owned())),
            Err(why) => return Err(why.clone()),
        };
        read.and_then(|payload| payload.about(self.digest))?;
        Ok(Ok(Claim {
            signed: SignedBytes::Message(payload.to_vec()),
            signature: &signature.signature,
            statement: payload,
            predicate_type: None,
            annotations,
            name,
        }))
    }

    fn statement_claim<'c>(&self, envelope: &'c Envelope) -> Result<Result<Claim<'c>, Option<String>>, String> {
        if envelope.payload_type != dsse::IN_TOTO {
            return Err(format!("its payload is a `{}`, not a statement", envelope.payload_type));
        }
        let [signature] = envelope.signatures.as_slice() else {
            return Err(format!("it has {} signatures, not one", envelope.signatures.len()));
        };
        let statement = Statement::read(&envelope.payload)?;
        if !self.requirement.kind.is(&statement.predicate_type) {
            let is_signature = statement.predicate_type == statement::SIGNATURE;
            return Ok(Err((!is_signature).then_some(statement.predicate_type)));
        }
        let subject = statement.about(self.digest)?.clone();
        Ok(Ok(Claim {
            signed: SignedBytes::Message(envelope.signed()),
            signature: &signature.sig,
            statement: &envelope.payload,
            predicate_type: Some(statement.predicate_type),
            annotations: subject.annotations,
            name: subject.name,
        }))
    }

    /// Verifies the signature, and what else is demanded of it; `None` if too much was checked already.
    fn signed_by(&self, signer: &Signer, claim: &Claim<'_>) -> Result<Option<Holds>, String> {
        let Some(left) = self.left.get().checked_sub(1) else { return Ok(None) };
        self.left.set(left);
        let bundle = &self.content.bundle;
        let proof = match signer {
            Signer::Key(key) => {
                if bundle.has_certificate() {
                    return Err("a certificate says who signed it, and no key".to_owned());
                }
                let holds = match &claim.signed {
                    SignedBytes::Message(message) => key.verifies(message, claim.signature),
                    SignedBytes::File(file) => file.is_signed(key, claim.signature),
                };
                if !holds {
                    let lacking = match &claim.signed {
                        SignedBytes::File(file) => file.lacks(key),
                        SignedBytes::Message(_) => None,
                    };
                    return Err(lacking.map_or_else(|| wrong_signature(key, bundle), str::to_owned));
                }
                let also = self.also_demanded(key)?;
                Proof { signer: SignedBy::Key(key.fingerprint()), ..also }
            }
            #[cfg(feature = "keyless")]
            Signer::Identity(identity) => {
                if !bundle.has_certificate() {
                    return Err("a key made it, and no certificate says whose".to_owned());
                }
                keyless::by_identity(self.content, self.artifact(), identity, self.requirement)?
            }
        };
        let checked = [Check::Signature].into_iter().chain(proof.checked).collect();
        Ok(Some(Holds {
            of: self.requirement.first_like(signer),
            signer: proof.signer,
            predicate_type: claim.predicate_type.clone(),
            statement: claim.statement.to_vec(),
            annotations: claim.annotations.clone(),
            name: claim.name.clone(),
            time: proof.time,
            checked,
        }))
    }

    /// A log entry and a timestamp, where they are demanded of a key's signature.
    #[cfg(feature = "keyless")]
    fn also_demanded(&self, key: &PublicKey) -> Result<Proof, String> {
        keyless::by_key(self.content, self.artifact(), key, self.requirement)
    }

    #[cfg(not(feature = "keyless"))]
    fn also_demanded(&self, key: &PublicKey) -> Result<Proof, String> {
        if self.requirement.log == super::requirement::LogEntry::Demanded || self.requirement.timestamp {
            return Err("log entries and timestamps cannot be verified: built without `keyless`".to_owned());
        }
        Ok(Proof { signer: SignedBy::Key(key.fingerprint()), time: None, checked: Vec::new() })
    }

    /// What was signed: a legacy signature is one of its payload.
    #[cfg(feature = "keyless")]
    fn artifact(&self) -> keyless::Artifact<'_> {
        match &self.content.payload {
            Some(payload) => keyless::Artifact::Bytes(payload),
            None => keyless::Artifact::Digest(self.digest),
        }
    }

    /// What the signed text must say.
    fn agrees(&self, claim: &Claim<'_>) -> Result<Vec<Check>, String> {
        let mut checks = vec![Check::Subject];
        if claim.predicate_type.is_some() {
            checks.push(Check::PredicateType);
        }
        let wanted = &self.requirement.annotations;
        if let Some((key, value)) = wanted.iter().find(|(key, value)| claim.annotations.get(*key) != Some(value)) {
            let found =
                claim.annotations.get(key).map_or_else(|| "is missing".to_owned(), |found| format!("is `{found}`"));
            return Err(format!("the annotation `{key}` {found}, not `{value}`"));
        }
        if !wanted.is_empty() {
            checks.push(Check::Annotations);
        }
        if !self.requirement.name.allows(claim.name.as_deref()) {
            let found = claim.name.as_ref().map_or_else(|| "no name".to_owned(), |name| format!("`{name}`"));
            return Err(format!("it was signed under {found}"));
        }
        if self.requirement.name != SignedName::Any {
            checks.push(Check::Name);
        }
        Ok(checks)
    }
}

/// Who signed, and what of the material was verified.
pub(super) struct Proof {
    pub(super) signer: SignedBy,
    pub(super) time: Option<String>,
    pub(super) checked: Vec<Check>,
}

/// Why a key does not verify a signature: what the bundle says about its key is only a hint, but often a true one.
fn wrong_signature(key: &PublicKey, bundle: &SigstoreBundle) -> String {
    let hint = bundle.verification_material.public_key.as_ref().map(|found| found.hint.as_str()).unwrap_or_default();
    if !hint.is_empty() && hint != key.hint() {
        return "another key made it".to_owned();
    }
    match key.algorithm() {
        Algorithm::Ed25519 => {
            "the signature is not one by this key; `Ed25519ph`, which cosign writes for such keys, is not read"
                .to_owned()
        }
        _ => "the signature is not one by this key".to_owned(),
    }
}
