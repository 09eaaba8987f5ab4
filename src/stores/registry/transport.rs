//! The only place where a request is sent: authentication, redirects, timeouts.

use std::sync::Arc;

use http::{Method, StatusCode, header};
use url::Url;

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
        address_scope::NearestScope,
        origin::{Origin, host_trust, redacted},
    },
};
use crate::error::{Error, Kind, Result};

/// Most redirects of one request.
const MAX_REDIRECTS: usize = 5;
/// Longest `Location`, in bytes.
const MAX_LOCATION: usize = 8 << 10;

/// How one registry is spoken to. `Options` explains the fields.
pub(super) struct Settings {
    pub(super) credentials: Arc<dyn Credentials>,
    pub(super) trusted: Vec<String>,
    pub(super) http: HttpSettings,
    pub(super) net: NetSettings,
}

/// One registry: its connections, what it asked us to prove, and the rules about where else it may send us.
pub(super) struct Transport {
    /// Where its API is.
    pub(super) origin: Origin,
    client: HttpClient,
    auth: Authenticator,
    trusted: Vec<String>,
    nearest: NearestScope,
}

impl Transport {
    /// Errors: certificates and keys that cannot be used, a user agent that no header can hold.
    pub(super) fn new(origin: Origin, settings: Settings) -> Result<Self> {
        let Settings { credentials, trusted, http, net } = settings;
        let auth = Authenticator::new(origin.clone(), credentials, trusted.clone());
        let nearest = NearestScope::default();
        origin.address().into_iter().for_each(|ip| nearest.saw(ip));
        Ok(Self { client: HttpClient::new(http, &net, &nearest)?, auth, trusted, nearest, origin })
    }

    /// Sends a request until it is answered, with a token that allows this. Any answer is a success here, of whatever status, 401 included; redirects
    /// and what may pass (see [`super::http::retry`]) excepted.
    pub(super) async fn send(&self, request: &Request<'_>, scope: &Scope) -> Result<Response> {
        let mut attempts = self.client.attempts();
        loop {
            match self.attempt(request, scope).await {
                Ok(response) => return Ok(response),
                Err(failure) => attempts.again(failure).await?,
            }
        }
    }

    /// Something that is tried until it succeeds.
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

    /// Sends a request with what proof is known, and again with a new one when the registry asks for it: once with one
    /// that all requests share, and where such proofs have been taken before, once with one of its own.
    async fn send_authorized(&self, request: &Request<'_>, scope: &Scope) -> Result<Response, Failure> {
        let mut used = self.auth.known(&self.client, scope).await?;
        let mut response = self.follow_redirects(request, used.as_ref()).await?;
        for own in [false, true] {
            if response.status != StatusCode::UNAUTHORIZED || Origin::of(&response.url)? != self.origin {
                break;
            }
            let need = if own { Need::Own } else { Need::Other(used.as_ref()) };
            if own && !self.auth.has_accepted() {
                break;
            }
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

    /// Whether the registry has asked for a proof since we know it.
    pub(super) async fn was_challenged(&self) -> bool {
        self.auth.was_challenged().await
    }

    /// Follows redirects: those of GET and HEAD anywhere the rules allow, 307 and 308 of the others at home only. Whom
    /// we ask without a secret does not choose what is asked with one: once elsewhere, nothing is attached any more.
    async fn follow_redirects(
        &self,
        request: &Request<'_>,
        credential: Option<&Credential>,
    ) -> Result<Response, Failure> {
        let (mut url, mut authorization) =
            (request.url.clone(), credential.map(Credential::authorization_header).transpose()?);
        let (mut from, mut redirected) = (url.clone(), None::<(StatusCode, String)>);
        for _ in 0..=MAX_REDIRECTS {
            let to = Origin::of(&url)?;
            let host_trust = host_trust(&self.origin, &to, &self.trusted, &self.nearest)?;
            if let Some((status, place)) = redirected.take() {
                log::redirect(status, &from, &place, host_trust);
            }
            let response = self.client.exchange(host_trust, request, &url, authorization.as_ref()).await?;
            if !is_redirect(response.status) {
                return Ok(response);
            }
            authorization = authorization.filter(|_| to == self.origin);
            let next = location(&response)?;
            let reads = matches!(request.method, Method::GET | Method::HEAD);
            let keeps = matches!(response.status.as_u16(), 307 | 308) && Origin::of(&next)? == to;
            if !reads && !keeps {
                let message = format!("{}: {} to `{}`", response.what(), response.status, redacted(&next));
                return Err(Error::new(Kind::NotARegistry, message).into());
            }
            if to.is_secure() && !Origin::of(&next)?.is_secure() {
                return Err(Error::invalid(format!("{}: redirects https to http", response.what())).into());
            }
            redirected = Some((response.status, response.excerpt(&redacted(&next))));
            response.finish().await;
            from = std::mem::replace(&mut url, next);
        }
        Err(Error::limit(format!("{} {}: more than {MAX_REDIRECTS} redirects", request.method, redacted(&request.url)))
            .into())
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

impl Transport {
    /// Where an upload goes on. Errors: those of [`location`]; an answer from elsewhere that leads back to the registry,
    /// where the next request would have our credentials with it.
    pub(super) fn onward(&self, response: &Response) -> Result<Url> {
        let (next, at_home) = (location(response)?, |url| Origin::of(url).is_ok_and(|origin| origin == self.origin));
        if at_home(&next) && !at_home(&response.url) {
            let message = format!("{}: leads back to {}", response.what(), self.origin);
            return Err(Error::new(Kind::NotARegistry, message));
        }
        Ok(next)
    }
}

/// The `Location` of an answer, made absolute. Errors: none, too long, not a URL that can be asked.
pub(super) fn location(response: &Response) -> Result<Url> {
    let bad = |why: &str| Error::new(Kind::NotARegistry, format!("{}: {why}", response.what()));
    let text = response.header(header::LOCATION).ok_or_else(|| bad("answered without a `Location`"))?;
    if text.is_empty() || text.len() > MAX_LOCATION {
        return Err(bad("answered with an unusable `Location`"));
    }
    let url = response.url.join(text).map_err(|_| bad("answered with a `Location` that is no URL"))?;
    Origin::of(&url).map_err(|e| e.context(response.what()))?;
    Ok(url)
}
