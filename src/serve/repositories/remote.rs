//! The repositories of another registry, as repositories of this one.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::Repositories;
use crate::{
    error::Result,
    oci::RepositoryName,
    store::{ReadStore, Store},
    stores::registry::Registry,
};

/// All repositories of a registry, with their names there. Pushes are streamed to that registry; nothing is stored
/// here.
#[derive(Debug, Clone)]
pub struct Remote(Registry);

impl Remote {
    /// The repositories of this client's registry.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self(registry)
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl Repositories for Remote {
    /// Always a repository; reads show whether it exists.
    async fn get(&self, name: &RepositoryName) -> Result<Option<Arc<dyn ReadStore>>> {
        Ok(Some(Arc::new(self.0.repository(name)?)))
    }

    async fn create(&self, name: &RepositoryName) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(self.0.repository(name)?))
    }

    async fn names(&self) -> Result<Vec<RepositoryName>> {
        self.0.repositories().await?.iter().map(|name| name.parse()).collect()
    }
}
