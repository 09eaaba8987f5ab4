//! A repository in an OCI registry, over the network (distribution-spec 1.1).
//!
//! Own transport, because of what it must refuse: credentials stay with the origin that they belong to, redirects are
//! judged one by one, and everything that is read has a limit. Nothing is taken from the environment.

mod api;
mod auth;
mod client;
mod hosts;
mod http;
mod mirrors;
mod net;
mod options;
mod origins;
mod transport;

use std::{
    fmt,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use ::http::Method;
use async_trait::async_trait;

pub use self::{
    api::ranges::Ranges,
    auth::{
        credential_files::AuthFiles,
        credentials::{Anonymous, Credential, Credentials},
    },
    client::{Greeting, Registry},
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
use self::{
    api::session::RegistrySession,
    auth::scope::{Access, Scope},
    http::{request::Request, response::Response},
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
    name: RepositoryName,
    /// Whether something was written: then tokens for writing are asked for at once.
    writing: Arc<Mutex<bool>>,
    /// What the registry has opened for us and is not over.
    uploads: Arc<api::upload::Uploads>,
}

impl Repository {
    /// The name of the repository, without the registry.
    #[must_use]
    pub fn name(&self) -> &RepositoryName {
        &self.name
    }

    /// The registry that it is in.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    fn origin(&self) -> &Origin {
        self.registry.origin()
    }

    /// A request about something in this repository. `tail` is made of parsed values only.
    fn request(&self, method: Method, tail: &str) -> Result<Request<'static>> {
        let url = self.origin().url(&format!("/v2/{}/{tail}", self.name))?;
        Ok(Request::new(method, url))
    }

    /// What a token must allow; once something was written, writing, so that one token serves for all.
    fn scope(&self, access: Access) -> Scope {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        *writing |= access == Access::Push;
        let access = if *writing { access.max(Access::Push) } else { access };
        Scope { repository: self.name.to_string(), access, from: None }
    }

    async fn send(&self, request: &Request<'_>, access: Access) -> Result<Response> {
        self.registry.0.transport.send(request, &self.scope(access)).await
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.name)
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
            name => self.describe(&name.to_string()).await,
        }
    }

    async fn fetch(&self, item: &Item, range: Range<u64>) -> Result<ByteStream> {
        self.read(item, range).await
    }

    async fn has(&self, items: &[Item]) -> Result<Vec<Presence>> {
        self.presences(items).await
    }

    fn names(&self) -> BoxStream<'_, Result<NamePage>> {
        self.list_tags().boxed()
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        self.list_referrers(subject).await
    }

    fn home(&self, _item: &Item) -> Option<Home> {
        Some(Home { registry: self.registry.0.name.clone(), repository: self.name.clone() })
    }
}

#[async_trait]
impl Store for Repository {
    fn abilities(&self) -> Abilities {
        Abilities { streams: true, deletes: true, refuses_incomplete: true, ..Abilities::default() }
    }

    fn intend(&self) {
        *self.writing.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    async fn begin(&self, intent: Intent) -> Result<Arc<dyn Session>> {
        self.intend();
        Ok(Arc::new(RegistrySession::begin(self.clone(), intent)))
    }
}
