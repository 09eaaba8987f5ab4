//! Signatures and attestations: keys, cosign's formats, and whether what lies beside an artifact is what was asked for.
//!
//! Evidence is read from a store ([`Evidence::read`]) and judged without one ([`judge`]), so that a gate of a copy can do
//! the same with what it was given. Nothing here asks a service: what certificates, logs and timestamps are worth is
//! what a trusted root says.

pub mod attestation;
mod base64;
mod dsse;
mod evidence;
mod files;
mod json;
mod judging;
pub mod key;
#[cfg(feature = "keyless")]
pub mod keyless;
mod requirement;
mod signing;
mod sigstore_bundle;
mod simple_signing;
mod statement;
mod verdict;

pub use self::{
    evidence::{Candidate, Evidence, Format, MAX_CONTENT, MAX_LAYERS, MAX_REFERRERS},
    files::{FileHashes, MAX_MESSAGE},
    judging::{MAX_CHECKS, judge},
    key::{PrivateKey, PublicKey},
    requirement::{Kind, LogEntry, Requirement, SignedName, Signer},
    signing::{BundleArtifact, Options, Signed, Written, bundle, sign, sign_beside, write_bundle},
    sigstore_bundle::MEDIA_TYPE as BUNDLE,
    statement::SIGNATURE,
    verdict::{Check, Rejected, SignedBy, Verdict, Verification, Verified},
};
