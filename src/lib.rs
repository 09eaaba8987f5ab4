//! Pack anything into OCI artifacts and move them: to registries, into OCI layouts, across air gaps.
//!
//! A **source** is read by an **artifact type** into a **plan**; the plan is **packed** into blobs and a manifest;
//! **copy** carries them into a **store**.
//!
//! ```text
//! directory ─► source ─► type ─► plan ─► pack ─► copy ─► store ─┬─ registry
//!              (files)  (data)  (value) (packed)  ▲             ├─ layout   (OCI image layout directory)
//!                                                 │             ├─ archive  (OCI image layout in one tar)
//! files ◄─ unpack ◄───────────────────────────────┴─ store ◄────┴─ memory
//! ```
//!
//! ```
//! use artifact::{Context, CopyOptions, copy, push};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> artifact::Result<()> {
//! # let scratch = tempfile::tempdir()?;
//! # let notes = scratch.path().join("notes.txt");
//! # std::fs::write(&notes, "remember the milk")?;
//! # let layout = format!("oci:{}:v1", scratch.path().join("layout").display());
//! // A context without configuration; `Context::from_environment` has that of this machine.
//! let context = Context::new(scratch.path());
//! let pushed = push(&notes, &layout, &context, &push::Options::default()).await?;
//! println!("{}", pushed.reference());
//!
//! // Referrers are copied along.
//! let archive = format!("oci-archive:{}:v1", scratch.path().join("notes.tar").display());
//! copy(&layout, &archive, &context, &CopyOptions::default()).await?;
//!
//! let found = artifact::location::open(&archive, &context).await?;
//! assert_eq!(found.resolve().await?.digest, pushed.report.root.digest);
//! # Ok(()) }
//! ```
//!
//! The verbs are [`push()`], [`attach`], [`copy()`] and [`pull()`], with [`pull::unpack`] for files. The same steps,
//! one by one:
//!
//! ```
//! use std::sync::Arc;
//! use artifact::{copy, pack, source::Source, store::{Name, ReadStore, Store}, stores::Memory, types::{Catalog, Inputs}};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> artifact::Result<()> {
//! # let scratch = tempfile::tempdir()?;
//! # std::fs::write(scratch.path().join("notes.txt"), "remember the milk")?;
//! let source = Source::open(scratch.path().join("notes.txt"))?;
//! let plan = Catalog::builtin()?.detect(&source)?.plan(&source, &Inputs::default())?;
//! let packed: Arc<dyn ReadStore> = Arc::new(pack(&plan, &pack::Options::new(scratch.path())).await?);
//!
//! let store: Arc<dyn Store> = Arc::new(Memory::new());
//! let options = copy::Options { names: vec!["v1".parse()?], ..Default::default() };
//! let report = copy::between(&packed, &Name::Only, &store, &options).await?;
//! assert_eq!(store.resolve(&"v1".parse()?).await?.digest, report.root.digest);
//! # Ok(()) }
//! ```
//!
//! Terms, without synonyms: *source*, *artifact type*, *catalog* (the artifact types there are; "registry" alone is
//! always an OCI registry), *plan*, *part* (a future blob), *packed*, *blob*, *store*, *location* (a store's name),
//! *referrer* (a manifest whose subject is another).
//!
//! # Features
//!
//! With no features (`default-features = false`): layouts, archives and memory, packing a plan, copying, unpacking,
//! checking. The command line and the tests need all features, so all are enabled by default.
//!
//! * `types`: artifact types, with their template engine and validator: [`types`], [`source`], [`push()`], [`attach`],
//!   [`pull::unpack`], [`describe`].
//! * `registry`: registries as stores, over the network: `stores::registry`. Without it, a location in a registry is
//!   refused.
//! * `environment`: the configuration of this machine and its user: `Context::from_environment`.
//! * `serve`: a registry in front of any store: [`serve`].
//! * `serve-tls`: https for it.
//! * `faults`: a registry with injected faults, for the tests of clients: [`fault`].
//! * `sign`: keys, signatures and attestations by keys: [`sign`].
//! * `keyless`: certificates, transparency logs and timestamps beside them, verified with a trusted root.
//! * `exam`: conformance tests for stores: [`exam`].
//! * `cli`: the command line, with all features.
//! * `fuzz`: entry points for fuzzing, with `faults`, `registry`, `serve` and `types`; no part of the public API.
//!
//! Deliberately absent: printing, prompting, reading the environment (except in `Context::from_environment`), panics on
//! input, re-serialising copied documents, `unsafe`.

pub mod blob;
pub mod check;
pub mod copy;
#[cfg(feature = "types")]
pub mod describe;
#[cfg(any(feature = "faults", feature = "registry", feature = "types"))]
pub mod document;
#[cfg(feature = "environment")]
pub mod environment;
pub mod error;
#[cfg(feature = "exam")]
pub mod exam;
#[cfg(feature = "faults")]
pub mod fault;
pub mod fs;
#[cfg(all(feature = "fuzz", feature = "faults", feature = "registry", feature = "serve", feature = "types"))]
#[doc(hidden)]
pub mod fuzz;
mod glob;
pub mod graph;
pub mod location;
pub mod oci;
pub mod pack;
pub mod plan;
#[cfg(any(feature = "registry", feature = "types"))]
mod process;
pub mod progress;
pub mod pull;
#[cfg(feature = "types")]
pub mod push;
pub mod raw;
#[cfg(feature = "serve")]
pub mod serve;
#[cfg(feature = "sign")]
pub mod sign;
#[cfg(feature = "types")]
pub mod source;
pub mod store;
pub mod stores;
pub mod tarball;
pub mod text;
pub mod tree;
#[cfg(feature = "types")]
pub mod types;
pub mod unpack;
pub mod version;

pub use error::{Code, Error, Kind, Result};
pub use location::{Context, CopyOptions, copy};
pub use pack::pack;
pub use pull::pull;
#[cfg(feature = "types")]
pub use push::{attach, push};

#[cfg(all(doctest, feature = "cli"))]
#[doc = include_str!("../README.md")]
struct Readme;
