//! The only place where a request is sent: authentication, redirects, timeouts.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use tokio::time::Instant;
use url::Url;

use super::{
    Options,
    answer::Answer,
    auth::{Auth, Need, Scope},
    body::{Payload, Watch},
    connect::{self, Pool},
    credentials::Credential,
    origin::{Lane, Origin, lane, redacted},
    proxy::Proxies,
    rate::Rate,
    resolve::Reach,
    retry::{Lost, Retry, Step},
    route,
    tls::Tls,
};
use crate::error::{Error, Kind, Result};

/// Most redirects of one request.
const MAX_REDIRECTS: usize = 5;
/// Longest `Location`, in bytes.
const MAX_LOCATION: usize = 8 << 10;
/// Up to so many bytes of an answer are not large: the window of one request over HTTP/2.
pub(super) const LARGE_ANSWER: u64 = 1 << 20;
/// Up to so many bytes of a request are not large: what every server takes before it widens the window (RFC 9113 section
/// 6.9.2).
const LARGE_REQUEST: u64 = 64 << 10;
/// How many bytes of an upload a registry may take another second to store.
const BYTES_PER_SECOND: u64 = 16 << 20;

/// A request.
#[derive(Clone)]
pub(super) struct Ask<'a> {
    /// How.
    pub(super) method: Method,
    /// What.
    pub(super) url: Url,
    /// Everything but what this module adds.
    pub(super) headers: HeaderMap,
    /// The body.
    pub(super) payload: Payload<'a>,
    /// What a token must allow.
    pub(super) scope: Scope,
    /// Whether the body of a success is read at once, and how long it may be, in bytes: an answer that breaks off is
    /// then asked for again.
    pub(super) whole: Option<u64>,
    /// How long the answer is likely to be, in bytes.
    pub(super) expected: u64,
}

impl Ask<'_> {
    /// A request without headers and body.
    pub(super) fn new(method: Method, url: Url, scope: Scope) -> Self {
        Self { method, url, headers: HeaderMap::new(), payload: Payload::Empty, scope, whole: None, expected: 0 }
    }

    /// With this header.
    pub(super) fn with(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// With an answer of this length.
    pub(super) fn expecting(mut self, bytes: u64) -> Self {
        self.expected = bytes;
        self
    }

    fn is_large(&self) -> bool {
        self.payload.len() > LARGE_REQUEST || self.expected > LARGE_ANSWER
    }

    /// With an answer that is read at once, up to so many bytes.
    pub(super) fn whole(mut self, limit: u64) -> Self {
        self.whole = Some(limit);
        self
    }
}

/// Connections, without a notion of who may see which secret.
pub(super) struct Wire {
    own: Pool,
    trusted: Pool,
    foreign: Pool,
    proxies: Proxies,
    user_agent: HeaderValue,
    header_timeout: Duration,
    read_timeout: Duration,
    rate: Option<Rate>,
    retry: Arc<Retry>,
    /// Who has answered at least once.
    known: Mutex<HashSet<Origin>>,
}

impl Wire {
    fn new(options: &Options, reach: &Reach) -> Result<Self> {
        let user_agent = HeaderValue::from_str(&options.user_agent)
            .map_err(|_| Error::invalid("a user agent that is not a header value"))?;
        let tls = Tls::new(options)?;
        Ok(Self {
            own: Pool::new(options, &tls, reach, Lane::Own)?,
            trusted: Pool::new(options, &tls, reach, Lane::Trusted)?,
            foreign: Pool::new(options, &tls, reach, Lane::Foreign)?,
            proxies: options.proxies.clone(),
            user_agent,
            header_timeout: options.header_timeout,
            read_timeout: options.read_timeout,
            rate: options.rate.clone(),
            retry: Retry::new(options),
            known: Mutex::default(),
        })
    }

    /// Something that is tried until it succeeds.
    pub(super) fn step(&self) -> Step {
        self.retry.step()
    }

