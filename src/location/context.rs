//! What it takes to open a store by its location: how registries are reached, who we are there, and what is configured.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use super::Place;
#[cfg(feature = "registry")]
use super::registries::{Amend, Clients};
#[cfg(feature = "registry")]
use crate::stores::registry::Options;
#[cfg(feature = "types")]
use crate::types::plugin::{Plugins, Timeouts};
use crate::{
    error::{Error, Kind, Result},
    fs::blocking,
    progress::Observer,
    store::{ReadStore, Store},
    stores::{Archive, Layout, Memory},
};

/// How stores are opened and sources are packed. What it has opened shares connections and tokens; its fields are to be set
/// before. Cloning gives one that may be set otherwise, and that shares nothing with the first.
///
/// A new one knows nothing: no credentials, no certificate authorities, no proxies, no configuration, and the built-in
/// types only. `Context::from_environment` (feature `environment`) knows what other tools on this machine know.
#[derive(Clone)]
#[non_exhaustive]
pub struct Context {
    /// Who is told what happens, in all that is done.
    pub progress: Observer,
    /// What holds for all registries: who we are there, proxies, certificate authorities, limits. Its `progress` gives way
    /// to that of the context.
    #[cfg(feature = "registry")]
    pub registry: Options,
    /// What is configured for single registries and repositories.
    pub hosts: HostFiles,
    /// What counts more than `registry` and `hosts`, but for mirrors, which have credentials of their own.
    #[cfg(feature = "registry")]
    pub amend: Option<Arc<Amend>>,
    /// How long another writer of an archive is waited for; not at all without it.
    pub patience: Option<Duration>,
    /// A directory for temporary files.
    pub scratch: PathBuf,
    /// Artifact types beyond the built-in ones.
    pub types: TypeFiles,
    /// The time that counts as now where something is dated, in seconds since 1970; without it, nothing is.
    pub now: Option<i64>,
    #[cfg(feature = "registry")]
    pub(super) clients: Clients,
    #[cfg(feature = "types")]
    plugins: Programs,
}

/// The files with what is configured for single registries: see `stores::registry::Hosts::read`.
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

#[cfg(feature = "types")]
impl TypeFiles {
    /// All definitions. Errors: those of [`Catalog::load`] and [`Catalog::replace_file`].
    ///
    /// [`Catalog::load`]: crate::types::Catalog::load
    /// [`Catalog::replace_file`]: crate::types::Catalog::replace_file
    pub fn catalog(&self) -> Result<crate::types::Catalog> {
        let mut catalog = crate::types::Catalog::load(&self.directories)?;
        self.files.iter().try_for_each(|file| catalog.replace_file(file)).map_err(Error::of_configuration)?;
        Ok(catalog)
    }
}

/// The programs that are types, once they were looked for. A copy starts anew: its context may be set otherwise.
#[cfg(feature = "types")]
#[derive(Default)]
struct Programs(std::sync::OnceLock<Plugins>);

#[cfg(feature = "types")]
impl Clone for Programs {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Context {
    /// One that knows nothing but where temporary files go.
    pub fn new(scratch: impl Into<PathBuf>) -> Self {
        Self {
            progress: Observer::default(),
            #[cfg(feature = "registry")]
            registry: Options::default(),
            hosts: HostFiles::default(),
            #[cfg(feature = "registry")]
            amend: None,
            patience: None,
            scratch: scratch.into(),
            types: TypeFiles::default(),
            now: None,
            #[cfg(feature = "registry")]
            clients: Clients::default(),
            #[cfg(feature = "types")]
            plugins: Programs::default(),
        }
    }

    /// The programs that are types.
    #[cfg(feature = "types")]
    pub fn plugins(&self) -> &Plugins {
        self.plugins.0.get_or_init(|| Plugins::new(self.types.programs.clone(), Timeouts::default()))
    }

    /// The store of this place, to be read: a repository where the configuration says that it is, and from its mirrors.
    ///
    /// Errors: kind `NotFound` when there is no such layout or archive; configuration that cannot be read.
    pub async fn read(&self, place: &Place) -> Result<Arc<dyn ReadStore>> {
        Ok(match place.clone() {
            Place::Registry { registry, repository } => self.read_repository(&registry, &repository)?,
            Place::Layout(dir) => Arc::new(blocking(|| Layout::open(dir)).await?),
            Place::Archive(file) => Arc::new(blocking(|| Archive::open(file)).await?),
        })
    }

    /// The store of this place, to be written to; a layout is made when it is not there.
    pub async fn write(&self, place: &Place) -> Result<Arc<dyn Store>> {
        Ok(match place.clone() {
            Place::Registry { registry, repository } => self.write_repository(&registry, &repository)?,
            Place::Layout(dir) => Arc::new(blocking(|| Layout::create(dir)).await?),
            Place::Archive(file) => {
                let archive = blocking(|| Archive::create(file)).await?;
                match self.patience {
                    Some(longest) => Arc::new(archive.waiting(longest, self.progress.clone())),
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
