//! Knowledge about the lists of referrers of one registry.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use crate::oci::{Digest, RepositoryName};

/// The repositories whose lists the registry maintains, and locks for writing the others.
#[derive(Default)]
pub(super) struct ReferrerLists {
    kept_by_registry: Mutex<HashMap<RepositoryName, bool>>,
    /// Locks, one per list.
    writers: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl ReferrerLists {
    /// True if the registry itself maintains the lists of this repository; `None` if unknown.
    pub(super) fn kept_by_registry(&self, repository: &RepositoryName) -> Option<bool> {
        self.kept_by_registry.lock().unwrap_or_else(PoisonError::into_inner).get(repository).copied()
    }

    /// Records whether the registry itself maintains the lists of this repository.
    pub(super) fn set_kept_by_registry(&self, repository: &RepositoryName, kept: bool) {
        self.kept_by_registry.lock().unwrap_or_else(PoisonError::into_inner).insert(repository.clone(), kept);
    }

    /// The lock for writing the list of this subject.
    pub(super) fn writer(&self, repository: &RepositoryName, subject: &Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(writers.entry(format!("{repository}@{subject}")).or_default())
    }
}
