//! The wording of what a registry lacks: a tag, a manifest, a blob.

use std::fmt::Display;

use crate::{
    error::{Code, Error, Kind},
    oci::Digest,
    stores::registry::{http::response::Response, origins::redact::excerpt},
};

/// The error of a failed request for something named `name` in this place.
pub(super) async fn not_in_repository(response: Response, name: &str, place: &impl Display) -> Error {
    let error = response.into_error().await;
    if error.kind() != Kind::NotFound {
        return error;
    }
    let error = if name.parse::<Digest>().is_ok() { error } else { error.with_code(Code::NoSuchTag).with_name(name) };
    error.context(format!("`{}` is not in {place}", excerpt(name)))
}
