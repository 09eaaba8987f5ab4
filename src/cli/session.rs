//! Steps that commands share: opening the store of a location, loading the catalog.

use std::{
    fmt::Display,
    num::{NonZeroU64, NonZeroUsize},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use artifact::{
    Context, Error, Result,
    copy::Selection,
    location::{Location, Opened, Place, ReadLocation},
    oci::Platform,
    store::{FlawKind, NamePage, ReadStore, Store},
    stores::{
        Layout,
        registry::{Hosts, Options, Rate},
    },
    types::Catalog,
};

use super::{access::Access, report::Report, text::bytes};

/// Flags for registries.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Registry")]
pub(crate) struct RegistryArgs {
    #[command(flatten)]
    pub(crate) access: Access,
    /// Per-host configuration: mirrors, certificates, proxies [default: ~/.config/artifact/hosts.yaml]
    #[arg(long, value_name = "FILE")]
    hosts: Option<PathBuf>,
    /// The former name of `--hosts`; other tools mean the config of an artifact
    #[arg(long, hide = true, value_name = "FILE", conflicts_with = "hosts")]
    config: Option<PathBuf>,
    /// Limit the total rate of transfers, in bytes per second: 500K, 10M, 1G
    #[arg(long, value_name = "RATE", value_parser = rate)]
    limit_rate: Option<Rate>,
    /// Retry a request up to N times after a temporary failure
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = retries)]
    retries: u32,
    /// Retry a transfer that is idle for SECONDS; wait twice as long for a response to start
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = seconds)]
    timeout: u64,
    /// The context with these flags applied, so that a command shares its connections.
    #[arg(skip)]
    known: Arc<OnceLock<Context>>,
}

impl RegistryArgs {
    /// Replaces the connection and login flags.
    pub(crate) fn with(&self, access: impl Into<Access>) -> Self {
        Self { access: access.into().or(&self.access), known: Arc::default(), ..self.clone() }
    }

    /// The context for opening stores: this machine's configuration and the flags.
    pub(crate) fn context(&self, report: &Report) -> Result<&Context> {
        if let Some(known) = self.known.get() {
            return Ok(known);
        }
        let mut context = Context::from_environment()?;
        let read_timeout = Duration::from_secs(self.timeout);
        context.registry = Options {
            credentials: self.access.files(report),
            retries: self.retries,
            read_timeout,
            header_timeout: read_timeout * 2,
            rate: self.limit_rate.clone(),
            sent: report.sent(),
            ..context.registry
        };
        context.progress = report.observer();
        context.hosts.ours = self.hosts_file()?.or(context.hosts.ours);
        let (access, report) = (self.access.clone(), report.clone());
        context.amend = Some(Arc::new(move |options: &mut Options| {
            access.apply(options)?;
            options.credentials = access.credentials(&report)?;
            Ok(())
        }));
        Ok(self.known.get_or_init(|| context))
    }

    /// The given configuration of hosts. It is read at once: where no registry is asked, nobody else would, and a file that
    /// is meant as something else would be passed over.
    fn hosts_file(&self) -> Result<Option<PathBuf>> {
        let Some(file) = self.hosts.as_ref().or(self.config.as_ref()) else { return Ok(None) };
        let hosts = Hosts::read(Some(file), &[], Vec::new()).map_err(Error::of_configuration)?;
        if self.config.is_some() && hosts.is_empty() {
            return Err(Error::misuse(format!("`{}` configures no host", file.display())));
        }
        Ok(Some(file.clone()))
    }

    /// Opens an existing store for reading.
    pub(crate) async fn read(&self, place: &Place, report: &Report) -> Result<Arc<dyn ReadStore>> {
        self.context(report)?.read(place).await
    }

    /// Opens the store of a location for reading; says which tag a range of versions is.
    pub(crate) async fn open(&self, wanted: &ReadLocation, report: &Report) -> Result<Opened> {
        let store = self.read(&wanted.location.place, report).await?;
        Ok(Opened::new(exact_in(store.as_ref(), wanted, report).await?, store))
    }

    /// The location itself; for a range of versions, that of the tag, which it says.
    pub(crate) async fn exact(&self, wanted: &ReadLocation, report: &Report) -> Result<Location> {
        match wanted.range {
            Some(_) => Ok(self.open(wanted, report).await?.location),
            None => Ok(wanted.location.clone()),
        }
    }

    /// Opens a store for writing; creates it if missing.
    pub(crate) async fn write(&self, place: &Place, report: &Report) -> Result<Arc<dyn Store>> {
        self.context(report)?.write(place).await
    }

    /// Opens an existing store for writing.
    pub(crate) async fn write_existing(&self, place: &Place, report: &Report) -> Result<Arc<dyn Store>> {
        self.context(report)?.write_existing(place).await
    }
}

