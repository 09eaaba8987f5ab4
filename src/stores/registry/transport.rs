//! The only place where requests to a registry are sent: authentication, redirects, timeouts.

use std::sync::Arc;

use http::{Method, StatusCode, header};

use super::{
    auth::{
        authenticator::{Authenticator, Need},
        credentials::{Credential, Credentials},
        scope::Scope,
    },
    http::{
        exchange::HttpClient, failure::Failure, request::Request, response::Response, retry::Attempts,
        settings::HttpSettings,
    },
    log,
    net::settings::NetSettings,
    origins::{
        address::Address,
        address_scope::NearestScope,
        origin::{Origin, host_trust},
    },
};
use crate::error::{Context as _, Error, Kind, Result};

/// Most redirects of one request.
const MAX_REDIRECTS: usize = 5;
/// Longest `Location`, in bytes.
const MAX_LOCATION: usize = 8 << 10;

/// Settings for accessing one registry. See `Options` for the fields.
pub(super) struct Settings {
    pub(super) credentials: Arc<dyn Credentials>,
    pub(super) trusted: Vec<String>,
    pub(super) http: HttpSettings,
    pub(super) net: NetSettings,
}

/// One registry: its connections, its authentication, and the rules about other hosts that it may refer us to.
pub(super) struct Transport {
    /// The origin of its API.
    pub(super) origin: Origin,
    client: HttpClient,
    auth: Authenticator,
    trusted: Vec<String>,
    nearest: NearestScope,
}

impl Transport {
    /// Errors: unusable certificates and keys, an invalid user agent.
    pub(super) fn new(origin: Origin, settings: Settings) -> Result<Self> {
        let Settings { credentials, trusted, http, net } = settings;
        let auth = Authenticator::new(origin.clone(), credentials, trusted.clone());
        let nearest = NearestScope::default();
        origin.address().into_iter().for_each(|ip| nearest.saw(ip));
        Ok(Self { client: HttpClient::new(http, &net, &nearest)?, auth, trusted, nearest, origin })
    }

    /// Sends a request, with retries, and a token for this scope. A response of any status is a success, including 401,
    /// but except for redirects and temporary failures (see [`super::http::retry`]).
    pub(super) async fn send(&self, request: &Request<'_>, scope: &Scope) -> Result<Response> {
        let mut attempts = self.client.attempts();
        loop {
            match self.attempt(request, scope).await {
                Ok(response) => return Ok(response),
                Err(failure) => attempts.again(failure).await?,
            }
        }
    }

    /// Starts a series of attempts.
    pub(super) fn attempts(&self) -> Attempts {
        self.client.attempts()
    }

    /// Sends a request, once.
    pub(super) async fn attempt(&self, request: &Request<'_>, scope: &Scope) -> Result<Response, Failure> {
        let response = self.send_authorized(request, scope).await?.judged().await?;
        match request.whole {
            Some(limit) if response.status.is_success() => response.read_whole(limit).await,
            _ => Ok(response),
        }
    }

    /// Sends a request with the known authorization, and again with a new one if the registry demands it: once with one
    /// shared by all requests; then once with the password, if the registry wants that instead of the token, or, if
    /// authorizations were accepted before, with one of its own.
    async fn send_authorized(&self, request: &Request<'_>, scope: &Scope) -> Result<Response, Failure> {
        let mut used = self.auth.known(&self.client, scope).await?;
        let mut response = self.follow_redirects(request, used.as_ref()).await?;
        for again in [false, true] {
            if response.status != StatusCode::UNAUTHORIZED || response.address.origin()? != self.origin {
                break;
            }
            let instead = |used| Authenticator::asks_for_password_instead(&response.headers, used);
            let need = if !again || used.as_ref().is_some_and(instead) {
                Need::Other(used.as_ref())
            } else if self.auth.has_accepted() {
                Need::Own
            } else {
                break;
            };
            let Some(new) = self.auth.response(&self.client, &response.headers, scope, need).await? else {
                break;
            };
            response.finish().await;
            response = self.follow_redirects(request, Some(&new)).await?;
            used = Some(new);
        }
        if used.is_some() && response.status != StatusCode::UNAUTHORIZED {
            self.auth.note_accepted();
        }
        Ok(response)
    }

    /// True if the registry has demanded authentication so far.
    pub(super) async fn was_challenged(&self) -> bool {
        self.auth.was_challenged().await
    }

    /// Follows redirects: for GET and HEAD wherever the rules permit, 307 and 308 for other methods only within the
    /// registry. After a redirect to another host, no credentials are attached any more, not even back at the registry.
    async fn follow_redirects(
        &self,
        request: &Request<'_>,
        credential: Option<&Credential>,
    ) -> Result<Response, Failure> {
        let (mut address, mut authorization) =
            (request.address.clone(), credential.map(Credential::authorization_header).transpose()?);
        let (mut from, mut redirected) = (address.clone(), None::<StatusCode>);
        for _ in 0..=MAX_REDIRECTS {
            let to = address.origin()?;
            let host_trust = host_trust(&self.origin, &to, &self.trusted, &self.nearest)
                .context(|| format!("{} {address}", request.method))?;
            if let Some(status) = redirected.take() {
                log::redirect(status, &from, &address, host_trust);
            }
            let response = self.client.exchange(host_trust, request, &address, authorization.as_ref()).await?;
            if !is_redirect(response.status) {
                return Ok(response);
            }
            authorization = authorization.filter(|_| to == self.origin);
            let next = location(&response)?;
            let reads = matches!(request.method, Method::GET | Method::HEAD);
            let keeps = matches!(response.status.as_u16(), 307 | 308) && next.origin()? == to;
            if !reads && !keeps {
                let message = format!("{}: {} to `{next}`", response.what(), response.status);
                return Err(Error::new(Kind::NotARegistry, message).into());
            }
            if to.is_secure() && !next.origin()?.is_secure() {
                return Err(Error::invalid(format!("{}: redirects https to http", response.what())).into());
            }
            redirected = Some(response.status);
            response.finish().await;
            from = std::mem::replace(&mut address, next);
        }
        let message = format!("{} {}: more than {MAX_REDIRECTS} redirects", request.method, request.address);
        Err(Error::limit(message).into())
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

impl Transport {
    /// The address at which an upload continues. Errors: those of [`location`]; a response of another host that leads back
    /// to the registry, where the next request would carry our credentials.
    pub(super) fn onward(&self, response: &Response) -> Result<Address> {
        let (next, at_home) =
            (location(response)?, |address: &Address| address.origin().is_ok_and(|origin| origin == self.origin));
        if at_home(&next) && !at_home(&response.address) {
            let message = format!("{}: upload location leads back to {}", response.what(), self.origin);
            return Err(Error::new(Kind::NotARegistry, message));
        }
        Ok(next)
    }
}

/// The `Location` of a response, made absolute. Errors: missing, too long, or not a usable URL.
pub(super) fn location(response: &Response) -> Result<Address> {
    let bad = |why: &str| Error::new(Kind::NotARegistry, format!("{}: {why}", response.what()));
    let text = response.header(header::LOCATION).ok_or_else(|| bad("answered without a `Location`"))?;
    if text.is_empty() || text.len() > MAX_LOCATION {
        return Err(bad("answered with an unusable `Location`"));
    }
    let next = response.address.join(text, &response.sent);
    let next = next.map_err(|_| bad("answered with a `Location` that is not a URL"))?;
    next.origin().context(|| format!("{}: `Location`", response.what()))?;
    Ok(next)
}
