//! The repositories of a registry, by name: what lies between the API and the stores.
//!
//! It knows names and stores. Requests, and how content is verified, are not for here.

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
    store::{ReadStore, Store},
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
