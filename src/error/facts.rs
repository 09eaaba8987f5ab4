//! What an error is about.

use std::path::PathBuf;

use serde::Serialize;

use super::ServerCode;

/// What an error is about, as far as known. Text is unescaped, as the user or a server sent it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Facts {
    /// The registry, `host[:port]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// The repository with its registry: `host[:port]/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The given tag, type, parameter or part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The digest of the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The file or directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The status of an HTTP response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The error codes of the registry's response, such as `NAME_UNKNOWN`, in its order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub server_codes: Vec<ServerCode>,
    /// How many artifacts were to be copied with the one that failed, which ended all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub others: Option<usize>,
    /// The origin of the credentials: a file, a helper, the command line. Never a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<String>,
}

impl Facts {
    /// These facts; missing ones are taken from `other`.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            registry: self.registry.or(other.registry),
            repository: self.repository.or(other.repository),
            name: self.name.or(other.name),
            digest: self.digest.or(other.digest),
            path: self.path.or(other.path),
            status: self.status.or(other.status),
            server_codes: if self.server_codes.is_empty() { other.server_codes } else { self.server_codes },
            others: self.others.or(other.others),
            credentials: self.credentials.or(other.credentials),
        }
    }
}
