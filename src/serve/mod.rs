//! The embedded registry: any store behind the OCI distribution API (distribution-spec, 1.1 and what follows it).
//!
//! HTTP/1.1 only, read-only unless told otherwise, on no address but the one given. Nothing here knows how content is
//! kept: a registry is a set of [`Repositories`], and each repository is a store.

mod content;
pub(super) mod net;
pub(super) mod registry;
mod repositories;

use std::{fmt, sync::Arc, time::Duration};

#[cfg(feature = "registry")]
pub use net::local::Local;
pub use net::server::{Running, Server};
pub use net::watch::{Log, LogLine};
pub use registry::guard::Credentials;
pub use repositories::Repositories;
pub use repositories::memory::InMemory;
pub use repositories::mounted::Mounted;
#[cfg(feature = "registry")]
pub use repositories::remote::Remote;
pub use repositories::tree::Tree;

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
    /// What goes wrong on purpose.
    #[cfg(feature = "faults")]
    pub faults: Option<Arc<crate::fault::Faults>>,
}

/// What one client, or all of them, may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; more wait to be accepted.
    pub connections: usize,
    /// How long the head of a request may take, and how long a connection may stay open between two requests.
    pub head: Duration,
    /// How long a connection may stay open without a byte moving.
    pub stall: Duration,
    /// Upload sessions at a time; more are refused with 429.
    pub sessions: usize,
    /// How long an upload session is kept without a request.
    pub session: Duration,
    /// Largest blob that is taken, in bytes.
    pub blob: u64,
    /// How long requests in flight may take to finish when the server stops.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            head: Duration::from_secs(30),
            stall: Duration::from_secs(300),
            sessions: 256,
            session: Duration::from_secs(3600),
            blob: u64::MAX,
            grace: Duration::from_secs(10),
        }
    }
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
            #[cfg(feature = "faults")]
            faults: None,
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
