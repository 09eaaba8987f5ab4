//! One registry: state shared by all its repositories, and requests to the registry itself.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, atomic::AtomicBool},
};

use http::Method;
use tokio::sync::Semaphore;

use super::{max_body::MaxBody, pages::Pages, ranges::Ranges, referrer_lists::ReferrerLists};
use crate::{
    error::{Error, Facts, Kind, Result},
    oci::{RegistryName, RepositoryName},
    stores::registry::{
        auth::scope::Scope,
        http::request::Request,
        origins::origin::{Origin, Protocol},
        transport::Transport,
    },
};

/// The API of one registry, and knowledge about it.
pub(in crate::stores::registry) struct RegistryApi {
    pub(in crate::stores::registry) name: RegistryName,
    pub(super) transport: Transport,
    pub(super) referrer_lists: ReferrerLists,
    pub(super) max_body: MaxBody,
    pub(super) ranges: Ranges,
    /// Held by the blob that is being downloaded over several connections.
    pub(super) parallel_downloads: Arc<Semaphore>,
    /// The registry rejects mounting from the same repository.
    pub(super) self_mount_refused: AtomicBool,
    /// The registry failed to mount, even after retries.
    pub(super) mounting_fails: AtomicBool,
    /// The registry has answered a HEAD request for a manifest, so that its 404 can be believed.
    pub(super) head_works: AtomicBool,
}

/// How a registry answered a request for access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Greeting {
    /// It did not require credentials; any that exist were not checked.
    Open,
    /// It required credentials and accepted them.
    Authenticated,
}

impl RegistryApi {
    pub(in crate::stores::registry) fn new(name: RegistryName, transport: Transport, ranges: Ranges) -> Self {
        Self {
            name,
            transport,
            referrer_lists: ReferrerLists::default(),
            max_body: MaxBody::default(),
            ranges,
            parallel_downloads: Arc::new(Semaphore::new(1)),
            self_mount_refused: AtomicBool::new(false),
            mounting_fails: AtomicBool::new(false),
            head_works: AtomicBool::new(false),
        }
    }

    pub(in crate::stores::registry) fn origin(&self) -> &Origin {
        &self.transport.origin
    }

    /// Adds to a failure where it was.
    pub(in crate::stores::registry) fn located<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|e| e.with_facts(Facts { registry: Some(self.to_string()), ..Facts::default() }))
    }

    /// True if `host[:port]` is this registry, in any spelling.
    pub(super) fn is_named(&self, registry: &str) -> bool {
        let same = |protocol| Origin::of_registry(registry, protocol).is_ok_and(|origin| origin == *self.origin());
        same(if self.origin().is_secure() { Protocol::Https } else { Protocol::Http })
    }

    /// Checks that there is a registry and that it grants access (distribution-spec, "Determining Support").
    ///
    /// Errors: kind `Unauthorized` or `Denied` if it does not, `NotARegistry` if something else answers.
    pub(in crate::stores::registry) async fn ping(&self) -> Result<Greeting> {
        let transport = &self.transport;
        let request = Request::new(Method::GET, self.origin().at("/v2/")?);
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

    /// The names of all repositories, sorted. The endpoint is Docker's, not part of the OCI specification, and many
    /// public registries refuse it.
    pub(in crate::stores::registry) async fn repositories(&self) -> Result<Vec<String>> {
        #[derive(serde::Deserialize)]
        struct Catalog {
            repositories: Option<Vec<String>>,
        }
        let (transport, scope) = (&self.transport, Scope::catalog());
        let first = Pages::first(transport, &scope, self.origin().at("/v2/_catalog")?, None).await?;
        let mut names = BTreeSet::new();
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
}

impl fmt::Display for RegistryApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
