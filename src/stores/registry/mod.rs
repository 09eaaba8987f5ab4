//! A repository in an OCI registry, over the network (distribution-spec 1.1).
//!
//! Own transport, because of what it must refuse: credentials stay with the origin that they belong to, redirects are
//! judged one by one, and everything that is read has a limit. Nothing is taken from the environment.
//!
//! What it asks and is answered are events of `tracing` with the target `artifact::registry`: with times, redirects, retries,
//! and where credentials were found, and without a secret. Who wants to see them installs a subscriber.
//!
//! The modules are a stack. Each may use those in front of it: `origins`, `log`, `net`, `http`, `auth`, `transport`, `api`. On
//! top is what users see: `options`, `hosts`, `client`, the repository as a store, which is here, and `mirrors`.

mod api;
mod auth;
mod client;
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

use self::api::{repository::RepositoryApi, session::RegistrySession};
pub use self::{
    api::{ranges::Ranges, registry::Greeting},
    auth::{
        credential_files::AuthFiles,
        credentials::{Anonymous, Credential, Credentials},
    },
    client::Registry,
    hosts::{Hosts, MirrorLocation},
    http::{rate_limit::Rate, retry::Backoff},
    mirrors::{Mirror, Mirrored},
    net::{
        certificates::{ClientCertificate, SystemRoots, check_roots},
        dial::{Dial, Duplex},
        proxy::Proxies,
    },
    options::Options,
    origins::origin::{Origin, Protocol},
};
use crate::{
    blob::ByteStream,
    error::{Error, Result},
    oci::{Descriptor, RepositoryName},
    store::{Abilities, Home, Intent, Item, Name, NamePage, Presence, ReadStore, Session, Store},
};
use futures_util::{StreamExt as _, stream::BoxStream};

/// One repository of a registry. Cloning gives another handle on the same repository.
#[derive(Clone)]
pub struct Repository {
    registry: Registry,
    api: RepositoryApi,
}

impl Registry {
    /// A repository of this registry. Errors: a name outside the specification's grammar.
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

    /// The registry that it is in.
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
            Name::Only => {
                Err(Error::misuse(format!("{self} may hold many artifacts: a tag or a digest must be given")))
            }
            Name::Prefix(prefix) => {
                Err(Error::misuse(format!("{self} is asked by a whole digest; {prefix} is a part of one")))
            }
            name => self.api.located(self.api.describe(&name.to_string()).await),
        }
    }

    async fn fetch(&self, item: &Item, range: Range<u64>) -> Result<ByteStream> {
        self.api.located(self.api.read(item, range).await)
    }

    async fn has(&self, items: &[Item]) -> Result<Vec<Presence>> {
        self.api.located(self.api.presences(items).await)
    }

    fn names(&self) -> BoxStream<'_, Result<NamePage>> {
        self.api.list_tags().map(|page| self.api.located(page)).boxed()
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
        Abilities { streams: true, deletes: true, refuses_incomplete: true, ..Abilities::default() }
    }

    fn intend(&self) {
        self.api.intend_writing();
    }

    async fn begin(&self, intent: Intent) -> Result<Arc<dyn Session>> {
        self.intend();
        Ok(Arc::new(RegistrySession::begin(self.api.clone(), intent)))
    }
}
