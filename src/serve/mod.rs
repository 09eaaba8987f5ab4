//! The embedded registry: any store behind the OCI distribution API (distribution-spec, 1.1 and what follows it).
//!
//! HTTP/1.1 only, read-only unless told otherwise, on no address but the one given. Nothing here knows how content is
//! kept: a [`Registry`] is a set of [`Repositories`], and each repository is a store. A [`Server`] does not know what a
//! registry is: it serves an [`App`], which answers requests.

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
pub use registry::{Registry, guard::Credentials, options::Options};
pub use repositories::Repositories;
pub use repositories::memory::InMemory;
pub use repositories::mounted::Mounted;
#[cfg(feature = "registry")]
pub use repositories::remote::Remote;
pub use repositories::tree::Tree;
