//! Requests to a token service (the token protocol of the distribution project's `token` specification).

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use serde::Deserialize;
use url::Url;

use super::{
    authorization::Authorization,
    credentials::{Credential, Secret},
};
use crate::{
    error::{Error, Kind, Result},
    stores::registry::{
        http::{
            exchange::HttpClient,
            failure::Failure,
            payload::Payload,
            request::{AuthorizationHeader, Request},
            response::Response,
        },
        origins::{
            address::Address,
            origin::{HostTrust, Origin},
        },
    },
};

/// Largest response of a token service, in bytes.
const MAX_TOKEN: u64 = 64 << 10;
/// Default lifetime of a token in seconds, by the token protocol.
const DEFAULT_LIFE: u64 = 60;
/// Our client ID at token services.
const CLIENT_ID: &str = "artifact";

/// The realm without scopes: the client decides which to request.
pub(super) fn without_scope(mut url: Url) -> Url {
    if url.query_pairs().any(|(name, _)| name == "scope") {
        let kept: Vec<_> = url.query_pairs().into_owned().filter(|(name, _)| name != "scope").collect();
        url.set_query(None);
        if !kept.is_empty() {
            url.query_pairs_mut().extend_pairs(kept);
        }
    }
    url
}

/// The response of a token service.
#[derive(Deserialize)]
pub(super) struct Token {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Token {
    /// The authorization for the registry, fetched with this login.
    pub(super) fn authorization(self, origin: &Origin, login: Option<&Credential>) -> Result<Authorization> {
        let life = Duration::from_secs(self.expires_in.unwrap_or(DEFAULT_LIFE).clamp(DEFAULT_LIFE, 1 << 32));
        let token = [self.token, self.access_token].into_iter().flatten().find(|token| !token.is_empty());
        let Some(token) = token else {
            return Err(Error::new(
                Kind::Unauthorized,
                format!("the token service of {origin} answered without a token"),
            ));
        };
        let credential = Credential::token(origin, token, login.and_then(Credential::shared_source));
        credential.header()?;
        Ok(Authorization { credential, until: Instant::now().checked_add(life) })
    }
}

/// The request for a token; a user name and password are sent in its header.
pub(super) fn fetch(realm: &Address, service: Option<&str>, scopes: &[String]) -> Request<'static> {
    let mut address = realm.clone();
    if service.is_some() || !scopes.is_empty() {
        let scopes = scopes.iter().map(|scope| ("scope", scope.as_str()));
        address.query_pairs_mut().extend_pairs(service.map(|service| ("service", service))).extend_pairs(scopes);
    }
    Request::new(Method::GET, address)
}

/// The request that exchanges an identity token for a token (RFC 6749 section 6).
pub(super) fn refresh(realm: &Address, service: Option<&str>, scopes: &[String], token: &str) -> Request<'static> {
    let scope = scopes.join(" ");
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "refresh_token")
        .append_pair("client_id", CLIENT_ID)
        .extend_pairs(service.map(|service| ("service", service)))
        .extend_pairs((!scope.is_empty()).then_some(("scope", &scope)))
        .append_pair("refresh_token", token)
        .finish();
    let mut request = Request::new(Method::POST, realm.clone())
        .with(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    request.payload = Payload::Bytes(Bytes::from(form));
    request
}

/// Queries the token service once.
async fn exchange(
    client: &HttpClient,
    host_trust: HostTrust,
    request: &Request<'_>,
    address: &Address,
    attached: Option<&AuthorizationHeader>,
    login: Option<&Credential>,
) -> Result<Response, Failure> {
    let forms = login.into_iter().flat_map(Credential::forms).collect::<Vec<_>>();
    client.sent.add(&forms);
    let mut response = client.exchange(host_trust, request, address, attached).await?;
    // An identity token is sent in the body, and must be kept out of messages like secrets in headers.
    response.sent.extend(forms);
    response.credentials = login.and_then(Credential::shared_source);
    let response = response.judged().await?;
    if response.status.is_success() { response.read_whole(MAX_TOKEN).await } else { Ok(response) }
}

/// Queries the token service. A redirect is an error: it would forward the secret, and no service needs it.
pub(super) async fn request(
    client: &HttpClient,
    host_trust: HostTrust,
    mut request: Request<'_>,
    login: Option<&Credential>,
) -> Result<Token> {
    request.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let address = request.address.clone();
    let password = login.filter(|login| matches!(login.secret(), Secret::Password(..)));
    let attached = password.map(Credential::authorization_header).transpose()?;
    let mut attempts = client.attempts();
    let response = loop {
        match exchange(client, host_trust, &request, &address, attached.as_ref(), login).await {
            Ok(response) => break response.expect(&[200]).await?,
            Err(failure) => attempts.again(failure).await?,
        }
    };
    let what = response.what();
    // Neither the body nor the parser's message is shown: both may contain the token.
    serde_json::from_slice(&response.bytes(MAX_TOKEN).await?)
        .map_err(|_| Error::new(Kind::NotARegistry, format!("{what}: answered without a valid token")))
}
