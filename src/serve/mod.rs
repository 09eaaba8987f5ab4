//! The embedded registry: any store with the OCI distribution API (distribution-spec 1.1 and later).
//!
//! HTTP/1.1 only, read-only by default, on the given address only. It does not depend on the storage of content: a
//! [`Registry`] is a set of [`Repositories`], and each repository is a store. A [`Server`] does not depend on
//! registries: it serves an [`App`], which answers requests.

pub(crate) mod app;
mod content;
mod limits;
mod log;
mod net;
mod registry;
mod repositories;

pub use app::App;
pub use limits::Limits;
pub use log::{Log, LogLine};
#[cfg(feature = "registry")]
pub use net::local::Local;
pub use net::server::{Running, Server};
#[cfg(feature = "serve-tls")]
pub use net::tls::Tls;
pub use registry::{
    Registry,
    access::{Access, Credentials},
    htpasswd::Htpasswd,
    options::Options,
};
pub use repositories::Repositories;
pub use repositories::memory::InMemory;
pub use repositories::mounted::Mounted;
#[cfg(feature = "registry")]
pub use repositories::remote::Remote;
pub use repositories::tree::Tree;
