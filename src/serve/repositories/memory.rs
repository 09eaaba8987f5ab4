//! Repositories in memory.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;

use super::{Repositories, usage};
use crate::{
    error::Result,
    oci::RepositoryName,
    store::{ReadStore, Store},
    stores::Memory,
};

/// Repositories in memory, created by the first push. Mounted blobs are shared.
#[derive(Debug, Default)]
pub struct InMemory(pub(super) RwLock<BTreeMap<RepositoryName, Memory>>);

impl InMemory {
    /// An empty set.
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

    /// Content of several repositories counts in each.
    async fn usage(&self) -> Result<Option<u64>> {
        let stores: Vec<Memory> = self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let mut all = 0_u64;
        for store in &stores {
            all = all.saturating_add(usage(store).await?.unwrap_or_default());
        }
        Ok(Some(all))
    }

    fn sound(&self) -> bool {
        true
    }
}
