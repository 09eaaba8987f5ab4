//! A body that was read whole.

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::{
    error::{Error, Kind, Result},
    stores::registry::origins::redact::{excerpt, without_secrets},
};

/// A body that was read whole, fit to be understood.
pub(in crate::stores::registry) struct Document {
    /// What was asked, for messages.
    pub(in crate::stores::registry) what: String,
    /// Its media type.
    pub(in crate::stores::registry) media_type: String,
    /// All of it.
    pub(in crate::stores::registry) bytes: Bytes,
    /// What no message repeats.
    pub(super) secrets: Vec<String>,
}

impl Document {
    /// What it says. Errors: not the JSON that the specification asks for.
    pub(in crate::stores::registry) fn read<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.bytes).map_err(|error| {
            let first = self.excerpt(String::from_utf8_lossy(&self.bytes).lines().next().unwrap_or_default());
            let (what, media_type) = (&self.what, self.excerpt(&self.media_type));
            let shape = format!("line {} column {}", error.line(), error.column());
            let message =
                format!("{what}: answered with `{media_type}` that is not what a registry sends ({shape}): `{first}`");
            Error::new(Kind::NotARegistry, message)
        })
    }

    /// A part of it, fit for a message.
    pub(in crate::stores::registry) fn excerpt(&self, text: &str) -> String {
        excerpt(&without_secrets(text, &self.secrets))
    }
}
