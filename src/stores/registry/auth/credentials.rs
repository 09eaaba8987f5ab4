//! Credentials: secrets bound to an origin, and their sources.

use std::sync::Arc;

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::HeaderValue;

use crate::{
    error::{Error, Kind, Result},
    stores::registry::{http::request::AuthorizationHeader, log::CredentialUse, origins::origin::Origin},
};

/// A secret for one origin. It is attached only to requests to exactly that scheme, host and port, and cannot be
/// printed.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "a secret has no text form")]
pub struct Credential {
    origin: Origin,
    secret: Arc<Secret>,
    from: Option<Arc<str>>,
    exposed: bool,
}

/// The secret itself.
pub(super) enum Secret {
    /// A user name and password.
    Password(String, String),
    /// A refresh token, exchanged for tokens at the registry's token service.
    Identity(String),
    /// A token sent to the registry unchanged.
    Bearer(String),
}

impl Secret {
    fn kind(&self) -> &'static str {
        match self {
            Self::Password(..) => "basic",
            Self::Identity(_) => "identity token",
            Self::Bearer(_) => "bearer",
        }
    }
}

impl Credential {
    /// A user name and password. Errors: a user name with a colon, which Basic authentication cannot represent.
    pub fn password(origin: &Origin, user: impl Into<String>, password: impl Into<String>) -> Result<Self> {
        let user = user.into();
        if user.contains(':') {
            return Err(Error::invalid("the user name contains a colon"));
        }
        Ok(Self::new(origin, Secret::Password(user, password.into())))
    }

    /// An identity token, also called a refresh token.
    #[must_use]
    pub fn identity_token(origin: &Origin, token: impl Into<String>) -> Self {
        Self::new(origin, Secret::Identity(token.into()))
    }

    /// A token sent to the registry unchanged.
    #[must_use]
    pub fn bearer(origin: &Origin, token: impl Into<String>) -> Self {
        Self::new(origin, Secret::Bearer(token.into()))
    }

    fn new(origin: &Origin, secret: Secret) -> Self {
        Self { origin: origin.clone(), secret: Arc::new(secret), from: Some(Arc::from("the program")), exposed: false }
    }

    /// A token that a service gave for the credential with this source; for none, it gives what everybody gets.
    pub(super) fn token(origin: &Origin, token: impl Into<String>, from: Option<Arc<str>>) -> Self {
        Self { from, ..Self::bearer(origin, token) }
    }

    /// Adds where the credential was found: a file, a helper, the command line. Errors and events show it.
    #[must_use]
    pub fn found_in(self, source: impl Into<Arc<str>>) -> Self {
        Self { from: Some(source.into()), ..self }
    }

    /// Records whether others can read the file that it was found in.
    pub(super) fn exposed(self, exposed: bool) -> Self {
        Self { exposed, ..self }
    }

    /// Whether users other than the owner can read the file that it was found in.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        self.exposed
    }

    /// Where it was found: `the program` where nobody said; nothing where a registry gives a token to everybody.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        self.from.as_deref()
    }

    pub(super) fn shared_source(&self) -> Option<Arc<str>> {
        self.from.clone()
    }

    /// What may be told of it.
    pub(super) fn credential_use(&self) -> CredentialUse<'_> {
        CredentialUse { kind: self.secret.kind(), from: self.source() }
    }

    /// The user's name, where it has one.
    pub(super) fn user(&self) -> Option<&str> {
        match self.secret() {
            Secret::Password(user, _) => Some(user),
            Secret::Identity(_) | Secret::Bearer(_) => None,
        }
    }

    /// The origin that this secret is for.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(super) fn secret(&self) -> &Secret {
        &self.secret
    }

    /// True for a token that is sent to the registry as it is.
    pub(super) fn is_token(&self) -> bool {
        matches!(self.secret(), Secret::Bearer(_))
    }

    /// True for this very secret, not an equal one.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.secret, &other.secret)
    }

    /// This secret, readdressed to the registry's token service. Only the realm rule of the authenticator may do this.
    pub(super) fn addressed_to(&self, origin: &Origin) -> Self {
        Self { origin: origin.clone(), ..self.clone() }
    }

    /// The authorization header for its origin. Errors: a token that is not a valid header value.
    pub(in crate::stores::registry) fn authorization_header(&self) -> Result<AuthorizationHeader> {
        let (origin, kind, from) = (self.origin.clone(), self.secret.kind(), self.from.clone());
        Ok(AuthorizationHeader { origin, value: self.header()?, secrets: self.forms(), kind, from })
    }

    /// The value of `Authorization`. Errors: a token that is not a valid header value.
    pub(super) fn header(&self) -> Result<HeaderValue> {
        let text = match self.secret() {
            Secret::Password(user, password) => format!("Basic {}", basic(user, password)),
            Secret::Identity(token) | Secret::Bearer(token) => format!("Bearer {token}"),
        };
        let unusable =
            |_| Error::new(Kind::Unauthorized, format!("the token for {} is not a valid header value", self.origin));
        let mut value = HeaderValue::from_str(&text).map_err(unusable)?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// This secret, in all encodings in which it is sent.
    pub(super) fn forms(&self) -> Vec<String> {
        match self.secret() {
            Secret::Password(user, password) => {
                let basic = basic(user, password);
                // Some servers omit the padding.
                vec![basic.trim_end_matches('=').to_owned(), basic, password.clone()]
            }
            Secret::Identity(token) | Secret::Bearer(token) => vec![token.clone()],
        }
    }
}

fn basic(user: &str, password: &str) -> String {
    BASE64_STANDARD.encode(format!("{user}:{password}"))
}

/// A source of credentials, queried only after a registry has demanded some.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// The credentials for this repository of the registry at this origin; an empty repository means the registry
    /// itself.
    async fn get(&self, origin: &Origin, repository: &str) -> Result<Option<Credential>>;
}

/// No credentials.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anonymous;

#[async_trait]
impl Credentials for Anonymous {
    async fn get(&self, _: &Origin, _: &str) -> Result<Option<Credential>> {
        Ok(None)
    }
}

/// A single credential, for its own origin only.
#[async_trait]
impl Credentials for Credential {
    async fn get(&self, origin: &Origin, _: &str) -> Result<Option<Credential>> {
        Ok((*origin == self.origin).then(|| self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::registry::{Protocol, origins::redact::without_secrets};

    #[test]
    fn a_secret_is_blotted_out_in_every_form() {
        let origin = Origin::of_registry("localhost:5000", Protocol::Auto).unwrap();
        let credential = Credential::password(&origin, "ann", "hunter2").unwrap();
        let echo = format!("you sent {:?} (hunter2)", credential.header().unwrap().to_str().unwrap());
        assert_eq!(without_secrets(&echo, &credential.forms()), "you sent \"Basic ***\" (***)");
        let unpadded = credential.header().unwrap().to_str().unwrap().trim_end_matches('=').to_owned();
        assert_eq!(without_secrets(&unpadded, &credential.forms()), "Basic ***");
        assert!(Credential::password(&origin, "a:b", "x").is_err());
        assert!(Credential::bearer(&origin, "a\r\nX: y").header().is_err());
    }
}
