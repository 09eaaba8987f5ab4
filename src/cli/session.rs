//! What commands share: opening the store of a location, and the catalog.

use std::{
    collections::HashMap,
    num::NonZeroU64,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use artifact::{
    Code, Error, Kind, Result,
    location::{Location, Place},
    oci::{Manifest, RefName, Tag},
    plan::{Plan, Unpacking},
    source::Source,
    store::{self, Flaw, Item, Name, NamePage, ReadStore, Store},
    stores::{
        Archive, Layout, Memory,
        registry::{Credentials, Hosts, Mirror, Mirrored, Options, Rate, Registry, Repository},
    },
    types::{Catalog, Inputs, MAX_CONFIG, View, generic, plugin},
};

use super::{access::Access, environment, report::Report};

/// How long a plug-in type may take to print its plan.
const PLUGIN_TIMEOUT: Duration = Duration::from_secs(600);

/// How long another writer of an archive is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How registries are talked to.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Registry")]
pub(crate) struct RegistryArgs {
    #[command(flatten)]
    pub(crate) access: Access,
    /// What is configured per host: mirrors, certificates, proxies [default: ~/.config/artifact/hosts.yaml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Transfer no more than so many bytes a second, up and down, all blobs together: 500K, 10M, 1G
    #[arg(long, value_name = "RATE", value_parser = rate)]
    limit_rate: Option<Rate>,
    /// How often a request that failed is sent again, if the reason may pass; 0 is never
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = retries)]
    retries: u32,
    /// After how many seconds without a byte a transfer is tried again; an answer may take twice as long to begin
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = seconds)]
    timeout: u64,
    /// The hosts that a warning was given for.
    #[arg(skip)]
    warned: Arc<Mutex<Vec<String>>>,
    /// The clients that there are, by registry and by what is configured about the repository: many repositories of one
    /// registry share connections and tokens.
    #[arg(skip)]
    clients: Clients,
}

type Clients = Arc<Mutex<HashMap<(String, Vec<String>), Registry>>>;

impl RegistryArgs {
    /// The same, with other flags for the way to the registry.
    pub(crate) fn with(&self, access: impl Into<Access>) -> Self {
        Self { access: access.into().or(&self.access), clients: Clients::default(), ..self.clone() }
    }

    /// A client of this registry.
    pub(crate) fn client(&self, host: &str, report: &Report) -> Result<Registry> {
        self.client_with(host, self.access.credentials()?, report)
    }

    /// A client of this registry with these credentials.
    pub(crate) fn client_with(
        &self,
        host: &str,
        credentials: Arc<dyn Credentials>,
        report: &Report,
    ) -> Result<Registry> {
        let mut options = self.hosts()?.options(host, "", &self.options(report))?;
        self.access.apply(&mut options)?;
        self.connect(host, &Options { credentials, ..options }, report)
    }

    /// What is configured about registries.
    fn hosts(&self) -> Result<Hosts> {
        let ours = self.config.clone().or_else(environment::hosts_file);
        Hosts::read(ours.as_deref(), &environment::registries_conf(), environment::certificate_dirs())
    }

    /// What holds for all registries.
    fn options(&self, report: &Report) -> Options {
        let read_timeout = Duration::from_secs(self.timeout);
        Options {
            credentials: Arc::new(self.access.files()),
            proxies: environment::proxies(),
            system_roots: Some(Arc::new(environment::certificates)),
            retries: self.retries,
            read_timeout,
            header_timeout: read_timeout * 2,
            rate: self.limit_rate.clone(),
            progress: report.observer(),
            ..Options::default()
        }
    }

    fn connect(&self, host: &str, options: &Options, report: &Report) -> Result<Registry> {
        let client = Registry::new(host, options)?;
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if options.insecure_tls && client.origin().is_secure() && !warned.iter().any(|known| known == host) {
            report.warn(format!("the certificate of {host} is not looked at: whoever answers is believed"));
            warned.push(host.to_owned());
        }
        Ok(client)
    }

    /// A repository, to be written to.
    fn repository(&self, registry: &str, repository: &str, report: &Report) -> Result<Repository> {
        self.shared(&self.hosts()?, registry, repository, report)?.repository(repository)
    }

