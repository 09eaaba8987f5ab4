//! Entries of credential files and answers of helpers: the registries and repositories that they apply to, and their
//! content.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    credentials::{Credential, Secret},
    helper::Known,
};
use crate::{
    error::{Error, Kind, Result},
    stores::registry::origins::{origin::Origin, quirks, redact::excerpt},
};

/// The user name that marks an identity token in a helper's answer.
const TOKEN_USER: &str = "<token>";

/// The length of a key of `auths` or `credHelpers` if it applies to this repository; an empty repository is the
/// registry itself. Keys may have a scheme and, then, a path without meaning (docker's older form).
pub(super) fn matching(key: &str, origin: &Origin, repository: &str) -> Option<usize> {
    // A key with https was never meant for plain HTTP.
    let https = key.strip_prefix("https://").map(|bare| origin.is_secure().then_some(bare));
    let bare = https.unwrap_or_else(|| key.strip_prefix("http://"));
    let (host, path) = match (bare, key.split_once('/')) {
        (Some(bare), _) => (bare.split('/').next().unwrap_or(bare), ""),
        (None, Some((host, path))) => (host, path.trim_matches('/')),
        (None, None) => (key, ""),
    };
    if !is_host_of(host, origin) {
        return None;
    }
    let rest = repository.strip_prefix(path)?;
    (path.is_empty() || rest.is_empty() || rest.starts_with('/')).then_some(path.len())
}

fn is_host_of(host: &str, origin: &Origin) -> bool {
    let host = quirks::api_host(host).to_ascii_lowercase();
    let implied = if origin.is_secure() { ":443" } else { ":80" };
    host.strip_suffix(implied).unwrap_or(&host) == origin.authority()
}

/// Whether the server that a helper names is this registry's host, whatever its scheme, port and path.
fn is_same_host(server: &str, origin: &Origin) -> bool {
    let bare = server.split_once("://").map_or(server, |(_, rest)| rest);
    let authority = quirks::api_host(bare.split('/').next().unwrap_or(bare)).to_ascii_lowercase();
    let without_port = authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    without_port.map_or(authority.as_str(), |(host, _)| host) == origin.host()
}

/// The key of a registry in `auths`, which is also the server name for helpers; or of the repositories in it whose names
/// start with these parts.
pub(super) fn key_of(origin: &Origin, repositories: &str) -> String {
    let host = origin.authority();
    match (quirks::is_docker_hub(&host), repositories) {
        (true, "") => quirks::DOCKER_HUB_KEY.into(),
        (true, repositories) => format!("docker.io/{repositories}"),
        (false, "") => host,
        (false, repositories) => format!("{host}/{repositories}"),
    }
}

/// A helper's answer as a credential.
pub(super) fn from_helper(origin: &Origin, known: Known) -> Result<Credential> {
    // An answer for another host is an accident or an attack. Helpers leave out the port, and add a scheme.
    if !known.server.is_empty() && !is_same_host(&known.server, origin) {
        let message = format!("answered for `{}` instead of `{}`", excerpt(&known.server), key_of(origin, ""));
        return Err(Error::new(Kind::Unauthorized, message));
    }
    if known.username == TOKEN_USER {
        return Ok(Credential::identity_token(origin, known.secret));
    }
    Credential::password(origin, known.username, known.secret)
}

/// A credential in the form that helpers store.
pub(super) fn to_helper(credential: &Credential) -> Known {
    let server = key_of(credential.origin(), "");
    match credential.secret() {
        Secret::Password(user, password) => Known { server, username: user.clone(), secret: password.clone() },
        Secret::Identity(token) | Secret::Bearer(token) => {
            Known { server, username: TOKEN_USER.into(), secret: token.clone() }
        }
    }
}

/// Parses an entry of `auths`; `None` for the empty ones that docker writes if a helper stores the secret.
pub(super) fn from_entry(origin: &Origin, entry: &Value) -> Result<Option<Credential>> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(token) = text("registrytoken") {
        return Ok(Some(Credential::bearer(origin, token)));
    }
    if let Some(token) = text("identitytoken") {
        return Ok(Some(Credential::identity_token(origin, token)));
    }
    if let Some(auth) = text("auth") {
        let decoded = BASE64_STANDARD.decode(auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
        let (user, password) = pair.ok_or_else(|| Error::invalid(format!("malformed `auth` for {origin}")))?;
        return Credential::password(origin, user, password.trim_end_matches('\0')).map(Some);
    }
    match (text("username"), text("password")) {
        (Some(user), Some(password)) => Credential::password(origin, user, password).map(Some),
        _ => Ok(None),
    }
}

/// An entry of `auths`.
pub(super) fn to_entry(credential: &Credential) -> Value {
    match credential.secret() {
        Secret::Password(user, password) => {
            json!({ "auth": BASE64_STANDARD.encode(format!("{user}:{password}")) })
        }
        Secret::Identity(token) => json!({ "identitytoken": token }),
        Secret::Bearer(token) => json!({ "registrytoken": token }),
    }
}
