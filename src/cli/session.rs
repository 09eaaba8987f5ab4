//! What commands share: opening the store of a location, and the catalog.

use std::{
    num::NonZeroU64,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use artifact::{
    Context, Result,
    location::Place,
    store::{ReadStore, Store},
    stores::registry::{Options, Rate},
    types::Catalog,
};

use super::{access::Access, report::Report};

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
    /// What these flags make of what this machine knows: the same connections for all that a command does.
    #[arg(skip)]
    known: Arc<OnceLock<Context>>,
}

impl RegistryArgs {
    /// Takes other flags for the way to the registry.
    pub(crate) fn with(&self, access: impl Into<Access>) -> Self {
        Self { access: access.into().or(&self.access), known: Arc::default(), ..self.clone() }
    }

    /// How stores are opened: as this machine knows it, and as the flags say.
    pub(crate) fn context(&self, report: &Report) -> Result<&Context> {
        if let Some(known) = self.known.get() {
            return Ok(known);
        }
        let mut context = Context::from_environment()?;
        let read_timeout = Duration::from_secs(self.timeout);
        context.registry = Options {
            credentials: Arc::new(self.access.files()),
            retries: self.retries,
            read_timeout,
            header_timeout: read_timeout * 2,
            rate: self.limit_rate.clone(),
            ..context.registry
        };
        context.progress = report.observer();
        context.hosts.ours = self.config.clone().or(context.hosts.ours);
        let access = self.access.clone();
        context.amend = Some(Arc::new(move |options: &mut Options| {
            access.apply(options)?;
            options.credentials = access.credentials()?;
            Ok(())
        }));
        Ok(self.known.get_or_init(|| context))
    }

    /// The store of this place, which must exist.
    pub(crate) async fn read(&self, place: &Place, report: &Report) -> Result<Arc<dyn ReadStore>> {
        self.context(report)?.read(place).await
    }

    /// The store of this place, made when it is not there.
    pub(crate) async fn write(&self, place: &Place, report: &Report) -> Result<Arc<dyn Store>> {
        self.context(report)?.write(place).await
    }

    /// The store of this place, to be changed, which must exist.
    pub(crate) async fn write_existing(&self, place: &Place, report: &Report) -> Result<Arc<dyn Store>> {
        self.context(report)?.write_existing(place).await
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
    /// What this machine knows, with the definitions that were given.
    pub(crate) fn context(&self) -> Result<Context> {
        let mut context = Context::from_environment()?;
        context.types.files.clone_from(&self.files);
        Ok(context)
    }

    /// The built-in types, the user's, the project's, and those given.
    pub(crate) fn load(&self, report: &Report) -> Result<Catalog> {
        catalog(&self.context()?, report)
    }
}

/// All definitions; of those that cannot be used, the user is warned.
pub(crate) fn catalog(context: &Context, report: &Report) -> Result<Catalog> {
    let catalog = context.types.catalog()?;
    catalog.broken().iter().for_each(|broken| report.warn(broken));
    Ok(catalog)
}

impl TypeArgs {
    /// Adds the definitions that were given to a context.
    pub(crate) fn context(&self, context: &Context) -> Context {
        let mut context = context.clone();
        context.types.files.clone_from(&self.catalog.files);
        context
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
