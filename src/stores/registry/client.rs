//! A client of one registry: what all its repositories share, and what is asked of the registry itself.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

use http::Method;

use super::{
    Repository,
    api::{
        chunked_upload,
        pages::{self, Pages},
        ranges::Ranges,
        referrers,
    },
    auth::scope::Scope,
    http::request::Request,
    options::Options,
    origins::{
        origin::{Origin, Protocol},
        quirks,
    },
    transport::Transport,
};
use crate::{
    error::{Error, Kind, Result},
    oci::{RegistryName, RepositoryName},
};

/// A client of one registry. Cloning gives another handle on the same connections, tokens and knowledge.
#[derive(Clone)]
pub struct Registry(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) name: RegistryName,
    pub(super) transport: Transport,
    /// By repository: whether the registry lists referrers by itself.
    pub(super) referrers: Mutex<HashMap<String, bool>>,
    locks: Mutex<referrers::Locks>,
    pub(super) max_body: chunked_upload::MaxBody,
    pub(super) ranges: Ranges,
    /// Held by the blob that is downloaded over several connections.
    pub(super) parallel_downloads: Arc<tokio::sync::Semaphore>,
    /// Whether the registry once refused a mount from the repository itself.
    pub(super) self_mount_refused: AtomicBool,
}

/// What a registry said when it was asked who we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Greeting {
    /// It did not ask: credentials, if any, were not looked at.
    Open,
    /// It asked, and took the answer.
    Authenticated,
}

impl Registry {
    /// A client of the registry `host[:port]`. Connects to nothing yet.
    ///
    /// Errors: not a host, unusable certificates or keys.
    pub fn new(registry: &str, options: &Options) -> Result<Self> {
        let origin = Origin::of_registry(registry, options.protocol)?;
        let name = registry.parse()?;
        Ok(Self(Arc::new(Inner {
            name,
            transport: Transport::new(origin, options.transport())?,
            referrers: Mutex::default(),
            locks: Mutex::default(),
            max_body: chunked_upload::MaxBody::default(),
            // Whom a limit makes slow, more connections would only give a larger share of it.
            ranges: Ranges { streams: options.rate.as_ref().map_or(options.ranges.streams, |_| 1), ..options.ranges },
            parallel_downloads: Arc::new(tokio::sync::Semaphore::new(1)),
            self_mount_refused: AtomicBool::new(false),
        })))
    }

    /// Where the API is.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.0.transport.origin
    }

    /// A repository of this registry. Errors: a name outside the specification's grammar.
    pub fn repository(&self, name: &str) -> Result<Repository> {
        Ok(Repository { registry: self.clone(), name: name.parse()?, writing: Arc::default(), uploads: Arc::default() })
    }

    /// Whether there is a registry that lets us in (distribution-spec, "Determining Support").
    ///
    /// Errors of kind `Unauthorized` and `Denied` when it does not, `NotARegistry` when something else answers.
    pub async fn ping(&self) -> Result<Greeting> {
        let transport = &self.0.transport;
        let request = Request::new(Method::GET, self.origin().url("/v2/")?);
        let response = transport.send(&request, &Scope::registry()).await?;
        let what = response.what();
        let html = response.media_type() == "text/html";
        match response.status.as_u16() {
            200 if !html => response.finish().await,
            200 | 404 => return Err(Error::new(Kind::NotARegistry, format!("{what}: this is not an OCI registry"))),
            _ => return Err(response.into_error().await),
        }
        Ok(if transport.was_challenged().await { Greeting::Authenticated } else { Greeting::Open })
    }

    /// The names of all repositories, sorted. The endpoint is Docker's and not part of the OCI specification: many
    /// public registries refuse it.
    pub async fn repositories(&self) -> Result<Vec<String>> {
        #[derive(serde::Deserialize)]
        struct Catalog {
            repositories: Option<Vec<String>>,
        }
        let mut url = self.origin().url("/v2/_catalog")?;
        url.set_query(Some(&format!("n={}", quirks::PAGE)));
        let transport = &self.0.transport;
        let scope = Scope::catalog();
        let request = Request::new(Method::GET, url).whole(pages::MAX_PAGE);
        let first = transport.send(&request, &scope).await?.expect(&[200]).await?;
        let mut names = std::collections::BTreeSet::new();
        let mut pages = Pages::of(transport, scope, first);
        while let Some(page) = pages.next().await? {
            let page: Catalog = page.read()?;
            let before = names.len();
            names.extend(
                page.repositories.unwrap_or_default().into_iter().filter(|name| name.parse::<RepositoryName>().is_ok()),
            );
            pages.count(names.len().saturating_sub(before), names.len())?;
        }
        Ok(names.into_iter().collect())
    }

    /// Whether `host[:port]` means this registry, however it is written.
    pub(super) fn is(&self, registry: &str) -> bool {
        let same = |protocol| Origin::of_registry(registry, protocol).is_ok_and(|origin| origin == *self.origin());
        same(if self.origin().is_secure() { Protocol::Https } else { Protocol::Http })
    }

    pub(super) fn referrers(&self) -> &Mutex<HashMap<String, bool>> {
        &self.0.referrers
    }

    pub(super) fn lock(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.0.locks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(name.to_owned()).or_default())
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registry({self})")
    }
}
