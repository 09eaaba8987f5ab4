//! The settings needed to open a store by its location: transport, credentials and configuration.

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
    progress::{Event, Observer},
    store::{ReadStore, Store},
    stores::{Archive, Decompression, Layout, Memory},
};

/// Settings for opening stores and packing sources. Stores opened by one context share connections and tokens; set its
/// fields before use. A clone can be set differently and shares nothing with the original.
///
/// A new context has no credentials, no certificate authorities, no proxies, no configuration, and only the built-in
/// types. `Context::from_environment` (feature `environment`) adds what other tools on this machine use.
#[derive(Clone)]
#[non_exhaustive]
pub struct Context {
    /// Receives progress events of all operations.
    pub progress: Observer,
    /// Settings for all registries: credentials, proxies, certificate authorities, limits. Its `progress` is overridden
    /// by that of the context.
    #[cfg(feature = "registry")]
    pub registry: Options,
    /// Configuration of single registries and repositories.
    pub hosts: HostFiles,
    /// Overrides `registry` and `hosts`, except for mirrors, which have their own credentials.
    #[cfg(feature = "registry")]
    pub amend: Option<Arc<Amend>>,
    /// How long to wait for another writer of an archive; `None` fails at once.
    pub patience: Option<Duration>,
    /// A directory for temporary files.
    pub scratch: PathBuf,
    /// Artifact types beyond the built-in ones.
    pub types: TypeFiles,
    /// The current time for everything dated, in seconds since 1970; `None` leaves dates out.
    pub now: Option<i64>,
    #[cfg(feature = "registry")]
    pub(super) clients: Clients,
    #[cfg(feature = "types")]
    plugins: Programs,
}

/// Files that configure single registries: see `stores::registry::Hosts::read`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFiles {
    /// Our own file, in the form of `examples/hosts.yaml`.
    pub ours: Option<PathBuf>,
    /// Podman's `registries.conf` and its drop-in files.
    pub podman: Vec<PathBuf>,
    /// Directories like `/etc/docker/certs.d`.
    pub certificates: Vec<PathBuf>,
}

/// Sources of artifact types beyond the built-in ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TypeFiles {
    /// Directories of definitions: a later one overrides an earlier.
    pub directories: Vec<PathBuf>,
    /// Single definitions, which override all others.
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

/// The programs that are types, searched once. A clone starts empty, since its context may be set differently.
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
    /// A context that knows only where temporary files go.
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

    /// The date of what is signed now, in RFC 3339: that of `now`, else of the clock. Errors: `now` is out of range.
    #[cfg(feature = "sign")]
    pub fn date(&self) -> Result<String> {
        let seconds = self.now.unwrap_or_else(|| jiff::Timestamp::now().as_second());
        let time = jiff::Timestamp::from_second(seconds);
        time.map(|time| time.to_string())
            .map_err(|_| Error::misuse(format!("{seconds} seconds since 1970 is out of range")))
    }

    /// The programs that are types.
    #[cfg(feature = "types")]
    pub fn plugins(&self) -> &Plugins {
        self.plugins.0.get_or_init(|| Plugins::new(self.types.programs.clone(), Timeouts::default()))
    }

    /// Opens the store at this place for reading. The configuration may move a repository elsewhere and give it
    /// mirrors.
    ///
    /// A compressed archive is decompressed into a temporary file.
    ///
    /// Errors: kind `NotFound` if the layout or archive does not exist; unreadable configuration; those of
    /// [`Archive::open_with`].
    pub async fn read(&self, place: &Place) -> Result<Arc<dyn ReadStore>> {
        Ok(match place.clone() {
            Place::Registry { registry, repository } => self.read_repository(&registry, &repository)?,
            Place::Layout(dir) => {
                let layout = blocking(|| Layout::open(dir)).await?;
                self.warn_unmarked(place, layout.is_unmarked());
                Arc::new(layout)
            }
            Place::Archive(file) => {
                let how = Decompression { progress: self.progress.clone(), ..Decompression::new(&self.scratch) };
                let archive = blocking(move || Archive::open_with(file, &how)).await?;
                self.warn_unmarked(place, archive.is_unmarked());
                Arc::new(archive)
            }
        })
    }

    fn warn_unmarked(&self, place: &Place, is_unmarked: bool) {
        if is_unmarked {
            let message = format!("{place} has no file `oci-layout`; it is read as an OCI layout all the same");
            self.progress.tell(Event::Warning(message));
        }
    }

    /// Opens the store at this place for writing; a missing layout is created.
    pub async fn write(&self, place: &Place) -> Result<Arc<dyn Store>> {
        Ok(match place.clone() {
            Place::Registry { registry, repository } => self.write_repository(&registry, &repository)?,
            Place::Layout(dir) => Arc::new(blocking(|| Layout::create(dir)).await?),
            Place::Archive(file) => {
                let archive = blocking(|| Archive::create(file)).await?.observed(self.progress.clone());
                match self.patience {
                    Some(longest) => Arc::new(archive.waiting(longest, self.progress.clone())),
                    None => Arc::new(archive),
                }
            }
        })
    }

    /// Opens the store at this place for changes. Errors: kind `NotFound` if it does not exist.
    pub async fn write_existing(&self, place: &Place) -> Result<Arc<dyn Store>> {
        match place {
            Place::Layout(path) | Place::Archive(path) if !path.exists() => {
                Err(Error::not_found(format!("{place} does not exist")))
            }
            _ => self.write(place).await,
        }
    }

    /// Opens the store at this place for a dry run: a missing one counts as empty and is not created.
    pub async fn write_nothing(&self, place: &Place) -> Result<Arc<dyn Store>> {
        match self.write_existing(place).await {
            // It is made by the first session only.
            Err(e) if e.kind() == Kind::NotFound && matches!(place, Place::Archive(_)) => self.write(place).await,
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
