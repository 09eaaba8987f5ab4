//! The only place where a request is sent: authentication, redirects, timeouts.

use std::sync::Arc;

use http::{Method, StatusCode, header};
use url::Url;

use super::{
    auth::{Auth, Need, credentials::Credential},
    http::{
        exchange::Wire,
        request::Ask,
        response::Answer,
        retry::{Lost, Step},
    },
    net::resolver::Reach,
    options::Options,
    origins::origin::{Origin, lane, redacted},
};
use crate::error::{Error, Kind, Result};

/// Most redirects of one request.
const MAX_REDIRECTS: usize = 5;
/// Longest `Location`, in bytes.
const MAX_LOCATION: usize = 8 << 10;

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
    /// and what may pass (see [`super::http::retry`]) excepted.
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
