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
//! // One that knows nothing; `Context::from_environment` knows what this machine knows.
//! let context = Context::new(scratch.path());
//! let pushed = push(&notes, &layout, &context, &push::Options::default()).await?;
//! println!("{}", pushed.reference());
//!
//! // Whatever refers to it comes along.
//! let archive = format!("oci-archive:{}:v1", scratch.path().join("notes.tar").display());
//! copy(&layout, &archive, &context, &CopyOptions::default()).await?;
//!
//! let found = artifact::location::open(&archive, &context).await?;
//! assert_eq!(found.resolve().await?.digest, pushed.report.root.digest);
//! # Ok(()) }
//! ```
//!
//! The verbs are [`push()`], [`attach`], [`copy()`] and [`pull()`], with [`pull::unpack`] for files. Their parts, for those
//! who compose them otherwise:
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
//! Words, with no synonyms: *source*, *artifact type*, *catalog* (the artifact types there are; "registry" alone is
//! always an OCI registry), *plan*, *part* (a blob to be), *packed*, *blob*, *store*, *location* (a store's name),
//! *referrer* (a manifest about another).
//!
//! # Features
//!
//! Without any (`default-features = false`): layouts, archives and memory, packing a plan, copying, unpacking, checking. The
//! command line and the tests need all, so that is the default.
//!
//! * `types`: artifact types, with the template engine and the validator that they need: [`types`], [`source`], [`push()`],
//!   [`attach`], [`pull::unpack`], [`describe`].
//! * `registry`: registries as stores, over the network: `stores::registry`. Without it, a location in a registry is refused.
//! * `environment`: what this machine and its user have configured: `Context::from_environment`.
//! * `serve`: a registry in front of any store: [`serve`]; `faults`: one on a bad day, for the tests of clients: [`fault`].
//! * `exam`: what every store must do: [`exam`].
//! * `cli`: the command line, which has all of them.
//!
//! What is deliberately absent: nothing here prints, prompts, or reads the environment; nothing panics on input;
//! nothing that was carried is ever serialised again; no `unsafe`.

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
pub mod graph;
pub mod location;
pub mod oci;
pub mod pack;
pub mod plan;
pub mod progress;
pub mod pull;
#[cfg(feature = "types")]
pub mod push;
#[cfg(feature = "serve")]
pub mod serve;
#[cfg(feature = "types")]
pub mod source;
pub mod store;
pub mod stores;
pub mod tarball;
#[cfg(feature = "types")]
pub mod types;
pub mod unpack;

pub use error::{Code, Error, Kind, Result};
pub use location::{Context, CopyOptions, copy};
pub use pack::pack;
pub use pull::pull;
#[cfg(feature = "types")]
pub use push::{attach, push};

#[cfg(all(doctest, feature = "cli"))]
#[doc = include_str!("../README.md")]
struct Readme;
