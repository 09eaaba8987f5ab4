//! Options of a registry.

use std::{fmt, sync::Arc};

use super::access::Access;
use crate::serve::{
    limits::Limits,
    log::Log,
    repositories::{Repositories, memory::InMemory},
};

/// Options of a registry: repositories, access, limits.
#[derive(Clone)]
pub struct Options {
    /// The repositories; by default an empty set in memory.
    pub repositories: Arc<dyn Repositories>,
    /// Whether to accept pushes and deletions; otherwise they are refused with 405.
    pub writable: bool,
    /// Who may make requests.
    pub access: Access,
    /// Accepted host names (the `Host` header) besides `localhost` and IP addresses; `*` accepts any. Others are
    /// refused, since a hostile web page can make its own name resolve to this machine.
    pub hosts: Vec<String>,
    /// Receiver of log lines, one per request.
    pub log: Option<Log>,
    /// Limits.
    pub limits: Limits,
}

impl Default for Options {
    /// An empty, read-only registry in memory.
    fn default() -> Self {
        Self {
            repositories: Arc::new(InMemory::default()),
            writable: false,
            access: Access::Open,
            hosts: Vec::new(),
            log: None,
            limits: Limits::default(),
        }
    }
}

impl Options {
    /// An empty, writable registry in memory, for tests and experiments.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { writable: true, ..Self::default() }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repositories, writable, access, hosts, limits, .. } = self;
        f.debug_struct("Options")
            .field("repositories", &repositories.to_string())
            .field("writable", writable)
            .field("access", access)
            .field("hosts", hosts)
            .field("limits", limits)
            .finish_non_exhaustive()
    }
}
