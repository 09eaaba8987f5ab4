//! Attestations: a signed statement about an artifact, in a sigstore bundle.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    json,
    key::PrivateKey,
    signing::BundleArtifact,
    statement::{Statement, Subject, V1},
};
use crate::{
    error::{Error, Result},
    oci::Descriptor,
};

/// Short names of predicate types, as cosign has them.
const TYPES: [(&str, &str); 9] = [
    ("slsaprovenance", "https://slsa.dev/provenance/v0.2"),
    ("slsaprovenance02", "https://slsa.dev/provenance/v0.2"),
    ("slsaprovenance1", "https://slsa.dev/provenance/v1"),
    ("link", "https://in-toto.io/Link/v1"),
    ("spdx", "https://spdx.dev/Document"),
    ("spdxjson", "https://spdx.dev/Document"),
    ("cyclonedx", "https://cyclonedx.org/bom"),
    ("vuln", "https://cosign.sigstore.dev/attestation/vuln/v1"),
    ("openvex", "https://openvex.dev/ns"),
];
/// The short name, and the type, of predicates that are wrapped.
const CUSTOM: (&str, &str) = ("custom", "https://cosign.sigstore.dev/attestation/v1");
/// Largest predicate or statement in bytes: with its base64, it fits into a bundle that is read.
pub const MAX_PREDICATE: u64 = 3 << 20;

/// The predicate type with this short name, or the URI itself.
///
/// Errors: kind `Misuse` for anything else.
pub fn predicate_type(text: &str) -> Result<String> {
    let known = TYPES.iter().chain([&CUSTOM]).find(|(short, _)| *short == text);
    match known {
        Some((_, uri)) => Ok((*uri).to_owned()),
        None if text.split_once(':').is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty()) => {
            Ok(text.to_owned())
        }
        None => {
            let known: Vec<&str> = TYPES.iter().chain([&CUSTOM]).map(|(short, _)| *short).collect();
            Err(Error::misuse(format!("`{text}` is no predicate type: expected a URI, or {}", known.join(", "))))
        }
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// What is said about an artifact.
#[derive(Debug, Clone)]
pub struct Predicate<'a> {
    /// A short name, or the URI of the type.
    pub type_name: &'a str,
    /// The predicate, as its file has it.
    pub content: &'a [u8],
    /// The date for predicates that have one (`custom`), in RFC 3339.
    pub now: &'a str,
    /// The name of the artifact, `registry/repository`, if it has one.
    pub name: Option<&'a str>,
}

/// A statement as it is written, with the predicate's own bytes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    #[serde(rename = "_type")]
    statement_type: &'static str,
    subject: [Subject; 1],
    predicate_type: &'a str,
    predicate: Box<RawValue>,
}

/// A signed attestation about this artifact.
///
/// The predicate's JSON goes in as it is; `custom` and `spdx` take any text, and wrap it as cosign does.
///
/// Errors: a predicate that is no JSON, has a key twice, or is larger than [`MAX_PREDICATE`]; kind `Misuse` for an unknown
/// type.
pub fn of_predicate(
    subject: &Descriptor,
    predicate: &Predicate<'_>,
    key: &PrivateKey,
    created: Option<&str>,
) -> Result<BundleArtifact> {
    check_size("predicate", predicate.content)?;
    let predicate_type = predicate_type(predicate.type_name)?;
    let text = std::str::from_utf8(predicate.content).map_err(|_| Error::invalid("the predicate is not UTF-8"))?;
    let wrapped = match predicate.type_name {
        "custom" => Some(serde_json::json!({"Data": text, "Timestamp": predicate.now}).to_string()),
        "spdx" => Some(serde_json::Value::from(text).to_string()),
        _ => None,
    };
    let raw = wrapped.unwrap_or_else(|| text.to_owned());
    json::read::<serde_json::Value>(raw.as_bytes())
        .map_err(|e| Error::invalid(format!("the predicate is malformed: {e}")))?;
    let raw = RawValue::from_string(raw).map_err(|e| Error::invalid(format!("the predicate is malformed: {e}")))?;
    let name = predicate.name.map(str::to_owned);
    let statement = Written {
        statement_type: V1,
        subject: [Subject { name, ..Subject::of(&subject.digest, Default::default()) }],
        predicate_type: &predicate_type,
        predicate: raw,
    };
    BundleArtifact::of(subject, &json::write(&statement)?, &predicate_type, key, created)
}

/// An attestation of a whole statement, signed as it is.
///
/// Errors: a malformed statement, one about another artifact, one that is larger than [`MAX_PREDICATE`].
pub fn of_statement(
    subject: &Descriptor,
    statement: &Bytes,
    key: &PrivateKey,
    created: Option<&str>,
) -> Result<BundleArtifact> {
    check_size("statement", statement)?;
    let read = Statement::read(statement).map_err(Error::invalid)?;
    read.about(&subject.digest).map_err(|why| Error::mismatch(format!("{why}, not about {}", subject.digest)))?;
    BundleArtifact::of(subject, statement, &read.predicate_type, key, created)
}

fn check_size(what: &str, content: &[u8]) -> Result<()> {
    if content.len() as u64 > MAX_PREDICATE {
        return Err(Error::limit(format!("the {what} has {} bytes; the limit is {MAX_PREDICATE}", content.len())));
    }
    Ok(())
}

/// The predicate of a statement, with its own bytes.
///
/// Errors: a malformed statement, or one without a predicate.
pub fn predicate_of(statement: &[u8]) -> Result<Bytes> {
    #[derive(serde::Deserialize)]
    struct Read {
        predicate: Box<RawValue>,
    }
    let read: Read =
        serde_json::from_slice(statement).map_err(|e| Error::invalid(format!("malformed statement: {e}")))?;
    Ok(Bytes::from(read.predicate.get().to_owned()))
}
