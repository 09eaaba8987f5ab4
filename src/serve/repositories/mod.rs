//! The repositories of a registry, by name: the layer between the API and the stores.
//!
//! It depends on names and stores. Requests and verification are elsewhere.

pub(super) mod memory;
pub(super) mod mounted;
mod mounted_names;
#[cfg(feature = "registry")]
pub(super) mod remote;
pub(super) mod tree;

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::{
    error::Result,
    oci::RepositoryName,
    store::{self, Intent, ReadStore, Store},
};

/// A set of repositories, each a store. `Display` gives a name for messages.
#[async_trait]
pub trait Repositories: fmt::Display + Send + Sync {
    /// The repository with this name, for reading; `None` if it does not exist.
    async fn get(&self, name: &RepositoryName) -> Result<Option<Arc<dyn ReadStore>>>;

    /// The repository with this name, for writing; created if missing. Errors: kind `ReadOnly` if it is not writable.
    async fn create(&self, name: &RepositoryName) -> Result<Arc<dyn Store>>;

    /// The names of all repositories, sorted.
    async fn names(&self) -> Result<Vec<RepositoryName>>;

    /// Size of all stored content, in bytes; `None` if that is unknown.
    async fn usage(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Removes what writers left that did not end regularly.
    async fn clean(&self) -> Result<()> {
        Ok(())
    }

    /// Whether content is known to be right, as in memory. Otherwise it is verified during transfers.
    fn sound(&self) -> bool {
        false
    }
}

/// Lets a store clean itself, as it does before a write.
async fn clean(store: &dyn Store) -> Result<()> {
    store::begin(store, Intent::default()).await?.abandon().await;
    Ok(())
}

/// Size of all content of a store and of its list, in bytes.
async fn usage(store: &dyn ReadStore) -> Result<Option<u64>> {
    let inventory = store.inventory().await?;
    Ok(inventory.map(|all| all.blobs.values().fold(all.list, |sum, size| sum.saturating_add(*size))))
}
