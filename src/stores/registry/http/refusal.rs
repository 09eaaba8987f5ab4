//! The meaning of refusals, from their status and body.

use http::{Method, StatusCode};
use serde::Deserialize;

use crate::error::{Code, Kind, ServerCode};

/// The codes for missing content of a manifest: the specification's, and others in use.
const CONTENT_UNKNOWN: [ServerCode; 3] =
    [ServerCode::ManifestBlobUnknown, ServerCode::BlobUnknown, ServerCode::ManifestUnknown];
/// How many errors of one response are read.
const MAX_FAULTS: usize = 5;

/// The kind of failure, by status (RFC 9110; distribution-spec "Error Codes").
pub(super) fn kind_of(status: StatusCode) -> Kind {
    match status.as_u16() {
        401 => Kind::Unauthorized,
        403 => Kind::Denied,
        404 | 410 => Kind::NotFound,
        405 | 501 => Kind::Unsupported,
        413 => Kind::Limit,
        408 | 425 | 429 | 499 | 500.. => Kind::Unavailable,
        400 | 402 | 406..=424 | 426..=428 | 430..=498 => Kind::Invalid,
        _ => Kind::NotARegistry,
    }
}

/// True for a permanent refusal without a status of its own: moving an immutable tag (Amazon ECR answers 400, Harbor 2
/// answers 412), or exceeding a quota.
pub(super) fn is_final(status: StatusCode, said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    matches!(status.as_u16(), 400 | 405 | 409 | 412 | 413 | 507)
        && (said.contains("immutable") || said.contains("quota"))
}

/// The code for a refusal, by status and by the codes of the specification's JSON. Refusals in plain words are left to
/// human readers.
pub(super) fn code_of(method: &Method, status: StatusCode, said: &Said, secure: bool) -> Option<Code> {
    match status.as_u16() {
        400 | 404 | 422 if method == Method::PUT && CONTENT_UNKNOWN.iter().any(|code| said.codes.contains(code)) => {
            Some(Code::ContentMissing)
        }
        405 => Some(Code::MethodRefused),
        507 => Some(Code::RegistryFull),
        400 | 409 | 412 | 413 if said.codes.contains(&ServerCode::TagImmutable) => Some(Code::TagImmutable),
        400 | 409 | 412 | 413 if said.codes.contains(&ServerCode::QuotaExceeded) => Some(Code::RegistryFull),
        // HTTPS servers answer so to plain HTTP; registries would answer with JSON.
        400 if !secure && !said.is_json => Some(Code::HttpsExpected),
        400 | 409 | 412 | 413 if is_final(status, &said.text) => Some(Code::RefusedForGood),
        _ => None,
    }
}

/// The content of a refusal.
pub(super) struct Said {
    /// Its text.
    pub(super) text: String,
    /// Its error codes.
    pub(super) codes: Vec<ServerCode>,
    /// True if it is the JSON of the specification.
    is_json: bool,
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// Parses a body: the errors of the specification's JSON, else its first line that is not markup.
pub(super) fn said(body: &[u8]) -> Said {
    if let Ok(Errors { errors }) = serde_json::from_slice(body) {
        let first = || errors.iter().take(MAX_FAULTS);
        let each = |f: &Fault| {
            let parts = [f.code.as_str(), f.message.as_str()].into_iter().filter(|s| !s.is_empty());
            parts.collect::<Vec<_>>().join(": ")
        };
        let text = first().map(each).collect::<Vec<_>>().join("; ");
        return Said { text, codes: first().map(|f| f.code.as_str().into()).collect(), is_json: true };
    }
    let text = String::from_utf8_lossy(body);
    let text = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned();
    Said { text, codes: Vec::new(), is_json: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_found() {
        let said = |body| said(body).text;
        assert_eq!(said(br#"{"errors":[{"code":"DENIED","message":"no"},{"message":"x"}]}"#), "DENIED: no; x");
        assert_eq!(said(b"\n  404 page not found\nmore"), "404 page not found");
        assert_eq!(said(b""), "");
    }

    #[test]
    fn a_code_comes_from_the_status_and_from_codes_and_never_from_words() {
        let code = |status: u16, body: &str, secure| {
            code_of(&Method::PUT, StatusCode::from_u16(status).unwrap(), &said(body.as_bytes()), secure)
        };
        let missing = r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}"#;
        assert_eq!(code(400, missing, false), Some(Code::ContentMissing));
        assert_eq!(code_of(&Method::GET, StatusCode::NOT_FOUND, &said(missing.as_bytes()), true), None);
        let immutable = r#"{"errors":[{"code":"TAG_IMMUTABLE"}]}"#;
        assert_eq!(code(409, immutable, true), Some(Code::TagImmutable));
        assert_eq!(code(403, immutable, true), None);
        assert_eq!(code(413, r#"{"errors":[{"code":"QUOTA_EXCEEDED"}]}"#, true), Some(Code::RegistryFull));
        assert_eq!(code(400, "", false), Some(Code::HttpsExpected));
        assert_eq!(code(400, "", true), None);
        assert_eq!(code(507, "", true), Some(Code::RegistryFull));
        for words in
            ["TAG_IMMUTABLE", "QUOTA_EXCEEDED", "immutable", "quota", "Client sent an HTTP request to an HTTPS server."]
        {
            let body = format!(r#"{{"errors":[{{"code":"X","message":"{words}"}}]}}"#);
            for status in [400, 403, 409, 412, 413] {
                let given = code(status, &body, false);
                assert!(matches!(given, None | Some(Code::RefusedForGood)), "{status} {words}: {given:?}");
            }
        }
    }
}