    /// One request, one answer; redirects are answers. The credential is attached if it belongs to that origin.
    pub(super) async fn exchange(
        &self,
        lane: Lane,
        ask: &Ask<'_>,
        url: &Url,
        credential: Option<&Credential>,
    ) -> Result<Answer, Lost> {
        let origin = Origin::of(url)?;
        let mut what = format!("{} {}", ask.method, redacted(url));
        let attached = credential.filter(|c| c.origin() == &origin);
        let mut request = self.request(ask, url, &what, attached)?;
        let proxy = self.proxies.of(&origin).map_err(|e| e.context(what.clone()))?;
        if let Some(proxy) = proxy {
            what = format!("{what} through the proxy `{proxy}`");
            // What goes through a tunnel is not read by the proxy, which was told when that was made.
            let login = proxy.login.as_ref().filter(|_| !origin.is_secure());
            request.headers_mut().extend(login.map(|login| (header::PROXY_AUTHORIZATION, login.clone())));
        }
        let (body, watch) = ask.payload.open(self.rate.as_ref()).await?;
        let pool = match lane {
            Lane::Own => &self.own,
            Lane::Trusted => &self.trusted,
            Lane::Foreign => &self.foreign,
        };
        tracing::debug!(method = %ask.method, url = redacted(url), "request");
        let sending = pool.request(&origin, request.map(|()| body), ask.is_large());
        let patience = self.header_timeout + Duration::from_secs(ask.payload.len() / BYTES_PER_SECOND);
        let response = match patiently(sending, &watch, patience).await {
            Some(Ok(response)) => response,
            Some(Err(error)) => {
                // Our own source has tried what it can.
                return Err(match watch.failure() {
                    Some(failure) => Lost::Final(failure),
                    None => {
                        let lost = connect::no_answer(&what, &origin, error, self.known().contains(&origin));
                        if proxy.is_some() { lost.through_proxy() } else { lost }
                    }
                });
            }
            None => {
                let message = format!("{what}: no answer within {} s", patience.as_secs());
                return Err(Lost::passing(Error::new(Kind::Unavailable, message)));
            }
        };
        // A registry that answers before it has read everything must not hide that our own source failed.
        if let Some(failure) = watch.failure() {
            return Err(Lost::Final(failure));
        }
        self.known().insert(origin);
        let (head, body) = response.into_parts();
        tracing::debug!(status = %head.status, url = redacted(url), "answer");
        check(&head.headers, &ask.method, &what)?;
        if let Some(proxy) = proxy.filter(|_| head.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED) {
            return Err(Lost::Final(route::unwelcome(proxy, &format!("{what}: "))));
        }
        let attached = attached.into_iter().flat_map(Credential::forms);
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            url: url.clone(),
            method: ask.method.clone(),
            sent: attached.chain(proxy.into_iter().flat_map(|proxy| proxy.secrets.clone())).collect(),
            patience: self.read_timeout,
            rate: self.rate.clone(),
            body: body.boxed(),
        })
    }

    fn known(&self) -> MutexGuard<'_, HashSet<Origin>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn request(&self, ask: &Ask<'_>, url: &Url, what: &str, credential: Option<&Credential>) -> Result<Request<()>> {
        let bad = |e: http::Error| Error::invalid(format!("{what}: {e}"));
        let mut plain = url.clone();
        plain.set_fragment(None);
        let mut request = Request::builder().method(ask.method.clone()).uri(plain.as_str()).body(()).map_err(bad)?;
        let headers = request.headers_mut();
        headers.extend(ask.headers.clone());
        headers.insert(header::USER_AGENT, self.user_agent.clone());
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if matches!(ask.method, Method::POST | Method::PUT | Method::PATCH) {
            headers.insert(header::CONTENT_LENGTH, ask.payload.len().into());
        }
        if let Some(credential) = credential {
            headers.insert(header::AUTHORIZATION, credential.header()?);
        }
        Ok(request)
    }
}

/// Errors: more headers than are read; two lengths, of which two readers would not take the same one (RFC 9112 section
/// 6.3).
fn check(headers: &HeaderMap, method: &Method, what: &str) -> Result<()> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if bytes > connect::MAX_HEADER_BYTES || headers.len() > connect::MAX_HEADERS {
        return Err(connect::too_many_headers(what));
    }
    let lengths = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
    if *method != Method::HEAD && lengths.iter().all(|name| headers.contains_key(name)) {
        return Err(Error::new(Kind::NotARegistry, format!("{what}: answered with a length and with chunks")));
    }
    Ok(())
}

/// Waits for an answer as long as the body moves, and then for `patience`; `None` when nothing came.
async fn patiently<T>(sending: impl Future<Output = T>, watch: &Arc<Watch>, patience: Duration) -> Option<T> {
    let mut sending = std::pin::pin!(sending);
    loop {
        let deadline = watch.moved() + patience;
        tokio::select! {
            answer = &mut sending => return Some(answer),
            () = tokio::time::sleep_until(deadline) => {
                if watch.moved() + patience <= Instant::now() {
                    return None;
                }
            }
        }
    }
}

/// One registry: its connections, what it asked us to prove, and the rules about where else it may send us.
pub(super) struct Transport {
    /// Where its API is.
    pub(super) origin: Origin,
    wire: Wire,
    auth: Auth,
    trusted: Vec<String>,
    reach: Reach,
}

impl Transport {
    pub(super) fn new(origin: Origin, options: &Options) -> Result<Self> {
        let auth = Auth::new(origin.clone(), Arc::clone(&options.credentials), options.trusted.clone());
        let reach = Reach::default();
        origin.address().into_iter().for_each(|ip| reach.saw(ip));
        Ok(Self { wire: Wire::new(options, &reach)?, auth, trusted: options.trusted.clone(), reach, origin })
    }

    /// Sends a request until it is answered. Any answer is a success here, of whatever status, 401 included; redirects
    /// and what may pass (see [`super::retry`]) excepted.
    pub(super) async fn send(&self, ask: &Ask<'_>) -> Result<Answer> {
        let mut step = self.wire.step();
        loop {
            match self.attempt(ask).await {
                Ok(answer) => return Ok(answer),
                Err(lost) => step.again(lost).await?,
            }
        }
    }

    /// Something that is tried until it succeeds.
    pub(super) fn step(&self) -> Step {
        self.wire.step()
    }

