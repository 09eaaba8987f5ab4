//! A repository in an OCI registry, over the network (distribution-spec 1.1).
//!
//! The transport is our own because of its restrictions: credentials stay with their origin, every redirect is checked,
//! and everything that is read has a limit. Nothing is taken from the environment.
//!
//! Requests and responses are events of `tracing` with the target `artifact::registry`: with times, redirects, retries and
//! the source of the credentials, and without secrets. A subscriber shows them.
//!
//! The modules form a stack, in which each may use the ones before it: `origins`, `log`, `net`, `http`, `auth`,
//! `transport`, `api`. The public interface is on top: `options`, `hosts`, `client`, the repository as a store (in this
//! file), and `mirrors`.

mod api;
mod auth;
mod client;
#[cfg(feature = "fuzz")]
pub(crate) mod fuzz;
mod hosts;
mod http;
mod log;
mod mirrors;
mod net;
mod options;
mod origins;
mod transport;

use std::{fmt, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

use self::api::{repository::RepositoryApi, session::RegistrySession};
pub use self::{
    api::{ranges::Ranges, registry::Greeting},
    auth::{
        credential_files::AuthFiles,
        credentials::{Anonymous, Credential, Credentials},
    },
    client::Registry,
    hosts::{Hosts, MirrorLocation},
    http::{rate_limit::Rate, retry::Backoff, sent_secrets::SentSecrets},
    mirrors::{Mirror, Mirrored},
    net::{
        certificates::{ClientCertificate, SystemCertificates, SystemRoots, check_roots},
        dial::{Dial, Duplex},
        proxy::Proxies,
    },
    options::Options,
    origins::origin::{Origin, Protocol},
};
use crate::{
    blob::ByteStream,
    error::{Error, Result},
    oci::{Descriptor, MAX_MANIFEST, RepositoryName},
    store::{Abilities, Home, Intent, Item, Name, NamePage, Presence, ReadStore, Session, Store},
};
use futures_util::{StreamExt as _, stream::BoxStream};

/// One repository of a registry. A clone is another handle on the same repository.
#[derive(Clone)]
pub struct Repository {
    registry: Registry,
    api: RepositoryApi,
}

impl Registry {
    /// A repository of this registry. Errors: a name outside the grammar of the specification.
    pub fn repository(&self, name: &str) -> Result<Repository> {
        Ok(Repository { registry: self.clone(), api: RepositoryApi::new(Arc::clone(&self.0), name.parse()?) })
    }
}

impl Repository {
    /// The name of the repository, without the registry.
    #[must_use]
    pub fn name(&self) -> &RepositoryName {
        &self.api.name
    }

    /// The registry of the repository.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.api.fmt(f)
    }
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Repository({self})")
    }
}

#[async_trait]
impl ReadStore for Repository {
    async fn resolve(&self, name: &Name) -> Result<Descriptor> {
        match name {
            Name::Only => Err(Error::misuse(format!("{self} may have many artifacts: give a tag or a digest"))),
            Name::Prefix(prefix) => {
                Err(Error::misuse(format!("{self} requires a whole digest; {prefix} has only its first digits")))
            }
            name => self.api.located(self.api.describe(&name.to_string()).await),
        }
    }

    async fn manifest_at_once(&self, name: &Name) -> Result<Option<(Descriptor, Bytes)>> {
        match name {
            Name::Ref(_) | Name::Digest(_) => {
                self.api.located(self.api.describe_by_get(&name.to_string()).await).map(Some)
            }
            Name::Only | Name::Prefix(_) => Ok(None),
        }
    }

    async fn fetch(&self, item: &Item, range: Range<u64>) -> Result<ByteStream> {
        self.api.located(self.api.read(item, range).await)
    }

    async fn has(&self, items: &[Item]) -> Result<Vec<Presence>> {
        self.api.located(self.api.presences(items).await)
    }

    fn names(&self) -> BoxStream<'_, Result<NamePage>> {
        self.api.list_tags(None).map(|page| self.api.located(page)).boxed()
    }

    async fn list_names_after(&self, last: &str) -> Result<NamePage> {
        let pages = self.api.list_tags(Some(last.to_owned())).map(|page| self.api.located(page));
        let mut all = NamePage::all(pages).await?;
        // Registries compare bytes, or letters whatever their case; some take no notice of `last`.
        let comes_after = |name: &str| name > last || name.to_lowercase() > last.to_lowercase();
        all.names.retain(|name| comes_after(name));
        Ok(all)
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        self.api.located(self.api.list_referrers(subject).await)
    }

    fn home(&self, _item: &Item) -> Option<Home> {
        Some(Home { registry: self.registry.0.name.clone(), repository: self.api.name.clone() })
    }
}

#[async_trait]
impl Store for Repository {
    fn abilities(&self) -> Abilities {
        let largest_manifest = Some(MAX_MANIFEST);
        Abilities { streams: true, deletes: true, refuses_incomplete: true, largest_manifest, ..Abilities::default() }
    }

    fn intend(&self) {
        self.api.intend_writing();
    }

    async fn begin(&self, intent: Intent) -> Result<Arc<dyn Session>> {
        self.intend();
        Ok(Arc::new(RegistrySession::begin(self.api.clone(), intent)))
    }
}
