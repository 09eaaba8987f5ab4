//! The digest with which a registry answers.

use crate::{
    error::{Error, Result},
    oci::Digest,
    stores::registry::http::response::Response,
};

/// The digest of a manifest according to the registry (distribution-spec, "Pulling manifests").
const CONTENT_DIGEST: &str = "docker-content-digest";

/// The digest in the response. It is compared only with a digest of the same algorithm: registries answer requests by
/// sha512 with a sha256 header.
pub(super) fn checked_digest(response: &Response, wanted: Option<&Digest>) -> Result<Option<Digest>> {
    let said: Option<Digest> = response.header(CONTENT_DIGEST).and_then(|text| text.parse().ok());
    match (&said, wanted) {
        (Some(said), Some(wanted)) if said.algorithm() == wanted.algorithm() && said != wanted => {
            Err(Error::mismatch(format!("{}: answered with {said} instead of {wanted}", response.what())))
        }
        _ => Ok(said),
    }
}
