//! Authentication: anonymous first, then as the registry's challenge demands (distribution-spec, "Authentication").

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::{HeaderMap, header};
use tokio::sync::Mutex;
use url::Url;

use super::{
    authorization::Authorization,
    challenge::{self, Challenge},
    credentials::{Credential, Credentials, Secret},
    scope::Scope,
    token::{fetch, refresh, request, without_scope},
};
use crate::{
    error::{Code, Context as _, Error, Kind, Result},
    stores::registry::{
        http::exchange::HttpClient,
        log,
        origins::{
            address::Address,
            origin::{self, HostTrust, Origin},
        },
    },
};

/// The challenges of one registry, and the credentials and tokens for it.
pub(in crate::stores::registry) struct Authenticator {
    origin: Origin,
    credentials: Arc<dyn Credentials>,
    trusted: Vec<String>,
    // Held while a token is fetched, so that concurrent requests fetch only one.
    state: Mutex<State>,
    /// True if the registry has accepted an authorization at least once.
    accepted: AtomicBool,
}

#[derive(Default)]
struct State {
    challenge: Option<Challenge>,
    authorizations: HashMap<String, Authorization>,
}

/// The authorization that a request needs.
#[derive(Clone, Copy)]
pub(in crate::stores::registry) enum Need<'a> {
    /// Any valid one.
    Any,
    /// Another one than this, which failed.
    Other(Option<&'a Credential>),
    /// One not used by another request: if a token is valid for a few requests only, others may have used it up.
    Own,
}

impl Authenticator {
    pub(in crate::stores::registry) fn new(
        origin: Origin,
        credentials: Arc<dyn Credentials>,
        trusted: Vec<String>,
    ) -> Self {
        Self { origin, credentials, trusted, state: Mutex::default(), accepted: AtomicBool::new(false) }
    }

    /// Records that the registry accepted an authorization.
    pub(in crate::stores::registry) fn note_accepted(&self) {
        self.accepted.store(true, Ordering::Relaxed);
    }

