//! A repository in an OCI registry, over the network (distribution-spec 1.1).
//!
//! Own transport, because of what it must refuse: credentials stay with the origin that they belong to, redirects are
//! judged one by one, and everything that is read has a limit. Nothing is taken from the environment.

mod answer;
mod auth;
mod blobs;
mod body;
mod certificates;
mod challenge;
mod config;
mod connect;
mod credentials;
mod dial;
mod download;
mod entries;
mod helper;
mod hosts;
mod mirrored;
mod origin;
mod pace;
mod pages;
mod pieces;
mod proxy;
mod publish;
mod quirks;
mod rate;
mod redact;
mod referrers;
mod refusal;
mod resolve;
mod resume;
mod retry;
mod retry_after;
mod route;
mod session;
mod site;
mod spread;
mod streamed;
mod tls;
mod token;
mod transport;
mod upload;
mod zone;

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    ops::Range,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use async_trait::async_trait;
use http::Method;

use self::{
    answer::Answer,
    auth::{Access, Scope},
    pages::Pages,
    session::Writing,
    transport::{Ask, Transport},
};
pub use self::{
    certificates::ClientCertificate,
    config::AuthFiles,
    credentials::{Anonymous, Credential, Credentials},
    dial::{Dial, Line},
    hosts::{Hosts, Replica},
    mirrored::{Mirror, Mirrored},
    origin::{Origin, Protocol},
    proxy::Proxies,
    rate::Rate,
    retry::Backoff,
    spread::Ranges,
    tls::SystemRoots,
};
use crate::{
    blob::ByteStream,
    error::{Error, Kind, Result},
    oci::{Descriptor, RegistryName, RepositoryName},
    progress::Observer,
    store::{Abilities, Home, Intent, Item, Name, NamePage, Presence, ReadStore, Session, Store},
};
use futures_util::{StreamExt as _, stream::BoxStream};

/// How a registry is spoken to.
#[derive(Clone)]
pub struct Options {
    /// http or https.
    pub protocol: Protocol,
    /// Certificates that are trusted: each item one in DER, or any number in PEM. Without these and `system_roots`,
    /// https fails.
    pub roots: Vec<Vec<u8>>,
    /// The authorities that the system trusts, which are trusted too.
    pub system_roots: Option<SystemRoots>,
    /// Takes every certificate of the registry and of what is in `trusted`.
    pub insecure_tls: bool,
    /// What is shown to the registry when it asks for a certificate.
    pub certificate: Option<ClientCertificate>,
    /// Who we say we are.
    pub credentials: Arc<dyn Credentials>,
    /// `host[:port]` of token services and storage that the registry may send us to although they are on another
    /// domain, or on a private network.
    pub trusted: Vec<String>,
    /// Through which proxies everything goes.
    pub proxies: Proxies,
    /// Names whose addresses are known without asking for them, in lower case: what `/etc/hosts` does for a system.
    pub addresses: HashMap<String, Vec<IpAddr>>,
    /// What opens the lines to the registry and to the hosts in `trusted`, in the place of TCP. What the registry sends
    /// us to elsewhere is reached over TCP even then.
    pub dial: Option<Arc<dyn Dial>>,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long an answer may take after the request was sent.
    pub header_timeout: Duration,
    /// How long the next bytes of an answer may take.
    pub read_timeout: Duration,
    /// How often a request is sent again that failed for a reason that may pass.
    pub retries: u32,
    /// How long is waited before.
    pub backoff: Backoff,
    /// How fast content and everything else in a body passes, up and down together with all clients that share it.
    pub rate: Option<Rate>,
    /// Who is told of every wait, every further attempt, and of what need not be fetched again.
    pub progress: Observer,
    /// When a blob is downloaded over several connections.
    pub ranges: Ranges,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            protocol: Protocol::Auto,
            roots: Vec::new(),
            system_roots: None,
            insecure_tls: false,
            certificate: None,
            credentials: Arc::new(Anonymous),
            trusted: Vec::new(),
            proxies: Proxies::default(),
            addresses: HashMap::new(),
            dial: None,
            user_agent: concat!("artifact/", env!("CARGO_PKG_VERSION")).into(),
            connect_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(60),
            read_timeout: Duration::from_secs(30),
            retries: 5,
            backoff: Backoff::default(),
            rate: None,
            progress: Observer::default(),
            ranges: Ranges::default(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

/// A client of one registry. Cloning gives another handle on the same connections, tokens and knowledge.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    name: RegistryName,
    transport: Transport,
    /// By repository: whether the registry lists referrers by itself.
    referrers: Mutex<HashMap<String, bool>>,
    locks: Mutex<referrers::Locks>,
    longest: pieces::Longest,
    ranges: Ranges,
    /// Held by the blob that is downloaded over several connections.
    spreading: Arc<tokio::sync::Semaphore>,
    /// Whether the registry once refused a mount from the repository itself.
    claimless: AtomicBool,
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
            transport: Transport::new(origin, options)?,
            referrers: Mutex::default(),
            locks: Mutex::default(),
            longest: pieces::Longest::default(),
            // Whom a limit makes slow, more connections would only give a larger share of it.
            ranges: Ranges { streams: options.rate.as_ref().map_or(options.ranges.streams, |_| 1), ..options.ranges },
            spreading: Arc::new(tokio::sync::Semaphore::new(1)),
            claimless: AtomicBool::new(false),
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
        let answer = transport.send(&Ask::new(Method::GET, self.origin().url("/v2/")?, Scope::registry())).await?;
        let what = answer.what();
        let html = answer.media_type() == "text/html";
        match answer.status.as_u16() {
            200 if !html => answer.finish().await,
            200 | 404 => return Err(Error::new(Kind::NotARegistry, format!("{what}: this is not an OCI registry"))),
            _ => return Err(answer.into_error().await),
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
        let first = transport
            .send(&Ask::new(Method::GET, url, scope.clone()).whole(pages::MAX_PAGE))
            .await?
            .expect(&[200])
            .await?;
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
    fn is(&self, registry: &str) -> bool {
        let same = |protocol| Origin::of_registry(registry, protocol).is_ok_and(|origin| origin == *self.origin());
        same(if self.origin().is_secure() { Protocol::Https } else { Protocol::Http })
    }

    fn referrers(&self) -> &Mutex<HashMap<String, bool>> {
        &self.0.referrers
    }

    fn lock(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
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

/// One repository of a registry. Cloning gives another handle on the same repository.
#[derive(Clone)]
pub struct Repository {
    registry: Registry,
    name: RepositoryName,
    /// Whether something was written: then tokens for writing are asked for at once.
    writing: Arc<Mutex<bool>>,
    /// What the registry has opened for us and is not over.
    uploads: Arc<upload::Uploads>,
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
    fn ask(&self, method: Method, tail: &str, access: Access) -> Result<Ask<'static>> {
        let url = self.origin().url(&format!("/v2/{}/{tail}", self.name))?;
        Ok(Ask::new(method, url, self.scope(access)))
    }

    /// What a token must allow; once something was written, writing, so that one token serves for all.
    fn scope(&self, access: Access) -> Scope {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        *writing |= access == Access::Push;
        let access = if *writing { access.max(Access::Push) } else { access };
        Scope { repository: self.name.to_string(), access, from: None }
    }

    async fn send(&self, ask: &Ask<'_>) -> Result<Answer> {
        self.registry.0.transport.send(ask).await
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
        Ok(Arc::new(Writing::begin(self.clone(), intent)))
    }
}
