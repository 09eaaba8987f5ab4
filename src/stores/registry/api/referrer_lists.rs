//! What is known of the lists of referrers of one registry.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use crate::oci::{Digest, RepositoryName};

/// Which repositories have lists that the registry keeps, and who writes the others.
#[derive(Default)]
pub(super) struct ReferrerLists {
    kept_by_registry: Mutex<HashMap<RepositoryName, bool>>,
    /// One writer at a time for each list.
    writers: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl ReferrerLists {
    /// Whether the registry itself keeps the lists of this repository, if that is known.
    pub(super) fn kept_by_registry(&self, repository: &RepositoryName) -> Option<bool> {
        self.kept_by_registry.lock().unwrap_or_else(PoisonError::into_inner).get(repository).copied()
    }

    /// Notes whether the registry itself keeps the lists of this repository.
    pub(super) fn set_kept_by_registry(&self, repository: &RepositoryName, kept: bool) {
        self.kept_by_registry.lock().unwrap_or_else(PoisonError::into_inner).insert(repository.clone(), kept);
    }

    /// Held by whoever writes the list of this subject.
    pub(super) fn writer(&self, repository: &RepositoryName, subject: &Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(writers.entry(format!("{repository}@{subject}")).or_default())
    }
}
