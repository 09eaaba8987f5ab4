//! What it takes to open a store by its location: how registries are reached, who we are there, and what is configured.

use std::{
    collections::HashMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use super::Place;
use crate::{
    error::{Error, Kind, Result},
    fs::blocking,
    progress::Event,
    store::{ReadStore, Store},
    stores::{
        Archive, Layout, Memory,
        registry::{Credentials, Hosts, Mirror, Mirrored, Options, Registry, Repository},
    },
    types::{
        Catalog,
        plugin::{Plugins, Timeouts},
    },
};

/// Changes the options of a registry: what counts more than all configuration, as the flags of a command do.
pub type Amend = dyn Fn(&mut Options) -> Result<()> + Send + Sync;

/// How stores are opened and sources are packed. What it has opened shares connections and tokens; its fields are to be set
/// before. Cloning gives one that may be set otherwise, and that shares nothing with the first.
///
/// A new one knows nothing: no credentials, no certificate authorities, no proxies, no configuration, and the built-in
/// types only. `Context::from_environment` (feature `environment`) knows what other tools on this machine know.
#[non_exhaustive]
pub struct Context {
    /// What holds for all registries: who we are there, proxies, certificate authorities, limits, and who is told what
    /// happens, in all that is done.
    pub registry: Options,
    /// What is configured for single registries and repositories.
    pub hosts: HostFiles,
    /// What counts more than `registry` and `hosts`, but for mirrors, which have credentials of their own.
    pub amend: Option<Arc<Amend>>,
    /// How long another writer of an archive is waited for; not at all without it.
    pub patience: Option<Duration>,
    /// A directory for temporary files.
    pub scratch: PathBuf,
    /// Artifact types beyond the built-in ones.
    pub types: TypeFiles,
    /// The time that counts as now where something is dated, in seconds since 1970; without it, nothing is.
    pub now: Option<i64>,
    known_hosts: OnceLock<Hosts>,
    clients: Clients,
    plugins: OnceLock<Plugins>,
}

/// By registry, and by what is configured about the repository: many repositories share connections and tokens.
type Clients = Mutex<HashMap<(String, Vec<String>), Registry>>;

/// The files with what is configured for single registries: see [`Hosts::read`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFiles {
    /// Our own, in the form of `examples/hosts.yaml`.
    pub ours: Option<PathBuf>,
    /// Podman's `registries.conf` and what it consists of.
    pub podman: Vec<PathBuf>,
    /// Directories like `/etc/docker/certs.d`.
    pub certificates: Vec<PathBuf>,
}

/// Where artifact types come from, beyond the built-in ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TypeFiles {
    /// Directories of definitions: a later one wins over an earlier.
    pub directories: Vec<PathBuf>,
    /// Single definitions, which win over all.
    pub files: Vec<PathBuf>,
    /// Directories of programs `artifact-type-NAME`.
    pub programs: Vec<PathBuf>,
}

impl TypeFiles {
    /// All definitions. Errors: those of [`Catalog::load`] and [`Catalog::replace_file`].
    pub fn catalog(&self) -> Result<Catalog> {
        let mut catalog = Catalog::load(&self.directories)?;
        self.files.iter().try_for_each(|file| catalog.replace_file(file))?;
        Ok(catalog)
    }
}

impl Context {
    /// One that knows nothing but where temporary files go.
    pub fn new(scratch: impl Into<PathBuf>) -> Self {
        Self {
            registry: Options::default(),
            hosts: HostFiles::default(),
            amend: None,
            patience: None,
            scratch: scratch.into(),
            types: TypeFiles::default(),
            now: None,
            known_hosts: OnceLock::new(),
            clients: Clients::default(),
            plugins: OnceLock::new(),
        }
    }

    /// The programs that are types.
    pub fn plugins(&self) -> &Plugins {
        self.plugins.get_or_init(|| Plugins::new(self.types.programs.clone(), Timeouts::default()))
    }

    /// A client of this registry.
    pub fn client(&self, registry: &str) -> Result<Registry> {
        let mut options = self.known_hosts()?.options(registry, "", &self.registry)?;
        self.amended(&mut options)?;
        self.connect(registry, &options)
    }

    /// A client of this registry with these credentials, whatever else is known.
    pub fn client_with(&self, registry: &str, credentials: Arc<dyn Credentials>) -> Result<Registry> {
        let mut options = self.known_hosts()?.options(registry, "", &self.registry)?;
        self.amended(&mut options)?;
        self.connect(registry, &Options { credentials, ..options })
    }

    /// The store of this place, to be read: a repository where the configuration says that it is, and from its mirrors.
    ///
    /// Errors: kind `NotFound` when there is no such layout or archive; configuration that cannot be read.
    pub async fn read(&self, place: &Place) -> Result<Arc<dyn ReadStore>> {
        Ok(match place.clone() {
            Place::Registry { registry, repository } => self.source(&registry, &repository)?,
            Place::Layout(dir) => Arc::new(blocking(|| Layout::open(dir)).await?),
            Place::Archive(file) => Arc::new(blocking(|| Archive::open(file)).await?),
        })
    }

