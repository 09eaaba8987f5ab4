//! What a refusal means: by its status, and by what its body says.

use http::StatusCode;
use serde::Deserialize;

use crate::error::Kind;

/// What a caller can act on, by status (RFC 9110; distribution-spec "Error Codes").
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

/// Whether a registry refuses for good what has no status of its own: to move a tag (Amazon ECR says 400, Harbor 2 says
/// 412), or to store more than a quota allows.
pub(super) fn is_final(status: StatusCode, said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    matches!(status.as_u16(), 400 | 405 | 409 | 412 | 413) && (said.contains("immutable") || said.contains("quota"))
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

/// What a body says: the errors of the specification's JSON, else its first line that is not markup.
pub(super) fn said(body: &[u8]) -> String {
    if let Ok(Errors { errors }) = serde_json::from_slice(body) {
        let each = |f: Fault| [f.code, f.message].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(": ");
        return errors.into_iter().take(5).map(each).collect::<Vec<_>>().join("; ");
    }
    let text = String::from_utf8_lossy(body);
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_found() {
        assert_eq!(said(br#"{"errors":[{"code":"DENIED","message":"no"},{"message":"x"}]}"#), "DENIED: no; x");
        assert_eq!(said(b"\n  404 page not found\nmore"), "404 page not found");
        assert_eq!(said(b""), "");
    }
}
