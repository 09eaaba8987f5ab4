//! in-toto statements: what an attestation says, and about what. A signature is a statement with nothing to say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json;
use crate::oci::Digest;

/// The type of statements that are written.
pub(super) const V1: &str = "https://in-toto.io/Statement/v1";
/// The type of statements before; cosign writes it for attestations.
pub(super) const V0_1: &str = "https://in-toto.io/Statement/v0.1";
/// The predicate type of a signature.
pub const SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";
/// Most subjects of a statement.
const MAX_SUBJECTS: usize = 64;

/// A statement.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Statement {
    #[serde(rename = "_type")]
    pub(super) statement_type: String,
    pub(super) subject: Vec<Subject>,
    pub(super) predicate_type: String,
    #[serde(default)]
    pub(super) predicate: Value,
}

/// What a statement is about.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Subject {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    pub(super) digest: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
}

impl Subject {
    /// The artifact with this digest.
    pub(super) fn of(digest: &Digest, annotations: BTreeMap<String, String>) -> Self {
        let digest = BTreeMap::from([(digest.algorithm().name().to_owned(), digest.hex())]);
        Self { name: None, digest, annotations }
    }

    fn is(&self, digest: &Digest) -> bool {
        self.digest.get(digest.algorithm().name()) == Some(&digest.hex())
    }
}

impl Statement {
    /// Reads a payload. Errors: what is wrong with it, for people.
    pub(super) fn read(payload: &[u8]) -> Result<Self, String> {
        let statement: Self = json::read(payload).map_err(|e| format!("the statement is malformed: {e}"))?;
        if ![V1, V0_1].contains(&statement.statement_type.as_str()) {
            return Err(format!("the statement has the unknown type `{}`", statement.statement_type));
        }
        if statement.subject.len() > MAX_SUBJECTS {
            return Err(format!("the statement has {} subjects; the limit is {MAX_SUBJECTS}", statement.subject.len()));
        }
        Ok(statement)
    }

    /// The subject with this digest.
    pub(super) fn about(&self, digest: &Digest) -> Result<&Subject, String> {
        let found = self.subject.iter().find(|subject| subject.is(digest));
        found.ok_or_else(|| "the statement is about another artifact".to_owned())
    }
}