    /// A client of this registry, for this repository and others that are configured alike.
    fn shared(&self, hosts: &Hosts, registry: &str, repository: &str, report: &Report) -> Result<Registry> {
        let mut options = hosts.options(registry, repository, &self.options(report))?;
        let key = (registry.to_owned(), hosts.rules(registry, repository));
        let known = |clients: &Clients| clients.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(client) = known(&self.clients) {
            return Ok(client);
        }
        self.access.apply(&mut options)?;
        options.credentials = self.access.credentials()?;
        let client = self.connect(registry, &options, report)?;
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).insert(key, client.clone());
        Ok(client)
    }

    /// A repository, to be read: where the configuration says that it is, and from its mirrors.
    fn source(&self, registry: &str, repository: &str, report: &Report) -> Result<Arc<dyn ReadStore>> {
        let hosts = self.hosts()?;
        let general = self.options(report);
        let origin = match hosts.moved(registry, repository)? {
            None => self.shared(&hosts, registry, repository, report)?.repository(repository)?,
            Some((host, name)) => {
                let insecure_tls = hosts.options(registry, repository, &general)?.insecure_tls;
                let mut options = Options { insecure_tls, ..hosts.options(&host, &name, &general)? };
                self.access.apply(&mut options)?;
                options.credentials = self.access.credentials()?;
                self.connect(&host, &options, report)?.repository(&name)?
            }
        };
        // The next one in turn is a better second attempt.
        let general = Options { retries: general.retries.min(1), ..general };
        let mut mirrors = Vec::new();
        for replica in hosts.replicas(registry, repository)? {
            let options = hosts.options_of(&replica, &general)?;
            let repository = self.connect(&replica.registry, &options, report)?.repository(&replica.repository)?;
            mirrors.push(Mirror { repository, names: replica.names });
        }
        Ok(if mirrors.is_empty() { Arc::new(origin) } else { Arc::new(Mirrored::new(mirrors, origin)) })
    }

    /// The store of this place, which must exist.
    pub(crate) async fn read(&self, place: &Place, report: &Report) -> Result<Arc<dyn ReadStore>> {
        Ok(match place {
            Place::Registry { registry, repository } => self.source(registry, repository, report)?,
            Place::Layout(dir) => Arc::new(Layout::open(dir)?),
            Place::Archive(file) => Arc::new(Archive::open(file)?),
        })
    }

    /// The store of this place, made when it is not there.
    pub(crate) async fn write(&self, place: &Place, report: &Report) -> Result<Arc<dyn Store>> {
        Ok(match place {
            Place::Registry { registry, repository } => Arc::new(self.repository(registry, repository, report)?),
            Place::Layout(dir) => Arc::new(Layout::create(dir)?),
            Place::Archive(file) => Arc::new(Archive::create(file)?.waiting(PATIENCE, report.observer())),
        })
    }

    /// The store of this place, to be changed, which must exist.
    pub(crate) async fn write_existing(&self, place: &Place, report: &Report) -> Result<Arc<dyn Store>> {
        match place {
            Place::Layout(path) | Place::Archive(path) if !path.exists() => {
                Err(Error::not_found(format!("{place} does not exist")))
            }
            _ => self.write(place, report).await,
        }
    }

    /// The store of this place, as a dry run sees it: one that is not there lacks everything, and is not made.
    pub(crate) async fn write_in_mind(&self, place: &Place, report: &Report) -> Result<Arc<dyn Store>> {
        match self.write_existing(place, report).await {
            Err(e) if e.kind() == Kind::NotFound => Ok(Arc::new(Memory::new())),
            other => other,
        }
    }
}

/// Which artifact types there are, and which one it is.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Type")]
pub(crate) struct TypeArgs {
    /// The artifact type; found by looking at the source or manifest when it is not given
    #[arg(short = 't', long = "type", value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    catalog: CatalogArgs,
}

/// Which artifact types there are.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Type")]
pub(crate) struct CatalogArgs {
    /// Use the definition in this file too; it wins over one of the same name
    #[arg(long = "type-file", value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl CatalogArgs {
    /// The built-in types, the user's, the project's, and those given.
    pub(crate) fn load(&self) -> Result<Catalog> {
        let mut catalog = Catalog::load(&environment::type_dirs())?;
        self.files.iter().try_for_each(|file| catalog.replace_file(file))?;
        Ok(catalog)
    }
}