    /// True if it ever accepted one: a rejected authorization has then expired rather than never been valid.
    pub(in crate::stores::registry) fn has_accepted(&self) -> bool {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(in crate::stores::registry) async fn was_challenged(&self) -> bool {
        self.state.lock().await.challenge.is_some()
    }

    /// The authorization to attach before any response: none, until the registry has challenged once.
    pub(in crate::stores::registry) async fn known(
        &self,
        client: &HttpClient,
        scope: &Scope,
    ) -> Result<Option<Credential>> {
        let mut state = self.state.lock().await;
        match state.challenge.clone() {
            Some(challenge) => self.authorize(client, &mut state, &challenge, scope, Need::Any).await,
            None => Ok(None),
        }
    }

    /// The authorization to attach after a 401. `None` if there is no new one to try.
    ///
    /// Errors: an unsupported challenge, or one that would send credentials to an untrusted service; a token service
    /// that fails or refuses.
    pub(in crate::stores::registry) async fn response(
        &self,
        client: &HttpClient,
        headers: &HeaderMap,
        scope: &Scope,
        need: Need<'_>,
    ) -> Result<Option<Credential>> {
        let Some(challenge) = challenge::best(headers) else {
            if headers.contains_key(header::WWW_AUTHENTICATE) {
                let message = format!("{} requires an unsupported authentication scheme", self.origin);
                return Err(Error::new(Kind::Unauthorized, message));
            }
            return Ok(None);
        };
        let mut state = self.state.lock().await;
        state.challenge = Some(challenge.clone());
        self.authorize(client, &mut state, &challenge, scope, need).await
    }

    /// True if this authorization was refused, and the registry asks for a password instead of a token. Harbor does
    /// so for a token that is for no repository.
    pub(in crate::stores::registry) fn asks_for_password_instead(headers: &HeaderMap, used: &Credential) -> bool {
        used.is_token() && challenge::best(headers) == Some(Challenge::Basic)
    }

    /// A suitable authorization from the cache, else a new one.
    async fn authorize(
        &self,
        client: &HttpClient,
        state: &mut State,
        challenge: &Challenge,
        scope: &Scope,
        need: Need<'_>,
    ) -> Result<Option<Credential>> {
        let keys = match challenge {
            Challenge::Basic => vec![format!("basic {}", scope.repository)],
            Challenge::Bearer { .. } => scope.keys(),
        };
        let fresh = |authorization: &&Authorization| match need {
            Need::Any => authorization.is_good(),
            Need::Other(used) => authorization.is_good() && used.is_none_or(|used| !used.is(&authorization.credential)),
            Need::Own => false,
        };
        if let Some(authorization) = keys.iter().filter_map(|key| state.authorizations.get(key)).find(fresh) {
            return Ok(Some(authorization.credential.clone()));
        }
        let made = match challenge {
            Challenge::Basic if !takes_password(need) => None,
            Challenge::Basic => self.basic(scope).await?,
            Challenge::Bearer { realm, service, scope: asked } => {
                Some(self.token(client, realm, service.as_deref(), asked.as_deref(), scope).await?)
            }
        };
        let Some(authorization) = made else { return Ok(None) };
        let credential = authorization.credential.clone();
        if let Some(key) = keys.into_iter().next().filter(|_| !matches!(need, Need::Own)) {
            state.authorizations.insert(key, authorization);
        }
        Ok(Some(credential))
    }

    /// The credentials for this registry; those of another origin are rejected.
    async fn login(&self, scope: &Scope) -> Result<Option<Credential>> {
        let found = self.credentials.get(&self.origin, &scope.repository).await?;
        let found = found.filter(|credential| *credential.origin() == self.origin);
        let used = found.as_ref().map(|credential| (credential.credential_use(), credential.user()));
        log::credential(&self.origin, &scope.repository, used);
        Ok(found)
    }

    /// The authorization to send with every request. An identity token is not one: it is for a token service.
    async fn basic(&self, scope: &Scope) -> Result<Option<Authorization>> {
        let login = self.login(scope).await?;
        let usable = login.filter(|login| !matches!(login.secret(), Secret::Identity(_)));
        Ok(usable.map(|credential| Authorization { credential, until: None }))
    }

    /// Fetches a token, with credentials if there are any, else anonymously.
    async fn token(
        &self,
        client: &HttpClient,
        realm: &str,
        service: Option<&str>,
        asked: Option<&str>,
        scope: &Scope,
    ) -> Result<Authorization> {
        let login = self.login(scope).await?;
        if let Some(ready) = login.as_ref().filter(|login| matches!(login.secret(), Secret::Bearer(_))) {
            return Ok(Authorization { credential: ready.clone(), until: None });
        }
        let (host_trust, realm) = self.realm(realm, login.as_ref())?;
        let mut scopes = scope.names();
        // Our own scope, not the registry's, which could name another repository and more rights; but Amazon ECR and
        // others use their own wording, and then accept nothing else.
        if let Some(asked) = asked.filter(|asked| !asked.is_empty() && !asked.contains(':')) {
            scopes = vec![asked.to_owned()];
        }
        let at = realm.origin()?;
        let login = login.map(|login| login.addressed_to(&at));
        let fetched = match login.as_ref().map(|login| login.secret()) {
            Some(Secret::Identity(token)) => {
                request(client, host_trust, refresh(&realm, service, &scopes, token), login.as_ref()).await
            }
            _ => request(client, host_trust, fetch(&realm, service, &scopes), login.as_ref()).await,
        };
        let fetched = fetched.context(|| format!("get a token for {}", self.origin.authority()))?;
        log::token(&self.origin, &realm, &scopes, login.as_ref().map(Credential::credential_use));
        fetched.authorization(&self.origin, login.as_ref())
    }

    /// The token service's URL and its trust. Errors: a URL that is not trusted with these credentials for this registry.
    fn realm(&self, realm: &str, login: Option<&Credential>) -> Result<(HostTrust, Address)> {
        let refuse = |why: &str| Error::new(Kind::Unauthorized, format!("{} {why}", self.origin));
        let url = Url::parse(realm).map_err(|_| refuse("names a token service with an invalid URL"))?;
        // The registry may have been sent the login before, and repeat it here.
        let address = |url| Address::chosen(url, login.into_iter().flat_map(Credential::forms));
        let service = Origin::of(&url)?;
        let trust = match login {
            Some(_) => origin::realm(&self.origin, &service, &self.trusted),
            None => origin::anonymous_realm(&self.origin, &service, &self.trusted),
        };
        match trust {
            Some(host_trust) => Ok((host_trust, address(without_scope(url)))),
            None => {
                let address = address(url);
                let sent = if login.is_some() { "; credentials were not sent" } else { "" };
                let error = refuse(&format!("names an untrusted token service (`{address}`){sent}"));
                Err(error.with_code(Code::RealmNotTrusted))
            }
        }
    }
}

/// True if a password can meet this need: no password was refused before.
fn takes_password(need: Need<'_>) -> bool {
    match need {
        Need::Any => true,
        Need::Other(used) => used.is_none_or(Credential::is_token),
        Need::Own => false,
    }
}
