//! Headers of registries, for fuzzing.

use http::{HeaderMap, HeaderValue, header};

use super::{
    api::{pages::links, resume::parse_range},
    auth::challenge::{Challenge, best},
};

/// `WWW-Authenticate`; a challenge has a realm.
pub(crate) fn challenge(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(header::WWW_AUTHENTICATE, value);
        }
    }
    if let Some(Challenge::Bearer { realm, .. }) = best(&headers) {
        assert!(!realm.is_empty());
    }
}

/// `Link`; a target is a part of the header, and ends where it says.
pub(crate) fn link(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for (target, _) in links(text).unwrap_or_default() {
        assert!(text.contains(&format!("<{target}>")) && !target.contains('>'));
    }
}

/// `Content-Range`; what is read is what was written.
pub(crate) fn content_range(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some((first, last, total)) = parse_range(text, 100) {
        assert_eq!(parse_range(&format!("bytes {first}-{last}/{total}"), 0), Some((first, last, total)));
    }
}