impl TypeArgs {
    /// The plan that the chosen type, or the one that fits, makes of this source.
    ///
    /// A type that no definition has may be a program on the `PATH`.
    pub(crate) async fn plan(&self, source: &Source, inputs: &Inputs) -> Result<Plan> {
        let catalog = self.catalog.load()?;
        let Some(name) = &self.name else { return catalog.detect(source)?.plan(source, inputs) };
        match (catalog.get(name), plugin::find(name, &environment::program_dirs())) {
            (Ok(kind), _) => kind.plan(source, inputs),
            (Err(_), Some(program)) => plugin::run(&program, source, inputs, PLUGIN_TIMEOUT).await,
            (Err(unknown), None) => Err(unknown.into_misuse()),
        }
    }

    /// The files that the chosen type, or the one that claims it, makes of this manifest; without any, its titles do.
    pub(crate) async fn unpacking(
        &self,
        store: &Arc<dyn ReadStore>,
        manifest: &Manifest,
        view: View,
    ) -> Result<Unpacking> {
        let catalog = self.catalog.load()?;
        let kind = match &self.name {
            Some(name) => Some(catalog.get(name).map_err(|unknown| cannot_unpack(name, unknown))?),
            None => catalog.recognise(manifest).map(|(kind, _)| kind),
        };
        let Some(kind) = kind else { return generic::unpacking(manifest) };
        let config = store::read(store.as_ref(), &Item::blob(manifest.config.clone()), MAX_CONFIG).await?;
        kind.unpacking(manifest, &config, view)
    }
}

/// Why no definition of this name unpacks: a program may have it, which packs only.
fn cannot_unpack(name: &str, unknown: Error) -> Error {
    match plugin::find(name, &environment::program_dirs()) {
        Some(program) => {
            let message = format!("`{name}` is a program, {}, which packs and does not unpack", program.display());
            Error::misuse(message).with_code(Code::TypeOnlyPacks)
        }
        None => unknown.into_misuse(),
    }
}

/// The name that a location stands for: its digest or tag; without either, `latest` in a registry, and in a layout
/// or archive its only tag, else its only artifact.
pub(crate) async fn name_in(store: &dyn ReadStore, location: &Location) -> Result<Name> {
    if location.tag.is_some() || location.digest.is_some() || matches!(location.place, Place::Registry { .. }) {
        return Ok(location.name());
    }
    let NamePage { names, unreadable, .. } = store.list_names().await?;
    match (names.as_slice(), unreadable.first()) {
        ([only], None) => Ok(only.clone().into()),
        ([only], Some(Flaw { place, message, .. })) => {
            let message = format!("{location} has tag `{only}` and an entry that cannot be read ({place}: {message})");
            Err(Error::new(Kind::Ambiguous, message).with_code(Code::SeveralTags))
        }
        ([], _) => Ok(Name::Only),
        (many, _) if many.iter().any(|name| *name == "latest") => Ok(Tag::latest().into()),
        (many, _) => {
            let listed = many.iter().take(10).map(RefName::as_str).collect::<Vec<_>>().join("`, `");
            let more = if many.len() > 10 { format!(" and {} more", many.len() - 10) } else { String::new() };
            let message = format!("{location} has several tags: `{listed}`{more}");
            Err(Error::new(Kind::Ambiguous, message).with_code(Code::SeveralTags))
        }
    }
}

/// Reads a number of attempts.
fn retries(text: &str) -> std::result::Result<u32, String> {
    text.parse().map_err(|_| "expected a number, 0 for no second attempt".into())
}

/// Reads a time.
fn seconds(text: &str) -> std::result::Result<u64, String> {
    let seconds = text.parse().ok().filter(|seconds| (1..=3600).contains(seconds));
    seconds.ok_or_else(|| "expected seconds, from 1 to 3600".into())
}

/// Reads bytes a second as curl and wget do: a number, and K, M or G for powers of 1024.
fn rate(text: &str) -> std::result::Result<Rate, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (text.get(..at), 1_u64 << 10),
        Some((at, 'm' | 'M')) => (text.get(..at), 1 << 20),
        Some((at, 'g' | 'G')) => (text.get(..at), 1 << 30),
        _ => (Some(text), 1),
    };
    let digits = number.filter(|n| n.starts_with(|c: char| c.is_ascii_digit()));
    let number: Option<f64> = digits.and_then(|n| n.parse().ok());
    let bytes = number.map(|n| (n * unit as f64) as u64).and_then(NonZeroU64::new);
    bytes.map(Rate::new).ok_or_else(|| "expected bytes a second, such as 500K, 10M or 1.5G".into())
}
