//! What a registry serves, and to whom.

use std::{fmt, sync::Arc};

use super::guard::Credentials;
use crate::serve::{
    limits::Limits,
    log::Log,
    repositories::{Repositories, memory::InMemory},
};

/// What a registry serves, to whom, and within which limits.
#[derive(Clone)]
pub struct Options {
    /// The repositories. None in memory, unless set.
    pub repositories: Arc<dyn Repositories>,
    /// Whether pushing and deleting are allowed. Otherwise every such request is refused with 405.
    pub writable: bool,
    /// Who may come in; everybody when there is none.
    pub credentials: Option<Credentials>,
    /// Names that clients may call this registry by (the `Host` header), besides `localhost` and IP addresses. `*` is
    /// any name. A name that is not listed is refused, since a hostile web page can make its own name point here.
    pub hosts: Vec<String>,
    /// Takes a line for every request.
    pub log: Option<Log>,
    /// Limits.
    pub limits: Limits,
}

impl Default for Options {
    /// An empty registry in memory that only reads.
    fn default() -> Self {
        Self {
            repositories: Arc::new(InMemory::default()),
            writable: false,
            credentials: None,
            hosts: Vec::new(),
            log: None,
            limits: Limits::default(),
        }
    }
}

impl Options {
    /// An empty registry in memory that can be pushed to: for tests and for trying things out.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { writable: true, ..Self::default() }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repositories, writable, credentials, hosts, limits, .. } = self;
        f.debug_struct("Options")
            .field("repositories", &repositories.to_string())
            .field("writable", writable)
            .field("credentials", credentials)
            .field("hosts", hosts)
            .field("limits", limits)
            .finish_non_exhaustive()
    }
}
