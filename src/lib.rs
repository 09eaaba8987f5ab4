//! Pack anything into OCI artifacts and move them: to registries, into OCI layouts, across air gaps.
//!
//! A **source** is read by an **artifact type** into a **plan**; the plan is **packed** into blobs and a manifest;
//! **copy** carries them into a **store**.

pub mod blob;
pub mod check;
pub mod copy;
pub mod error;
pub mod graph;
pub mod location;
pub mod oci;
pub mod pack;
pub mod plan;
pub mod serve;
pub mod source;
pub mod store;
pub mod stores;
pub mod tarball;
pub mod types;
pub mod unpack;

pub use copy::copy;
pub use error::{Error, Kind, Result};
pub use pack::pack;
