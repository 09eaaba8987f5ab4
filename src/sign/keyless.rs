//! Certificates, transparency logs and timestamps: the one place that knows the crate `sigstore-verify`.
//!
//! Everything is verified offline, with what a trusted root says. Key signatures without log entry and timestamp do not
//! come here: that crate refuses them by principle.

use std::{fmt, path::Path, sync::Arc, time::SystemTime};

use jiff::Timestamp;
use regex::Regex;
use sigstore_verify::{
    PublicKeyVerificationPolicy, VerificationPolicy, Verifier, crypto, trust_root, tsa,
    types::{self, ArtifactDigest, DerPublicKey, HashAlgorithm, SignatureBytes, TimeRange, TimestampToken},
};

use super::{
    evidence::Content,
    judging::Proof,
    key::PublicKey,
    requirement::{LogEntry, Requirement},
    sigstore_bundle::SigstoreBundle,
    verdict::{Check, SignedBy},
};
use crate::{
    error::{Context as _, Error, Result},
    fs,
    oci::{Algorithm, Digest},
};

/// Largest trusted root in bytes.
const MAX_TRUSTED_ROOT: u64 = 8 << 20;
/// What all media types of trusted roots start with.
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.trustedroot";

/// Whom to believe about certificates, logs and timestamps: a file that `cosign trusted-root create` writes.
#[derive(Clone)]
pub struct TrustedRoot {
    root: Arc<trust_root::TrustedRoot>,
    verifier: Arc<Verifier>,
    /// When its file was written.
    written: Option<SystemTime>,
}

impl TrustedRoot {
    /// Reads a file, at most 8 MiB. Errors: kind `Misuse` if it is missing or malformed.
    pub fn read(path: &Path) -> Result<Self> {
        let what = || format!("read the trusted root `{}`", path.display());
        let text = fs::read_text(path, MAX_TRUSTED_ROOT).map_err(Error::of_configuration).context(what)?;
        let written = std::fs::metadata(path).and_then(|found| found.modified()).ok();
        Ok(Self { written, ..Self::from_json(&text).context(what)? })
    }

    /// Reads a document. Errors: kind `Misuse` if it is malformed.
    pub fn from_json(text: &str) -> Result<Self> {
        let malformed = |e: &dyn fmt::Display| Error::misuse(format!("this is no trusted root: {e}"));
        let mut root = trust_root::TrustedRoot::from_json(text).map_err(|e| malformed(&e))?;
        if !root.media_type.starts_with(MEDIA_TYPE) {
            return Err(malformed(&format!("its media type is `{}`", root.media_type)));
        }
        for authority in &mut root.certificate_authorities {
            authority.valid_for = Some(valid_for(authority).map_err(|e| malformed(&e))?);
        }
        let verifier = Verifier::new(&root).map_err(|e| malformed(&e))?;
        Ok(Self { root: Arc::new(root), verifier: Arc::new(verifier), written: None })
    }

    /// When its file was written; `None` for a document that is no file.
    #[must_use]
    pub fn written(&self) -> Option<SystemTime> {
        self.written
    }
}

impl fmt::Debug for TrustedRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedRoot").field("written", &self.written).finish_non_exhaustive()
    }
}

/// When an authority vouches: as long as its entry says, and all of its certificates are valid. The crate takes these for
/// anchors, and looks at the entry alone.
fn valid_for(authority: &trust_root::CertificateAuthority) -> Result<TimeRange, crypto::Error> {
    let entry = authority.valid_for.unwrap_or_else(|| TimeRange::new(Timestamp::MIN, None));
    authority.cert_chain.certificates.iter().try_fold(entry, |valid, certificate| {
        let found = crypto::parse_certificate_info(&certificate.raw_bytes)?;
        let end = valid.end.map_or(found.not_after, |end| end.min(found.not_after));
        Ok(TimeRange::new(valid.start.max(found.not_before), Some(end)))
    })
}

/// Whom a certificate must name.
#[derive(Debug, Clone)]
pub struct Identity {
    /// An address of e-mail, or a URI.
    pub identity: Pattern,
    /// Who vouches for it.
    pub issuer: Pattern,
}

/// Which texts are meant.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// This one.
    Exact(String),
    /// Those that an expression matches from the first character to the last: see [`Pattern::regex`].
    Regex(Regex),
}

impl Pattern {
    /// A regular expression, anchored at both ends. Errors: kind `Misuse` if it is malformed.
    pub fn regex(text: &str) -> Result<Self> {
        // Alone first: the anchors must not end up inside of it.
        let whole = Regex::new(text).and_then(|_| Regex::new(&format!(r"\A(?:{text})\z")));
        whole.map(Self::Regex).map_err(|e| Error::misuse(format!("`{text}` is no regular expression: {e}")))
    }

