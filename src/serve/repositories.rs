//! The repositories of a registry, by name: the joint between the API and the stores.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;

use crate::{
    error::Result,
    oci::RepositoryName,
    store::{ReadStore, Store},
    stores::Memory,
};

/// A set of repositories, each of them one store. `Display` names it for people.
#[async_trait]
pub trait Repositories: fmt::Display + Send + Sync {
    /// The repository of this name, to read from; `None` when there is none.
    async fn get(&self, name: &RepositoryName) -> Result<Option<Arc<dyn ReadStore>>>;

    /// The repository of this name, to write to; it is made when there is none. Error kind `ReadOnly` when it cannot
    /// be written to.
    async fn create(&self, name: &RepositoryName) -> Result<Arc<dyn Store>>;

    /// The names of all repositories, sorted.
    async fn names(&self) -> Result<Vec<RepositoryName>>;

    /// Whether content is right without being read again, as in memory. Otherwise it is verified while it is served.
    fn sound(&self) -> bool {
        false
    }
}

/// Repositories in memory, made by the first push to each. Blobs mounted from one into another are shared.
#[derive(Debug, Default)]
pub struct InMemory(RwLock<BTreeMap<RepositoryName, Memory>>);

impl InMemory {
    /// No repository.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl fmt::Display for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

#[async_trait]
impl Repositories for InMemory {
    async fn get(&self, name: &RepositoryName) -> Result<Option<Arc<dyn ReadStore>>> {
        let found = self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        Ok(found.map(|store| Arc::new(store) as Arc<dyn ReadStore>))
    }

    async fn create(&self, name: &RepositoryName) -> Result<Arc<dyn Store>> {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::new(all.entry(name.clone()).or_default().clone()))
    }

    async fn names(&self) -> Result<Vec<RepositoryName>> {
        Ok(self.0.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect())
    }

    fn sound(&self) -> bool {
        true
    }
}
