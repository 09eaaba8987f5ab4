//! Parts of responses that several requests have in common.

use std::fmt::Display;

use crate::{
    error::{Code, Error, Kind, Result},
    oci::Digest,
    stores::registry::{http::response::Response, origins::redact::excerpt},
};

/// The digest of a manifest according to the registry (distribution-spec, "Pulling manifests").
const CONTENT_DIGEST: &str = "docker-content-digest";

/// The digest in the response. It is compared only with a digest of the same algorithm: registries answer requests by
/// sha512 with a sha256 header.
pub(super) fn said_digest(response: &Response, wanted: Option<&Digest>) -> Result<Option<Digest>> {
    let said: Option<Digest> = response.header(CONTENT_DIGEST).and_then(|text| text.parse().ok());
    match (&said, wanted) {
        (Some(said), Some(wanted)) if said.algorithm() == wanted.algorithm() && said != wanted => {
            Err(Error::mismatch(format!("{}: answered with {said} instead of {wanted}", response.what())))
        }
        _ => Ok(said),
    }
}

/// The error of a failed request for something named `name` in this place.
pub(super) async fn refused(response: Response, name: &str, place: &impl Display) -> Error {
    let error = response.into_error().await;
    if error.kind() != Kind::NotFound {
        return error;
    }
    let error = if name.parse::<Digest>().is_ok() { error } else { error.with_code(Code::NoSuchTag).with_name(name) };
    error.context(format!("`{}` is not in {place}", excerpt(name)))
}