    fn fits(&self, text: &str) -> bool {
        match self {
            Self::Exact(wanted) => wanted == text,
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

/// What a bundle is a signature of.
pub(super) enum Artifact<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// Content with this digest.
    Digest(&'a Digest),
}

impl Artifact<'_> {
    fn for_verifier(&self) -> Result<types::Artifact<'_>, String> {
        match self {
            Self::Bytes(bytes) => Ok(types::Artifact::from_blob(bytes)),
            Self::Digest(digest) => {
                let algorithm = match digest.algorithm() {
                    Algorithm::Sha256 => HashAlgorithm::Sha2256,
                    Algorithm::Sha512 => HashAlgorithm::Sha2512,
                };
                let digest = ArtifactDigest::new(algorithm, digest.as_bytes().to_vec()).map_err(|e| e.to_string())?;
                Ok(types::Artifact::from_digest(digest))
            }
        }
    }
}

/// Verifies a signature by a certificate: its chain, its entry in a certificate log, the time, the log entry, and whom it
/// names.
pub(super) fn by_identity(
    content: &Content,
    artifact: Artifact<'_>,
    wanted: &Identity,
    requirement: &Requirement,
) -> Result<Proof, String> {
    let root = trusted(requirement)?;
    let bundle = &content.bundle;
    let with_log = requirement.log != LogEntry::Waived;
    if with_log && bundle.verification_material.tlog_entries.is_empty() {
        return Err("it has no entry in a transparency log".to_owned());
    }
    if (requirement.timestamp || !with_log) && bundle.timestamps().is_empty() {
        return Err("it has no timestamp".to_owned());
    }
    let policy = VerificationPolicy::any_identity();
    let policy = if with_log { policy } else { policy.skip_tlog_unsafe() };
    let found = root.verifier.verify(artifact.for_verifier()?, &parsed(bundle)?, &policy).map_err(|e| e.to_string())?;
    if !(found.certificate_verified() && found.sct_verified() && (found.tlog_verified() || !with_log)) {
        return Err("the certificate does not hold".to_owned());
    }
    let identity = found.identity().map(ToString::to_string).unwrap_or_default();
    let issuer = found.issuer().unwrap_or_default();
    if !wanted.identity.fits(&identity) {
        return Err(format!("it is by `{identity}`"));
    }
    if !wanted.issuer.fits(issuer) {
        return Err(format!("`{issuer}` vouches for the signer"));
    }
    let mut checked = vec![Check::Certificate, Check::Identity];
    checked.extend(with_log.then_some(Check::LogEntry));
    // Those that are there were all verified.
    checked.extend((!bundle.timestamps().is_empty()).then_some(Check::Timestamp));
    Ok(Proof {
        signer: SignedBy::Identity { identity, issuer: issuer.to_owned() },
        time: found.verified_timestamps().iter().min().map(ToString::to_string),
        checked,
    })
}

/// Verifies what is demanded beside a key's signature, which itself was verified.
pub(super) fn by_key(
    content: &Content,
    artifact: Artifact<'_>,
    key: &PublicKey,
    requirement: &Requirement,
) -> Result<Proof, String> {
    let mut proof = Proof { signer: SignedBy::Key(key.fingerprint()), time: None, checked: Vec::new() };
    if requirement.timestamp {
        let time = timestamp(trusted(requirement)?, &content.bundle)?;
        proof.time = Some(time.to_string());
        proof.checked.push(Check::Timestamp);
    }
    if requirement.log == LogEntry::Demanded {
        let root = trusted(requirement)?;
        if content.bundle.verification_material.tlog_entries.is_empty() {
            return Err("it has no entry in a transparency log".to_owned());
        }
        let mut bundle = content.bundle.clone();
        // Judged above, where they are demanded; here, one of an unknown authority would decide.
        bundle.verification_material.timestamp_verification_data = None;
        let policy = PublicKeyVerificationPolicy::new(DerPublicKey::from_bytes(key.as_der()));
        let found =
            root.verifier.verify(artifact.for_verifier()?, &parsed(&bundle)?, &policy).map_err(|e| e.to_string())?;
        if !found.tlog_verified() {
            return Err("the entry in the transparency log does not hold".to_owned());
        }
        let integrated = found.integrated_time().map(|time| time.to_string());
        proof.time = proof.time.or(integrated);
        proof.checked.push(Check::LogEntry);
    }
    Ok(proof)
}

/// The time of the first timestamp that an authority of the trusted root made of this signature.
fn timestamp(root: &TrustedRoot, bundle: &SigstoreBundle) -> Result<Timestamp, String> {
    let signature = match (&bundle.dsse_envelope, &bundle.message_signature) {
        (Some(envelope), _) => envelope.signatures.first().map(|signature| &signature.sig),
        (None, Some(message)) => Some(&message.signature),
        (None, None) => None,
    };
    let signature = SignatureBytes::from_bytes(signature.ok_or("there is no signature in it")?);
    let authorities = root.root.tsa_authorities();
    let mut why = "it has no timestamp".to_owned();
    for found in bundle.timestamps() {
        let token = TimestampToken::from_bytes(&found.signed_timestamp);
        why = "no authority of the trusted root made its timestamp".to_owned();
        for authority in &authorities {
            match tsa::verify_timestamp_for_authority(&token, &signature, authority) {
                Ok(time) if time > Timestamp::now() => why = format!("its timestamp is in the future: {time}"),
                Ok(time) => return Ok(time),
                Err(e) => why = format!("its timestamp does not hold: {e}"),
            }
        }
    }
    Err(why)
}

fn trusted(requirement: &Requirement) -> Result<&TrustedRoot, String> {
    requirement.trusted_root.as_ref().ok_or_else(|| "no trusted root was given".to_owned())
}

fn parsed(bundle: &SigstoreBundle) -> Result<types::Bundle, String> {
    let text = serde_json::to_string(bundle).map_err(|e| e.to_string())?;
    types::Bundle::from_json(&text).map_err(|e| format!("the bundle is malformed: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_matches_all_of_a_name_or_nothing() {
        let fits = |expression: &str, name: &str| Pattern::regex(expression).unwrap().fits(name);
        assert!(fits("a|ab", "ab") && fits("https://.*/x", "https://a/x"));
        for (expression, name) in [("a", "ab"), ("b", "ab"), ("a", "a\n"), ("(?m)a", "a\nb"), ("a|b", "ac")] {
            assert!(!fits(expression, name), "{expression} {name:?}");
        }
        // Anchors around it would end up in its halves.
        assert!(Pattern::regex("a)|(?:.*").is_err());
    }
}
