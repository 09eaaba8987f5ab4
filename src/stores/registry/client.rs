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

/// A client of one registry. A clone is another handle on the same connections, tokens and state.
#[derive(Clone)]
pub struct Registry(pub(super) Arc<RegistryApi>);

impl Registry {
    /// A client of the registry `host[:port]`. Does not connect yet.
    ///
    /// Errors: an invalid host, unusable certificates or keys.
    pub fn new(registry: &str, options: &Options) -> Result<Self> {
        let origin = Origin::of_registry(registry, options.protocol)?;
        let name = registry.parse()?;
        // With a rate limit, more connections would only claim a larger share of it.
        let streams = if options.rate.is_some() { 1 } else { options.ranges.streams };
        let transport = Transport::new(origin, options.transport())?;
        Ok(Self(Arc::new(RegistryApi::new(name, transport, Ranges { streams, ..options.ranges }))))
    }

    /// The origin of the API.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        self.0.origin()
    }

    /// Checks that there is a registry and that it grants access (distribution-spec, "Determining Support").
    ///
    /// Errors: kind `Unauthorized` or `Denied` if it does not, `NotARegistry` if something else answers.
    pub async fn ping(&self) -> Result<Greeting> {
        self.0.located(self.0.ping().await)
    }

    /// The names of all repositories, sorted. The endpoint is Docker's, not part of the OCI specification, and many
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