/// The location with the tag that a range of versions is, which it says; without a range, as it is.
pub(crate) async fn exact_in(store: &dyn ReadStore, wanted: &ReadLocation, report: &Report) -> Result<Location> {
    let exact = wanted.exact_in(store).await?;
    if let (Some(_), Some(tag)) = (&wanted.range, &exact.tag) {
        report.say(format!("{wanted} is {tag}"));
    }
    Ok(exact)
}

/// Flags for the members of an index.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(group = clap::ArgGroup::new("part").multiple(true))]
pub(crate) struct SelectionArgs {
    /// From an index, take only the manifest for this platform; of several platforms, repeated or separated by commas,
    /// the index as it is, without other members, which layouts and archives take
    #[arg(long = "platform", value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',', group = "part")]
    pub(crate) platforms: Vec<Platform>,
    /// From an index, leave out attestations, as BuildKit adds them
    #[arg(long, group = "part")]
    no_attestations: bool,
    /// With several --platform or --no-attestations, make a new index of what is copied, which every registry takes; it
    /// has a new digest
    #[arg(long, requires = "part")]
    new_index: bool,
}

impl SelectionArgs {
    pub(crate) fn selection(&self) -> Selection {
        let mut selection = Selection::default();
        selection.platforms.clone_from(&self.platforms);
        (selection.attestations, selection.new_index) = (!self.no_attestations, self.new_index);
        selection
    }

    /// The only platform, if one is given. Errors: several; attestations and indexes, which are no files.
    pub(crate) fn for_files(&self) -> Result<Option<Platform>> {
        match self.platforms.as_slice() {
            _ if self.new_index => Err(Error::misuse("`--new-index` does not apply to `--unpack`")),
            _ if self.no_attestations => Err(Error::misuse("`--no-attestations` does not apply to `--unpack`")),
            [] => Ok(None),
            [only] => Ok(Some(only.clone())),
            _ => Err(Error::misuse("`--unpack` writes the files of one platform: give one `--platform`")),
        }
    }
}

/// Flags for the catalog and the type.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Type")]
pub(crate) struct TypeArgs {
    /// Artifact type [default: detected from the source or manifest]
    #[arg(short = 't', long = "type", value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    catalog: CatalogArgs,
}

/// Flags for the catalog.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Type")]
pub(crate) struct CatalogArgs {
    /// Add the definition in this file; it overrides another of the same name
    #[arg(long = "type-file", value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl CatalogArgs {
    /// This machine's context with the given definitions.
    pub(crate) fn context(&self) -> Result<Context> {
        let mut context = Context::from_environment()?;
        context.types.files.clone_from(&self.files);
        Ok(context)
    }

    /// The types: built-in, the user's, the project's, and those given.
    pub(crate) fn load(&self, report: &Report) -> Result<Catalog> {
        catalog(&self.context()?, report)
    }
}

/// Whether a word that could be the name of a registry is that of a file, or of a layout.
pub(crate) fn is_on_disk(word: &str) -> bool {
    Path::new(word).is_file() || Layout::is_at(word)
}

/// Warns of what a registry lists as tags although it is none.
pub(crate) fn warn_of_odd(page: &NamePage, place: &dyn Display, report: &Report) {
    let odd = page.unreadable.iter().filter(|flaw| flaw.kind == FlawKind::NotATag);
    odd.for_each(|flaw| report.warn(format!("left out what is no tag: {place} {}", flaw.message)));
}

/// All definitions; warns of those that are invalid.
pub(crate) fn catalog(context: &Context, report: &Report) -> Result<Catalog> {
    let catalog = context.types.catalog()?;
    catalog.broken().iter().for_each(|broken| report.warn(broken));
    Ok(catalog)
}

impl TypeArgs {
    /// Adds the given definitions to a context.
    pub(crate) fn context(&self, context: &Context) -> Context {
        let mut context = context.clone();
        context.types.files.clone_from(&self.catalog.files);
        context
    }
}

fn retries(text: &str) -> std::result::Result<u32, String> {
    text.parse().map_err(|_| "expected a number; 0 disables retries".into())
}

fn seconds(text: &str) -> std::result::Result<u64, String> {
    let seconds = text.parse().ok().filter(|seconds| (1..=3600).contains(seconds));
    seconds.ok_or_else(|| "expected a number of seconds from 1 to 3600".into())
}

/// Parses a number of parallel transfers.
pub(crate) fn concurrency(text: &str) -> std::result::Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "expected a number, at least 1".into())
}

/// Parses a rate as curl and wget do.
fn rate(text: &str) -> std::result::Result<Rate, String> {
    bytes(text).map(Rate::new).ok_or_else(|| "expected bytes per second, such as 500K, 10M or 1.5G".into())
}

/// Parses a size in the form of a rate.
pub(crate) fn max_size(text: &str) -> std::result::Result<NonZeroU64, String> {
    bytes(text).ok_or_else(|| "expected a number of bytes, such as 500M or 20G".into())
}