    /// The store of this place, to be written to; a layout is made when it is not there.
    pub async fn write(&self, place: &Place) -> Result<Arc<dyn Store>> {
        Ok(match place.clone() {
            Place::Registry { registry, repository } => {
                Arc::new(self.shared(&registry, &repository)?.repository(&repository)?)
            }
            Place::Layout(dir) => Arc::new(blocking(|| Layout::create(dir)).await?),
            Place::Archive(file) => {
                let archive = blocking(|| Archive::create(file)).await?;
                match self.patience {
                    Some(longest) => Arc::new(archive.waiting(longest, self.registry.progress.clone())),
                    None => Arc::new(archive),
                }
            }
        })
    }

    /// The store of this place, to be changed, which must be there.
    pub async fn write_existing(&self, place: &Place) -> Result<Arc<dyn Store>> {
        match place {
            Place::Layout(path) | Place::Archive(path) if !path.exists() => {
                Err(Error::not_found(format!("{place} does not exist")))
            }
            _ => self.write(place).await,
        }
    }

    /// The store of this place, as a dry run sees it: one that is not there lacks everything, and is not made.
    pub async fn write_nothing(&self, place: &Place) -> Result<Arc<dyn Store>> {
        match self.write_existing(place).await {
            Err(e) if e.kind() == Kind::NotFound => Ok(Arc::new(Memory::new())),
            other => other,
        }
    }

    fn known_hosts(&self) -> Result<&Hosts> {
        if let Some(known) = self.known_hosts.get() {
            return Ok(known);
        }
        let HostFiles { ours, podman, certificates } = &self.hosts;
        let read = Hosts::read(ours.as_deref(), podman, certificates.clone())?;
        Ok(self.known_hosts.get_or_init(|| read))
    }

    fn amended(&self, options: &mut Options) -> Result<()> {
        self.amend.as_ref().map_or(Ok(()), |amend| amend(options))
    }

    fn connect(&self, registry: &str, options: &Options) -> Result<Registry> {
        let client = Registry::new(registry, options)?;
        if options.insecure_tls && client.origin().is_secure() {
            self.registry.progress.tell(Event::Unverified(registry.to_owned()));
        }
        Ok(client)
    }

    /// A client of this registry, for this repository and others that are configured alike.
    fn shared(&self, registry: &str, repository: &str) -> Result<Registry> {
        let hosts = self.known_hosts()?;
        let key = (registry.to_owned(), hosts.rules(registry, repository));
        let known = self.clients.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(client) = known {
            return Ok(client);
        }
        let mut options = hosts.options(registry, repository, &self.registry)?;
        self.amended(&mut options)?;
        let client = self.connect(registry, &options)?;
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).insert(key, client.clone());
        Ok(client)
    }

    /// Where podman's configuration moves a repository to.
    fn moved(&self, registry: &str, repository: &str) -> Result<Option<Repository>> {
        let hosts = self.known_hosts()?;
        let Some((host, name)) = hosts.moved(registry, repository)? else { return Ok(None) };
        let insecure_tls = hosts.options(registry, repository, &self.registry)?.insecure_tls;
        let mut options = Options { insecure_tls, ..hosts.options(&host, &name, &self.registry)? };
        self.amended(&mut options)?;
        self.connect(&host, &options)?.repository(&name).map(Some)
    }

    /// A repository, to be read.
    fn source(&self, registry: &str, repository: &str) -> Result<Arc<dyn ReadStore>> {
        let origin = match self.moved(registry, repository)? {
            None => self.shared(registry, repository)?.repository(repository)?,
            Some(moved) => moved,
        };
        // The next one in turn is a better second attempt.
        let general = Options { retries: self.registry.retries.min(1), ..self.registry.clone() };
        let mut mirrors = Vec::new();
        for replica in self.known_hosts()?.replicas(registry, repository)? {
            let options = self.known_hosts()?.options_of(&replica, &general)?;
            let repository = self.connect(&replica.registry, &options)?.repository(&replica.repository)?;
            mirrors.push(Mirror { repository, names: replica.names });
        }
        Ok(if mirrors.is_empty() { Arc::new(origin) } else { Arc::new(Mirrored::new(mirrors, origin)) })
    }
}

impl Clone for Context {
    fn clone(&self) -> Self {
        Self {
            registry: self.registry.clone(),
            hosts: self.hosts.clone(),
            amend: self.amend.clone(),
            patience: self.patience,
            scratch: self.scratch.clone(),
            types: self.types.clone(),
            now: self.now,
            known_hosts: OnceLock::new(),
            clients: Clients::default(),
            plugins: OnceLock::new(),
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hosts, scratch, types, .. } = self;
        f.debug_struct("Context")
            .field("hosts", hosts)
            .field("scratch", scratch)
            .field("types", types)
            .finish_non_exhaustive()
    }
}
