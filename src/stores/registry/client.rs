//! A client of one registry.

use std::{fmt, sync::Arc};

use super::{
    api::{
        ranges::Ranges,
        registry::{Greeting, RegistryApi},
    },
    options::Options,
    origins::origin::Origin,
    transport::Transport,
};
use crate::error::Result;

/// A client of one registry. Cloning gives another handle on the same connections, tokens and knowledge.
#[derive(Clone)]
pub struct Registry(pub(super) Arc<RegistryApi>);

impl Registry {
    /// A client of the registry `host[:port]`. Connects to nothing yet.
    ///
    /// Errors: not a host, unusable certificates or keys.
    pub fn new(registry: &str, options: &Options) -> Result<Self> {
        let origin = Origin::of_registry(registry, options.protocol)?;
        let name = registry.parse()?;
        // Whom a limit makes slow, more connections would only give a larger share of it.
        let streams = if options.rate.is_some() { 1 } else { options.ranges.streams };
        let transport = Transport::new(origin, options.transport())?;
        Ok(Self(Arc::new(RegistryApi::new(name, transport, Ranges { streams, ..options.ranges }))))
    }

    /// Where the API is.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        self.0.origin()
    }

    /// Whether there is a registry that lets us in (distribution-spec, "Determining Support").
    ///
    /// Errors of kind `Unauthorized` and `Denied` when it does not, `NotARegistry` when something else answers.
    pub async fn ping(&self) -> Result<Greeting> {
        self.0.located(self.0.ping().await)
    }

    /// The names of all repositories, sorted. The endpoint is Docker's and not part of the OCI specification: many
    /// public registries refuse it.
    pub async fn repositories(&self) -> Result<Vec<String>> {
        self.0.located(self.0.repositories().await)
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registry({self})")
    }
}
