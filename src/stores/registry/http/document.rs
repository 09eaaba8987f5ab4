//! Bodies read as a whole.

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::{
    error::{Error, Kind, Result},
    oci::exact_keys,
    stores::registry::origins::redact::{excerpt, without_secrets},
};

/// A body read as a whole, ready to be parsed.
pub(in crate::stores::registry) struct Document {
    /// The request, for messages.
    pub(in crate::stores::registry) what: String,
    /// Its media type.
    pub(in crate::stores::registry) media_type: String,
    /// The whole body.
    pub(in crate::stores::registry) bytes: Bytes,
    /// Secrets to keep out of messages.
    pub(super) secrets: Vec<String>,
}

impl Document {
    /// Parses the body. Errors: not the JSON that the specification requires.
    pub(in crate::stores::registry) fn read<T: DeserializeOwned>(&self) -> Result<T> {
        exact_keys::from_slice(&self.bytes).map_err(|error| {
            let first = self.excerpt(String::from_utf8_lossy(&self.bytes).lines().next().unwrap_or_default());
            let (what, media_type) = (&self.what, self.excerpt(&self.media_type));
            let shape = format!("line {} column {}", error.line(), error.column());
            let message = format!("{what}: answered with unexpected `{media_type}` content ({shape}): `{first}`");
            Error::new(Kind::NotARegistry, message)
        })
    }

    /// A part of it, made safe for a message.
    pub(in crate::stores::registry) fn excerpt(&self, text: &str) -> String {
        excerpt(&without_secrets(text, &self.secrets))
    }
}
