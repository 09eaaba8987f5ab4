//! Repositories in registries, as a context opens them: configured, with mirrors, over shared connections.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use super::{Context, HostFiles};
use crate::{
    error::{Error, Result},
    progress::Event,
    store::{ReadStore, Store},
    stores::registry::{Credentials, Hosts, Mirror, Mirrored, Options, Registry, Repository},
};

/// Changes the options of a registry after all configuration is applied, as the flags of a command do.
pub type Amend = dyn Fn(&mut Options) -> Result<()> + Send + Sync;

/// What a context has opened and read. A clone starts empty, since its context may be set differently.
#[derive(Default)]
pub(super) struct Clients {
    hosts: OnceLock<Hosts>,
    /// Clients by registry and by the configuration of the repository: many repositories share connections and tokens.
    made: Mutex<HashMap<(String, Vec<String>), Registry>>,
}

impl Clone for Clients {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Context {
    /// A client of this registry.
    pub fn client(&self, registry: &str) -> Result<Registry> {
        self.connect(registry, &self.options(registry, "")?)
    }

    /// A client of this registry with these credentials, overriding all others.
    pub fn client_with(&self, registry: &str, credentials: Arc<dyn Credentials>) -> Result<Registry> {
        self.connect(registry, &Options { credentials, ..self.options(registry, "")? })
    }

    /// Opens a repository for reading.
    pub(super) fn read_repository(&self, registry: &str, repository: &str) -> Result<Arc<dyn ReadStore>> {
        let origin = match self.moved(registry, repository)? {
            None => self.shared(registry, repository)?.repository(repository)?,
            Some(moved) => moved,
        };
        // The next mirror is a better second attempt.
        let general = Options { retries: self.registry.retries.min(1), ..self.general() };
        let mut mirrors = Vec::new();
        for replica in self.known_hosts()?.replicas(registry, repository)? {
            let options = self.known_hosts()?.options_of(&replica, &general)?;
            let repository = self.connect(&replica.registry, &options)?.repository(&replica.repository)?;
            mirrors.push(Mirror { repository, names: replica.names });
        }
        Ok(if mirrors.is_empty() { Arc::new(origin) } else { Arc::new(Mirrored::new(mirrors, origin)) })
    }

    /// Opens a repository for writing.
    pub(super) fn write_repository(&self, registry: &str, repository: &str) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(self.shared(registry, repository)?.repository(repository)?))
    }

    fn known_hosts(&self) -> Result<&Hosts> {
        if let Some(known) = self.clients.hosts.get() {
            return Ok(known);
        }
        let HostFiles { ours, podman, certificates } = &self.hosts;
        let read = Hosts::read(ours.as_deref(), podman, certificates.clone()).map_err(Error::of_configuration)?;
        Ok(self.clients.hosts.get_or_init(|| read))
    }

    /// The options for all registries.
    fn general(&self) -> Options {
        Options { progress: self.progress.clone(), ..self.registry.clone() }
    }

    /// The options for this repository, or for the registry if `repository` is empty.
    fn options(&self, registry: &str, repository: &str) -> Result<Options> {
        let mut options = self.known_hosts()?.options(registry, repository, &self.general())?;
        self.amended(&mut options)?;
        Ok(options)
    }

    fn amended(&self, options: &mut Options) -> Result<()> {
        self.amend.as_ref().map_or(Ok(()), |amend| amend(options))
    }

    fn connect(&self, registry: &str, options: &Options) -> Result<Registry> {
        let client = Registry::new(registry, options)?;
        if options.insecure_tls && client.origin().is_secure() {
            self.progress.tell(Event::Unverified(registry.to_owned()));
        }
        Ok(client)
    }

    /// A client of this registry, shared by repositories with the same configuration.
    fn shared(&self, registry: &str, repository: &str) -> Result<Registry> {
        let made = || self.clients.made.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (registry.to_owned(), self.known_hosts()?.rules(registry, repository));
        let known = made().get(&key).cloned();
        if let Some(client) = known {
            return Ok(client);
        }
        let client = self.connect(registry, &self.options(registry, repository)?)?;
        made().insert(key, client.clone());
        Ok(client)
    }

    /// The repository to which podman's configuration maps this one, if any.
    fn moved(&self, registry: &str, repository: &str) -> Result<Option<Repository>> {
        let hosts = self.known_hosts()?;
        let Some((host, name)) = hosts.moved(registry, repository)? else { return Ok(None) };
        let general = self.general();
        let insecure_tls = hosts.options(registry, repository, &general)?.insecure_tls;
        let mut options = Options { insecure_tls, ..hosts.options(&host, &name, &general)? };
        self.amended(&mut options)?;
        self.connect(&host, &options)?.repository(&name).map(Some)
    }
}