    /// Sends a request, once.
    pub(super) async fn attempt(&self, ask: &Ask<'_>) -> Result<Answer, Lost> {
        let answer = self.prove(ask).await?.judged().await?;
        match ask.whole {
            Some(limit) if answer.status.is_success() => answer.load(limit).await,
            _ => Ok(answer),
        }
    }

    /// Sends a request with what proof is known, and again with a new one when the registry asks for it: once with one
    /// that all requests share, and where such proofs have been taken before, once with one of its own.
    async fn prove(&self, ask: &Ask<'_>) -> Result<Answer, Lost> {
        let mut used = self.auth.known(&self.wire, &ask.scope).await?;
        let mut answer = self.follow(ask, used.as_ref()).await?;
        for own in [false, true] {
            if answer.status != StatusCode::UNAUTHORIZED || Origin::of(&answer.url)? != self.origin {
                break;
            }
            let need = if own { Need::Own } else { Need::Other(used.as_ref()) };
            if own && !self.auth.takes() {
                break;
            }
            let Some(new) = self.auth.answer(&self.wire, &answer.headers, &ask.scope, need).await? else { break };
            answer.finish().await;
            answer = self.follow(ask, Some(&new)).await?;
            used = Some(new);
        }
        if used.is_some() && answer.status != StatusCode::UNAUTHORIZED {
            self.auth.took();
        }
        Ok(answer)
    }

    /// Whether the registry has asked for a proof since we know it.
    pub(super) async fn was_challenged(&self) -> bool {
        self.auth.was_challenged().await
    }

    /// Follows redirects: those of GET and HEAD anywhere the rules allow, 307 and 308 of the others at home only. Whom
    /// we ask without a secret does not choose what is asked with one: once elsewhere, nothing is attached any more.
    async fn follow(&self, ask: &Ask<'_>, credential: Option<&Credential>) -> Result<Answer, Lost> {
        let (mut url, mut credential) = (ask.url.clone(), credential);
        for _ in 0..=MAX_REDIRECTS {
            let to = Origin::of(&url)?;
            let lane = lane(&self.origin, &to, &self.trusted, &self.reach)?;
            let answer = self.wire.exchange(lane, ask, &url, credential).await?;
            if !is_redirect(answer.status) {
                return Ok(answer);
            }
            credential = credential.filter(|_| to == self.origin);
            let next = location(&answer)?;
            let reads = matches!(ask.method, Method::GET | Method::HEAD);
            let keeps = matches!(answer.status.as_u16(), 307 | 308) && Origin::of(&next)? == to;
            if !reads && !keeps {
                let message = format!("{}: {} to `{}`", answer.what(), answer.status, redacted(&next));
                return Err(Error::new(Kind::NotARegistry, message).into());
            }
            if to.is_secure() && !Origin::of(&next)?.is_secure() {
                return Err(Error::invalid(format!("{}: redirects https to http", answer.what())).into());
            }
            answer.finish().await;
            url = next;
        }
        Err(Error::limit(format!("{} {}: more than {MAX_REDIRECTS} redirects", ask.method, redacted(&ask.url))).into())
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

impl Transport {
    /// Where an upload goes on. Errors: those of [`location`]; an answer from elsewhere that leads back to the registry,
    /// where the next request would have our credentials with it.
    pub(super) fn onward(&self, answer: &Answer) -> Result<Url> {
        let (next, at_home) = (location(answer)?, |url| Origin::of(url).is_ok_and(|origin| origin == self.origin));
        if at_home(&next) && !at_home(&answer.url) {
            let message = format!("{}: leads back to {}", answer.what(), self.origin);
            return Err(Error::new(Kind::NotARegistry, message));
        }
        Ok(next)
    }
}

/// The `Location` of an answer, made absolute. Errors: none, too long, not a URL that can be asked.
pub(super) fn location(answer: &Answer) -> Result<Url> {
    let bad = |why: &str| Error::new(Kind::NotARegistry, format!("{}: {why}", answer.what()));
    let text = answer.header(header::LOCATION).ok_or_else(|| bad("answered without a `Location`"))?;
    if text.is_empty() || text.len() > MAX_LOCATION {
        return Err(bad("answered with an unusable `Location`"));
    }
    let url = answer.url.join(text).map_err(|_| bad("answered with a `Location` that is no URL"))?;
    Origin::of(&url).map_err(|e| e.context(answer.what()))?;
    Ok(url)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use bytes::Bytes;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_the_limit_holds_back_does_not_stand_still() {
        let (rate, start) = (Rate::new(NonZeroU64::new(10).unwrap()), Instant::now());
        let payload = Payload::Bytes(Bytes::from_static(b"0123456789"));
        let (body, watch) = payload.open(Some(&rate)).await.unwrap();
        let sent = patiently(body.collect(), &watch, Duration::from_millis(50)).await;
        assert_eq!(sent.unwrap().unwrap().to_bytes(), "0123456789");
        assert_eq!(start.elapsed(), Duration::from_millis(900));
        let never = patiently(std::future::pending::<()>(), &watch, Duration::from_millis(50)).await;
        assert!(never.is_none());
    }
}
