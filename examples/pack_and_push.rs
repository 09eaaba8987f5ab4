//! The whole way, with the public API alone: a source is read by a type into a plan, the plan is packed, and copy
//! carries it into a store.
//!
//!     cargo run --example pack_and_push SOURCE [LOCATION]
//!
//! LOCATION is a registry, a layout or an archive; without one, it is a layout that is thrown away afterwards.

#![allow(clippy::print_stdout)]

use std::{path::PathBuf, sync::Arc};

use artifact::{
    Error, Result, copy,
    location::{Location, Place},
    pack,
    source::Source,
    store::{self, ReadStore, Store},
    stores::{
        Archive, Layout,
        registry::{self, Registry},
    },
    types::{Catalog, Inputs},
};

/// The store of this place, made where it is not there. Each kind of store is opened in its own way; from here on they
/// are all the same.
fn open(place: &Place) -> Result<Arc<dyn Store>> {
    Ok(match place {
        Place::Registry { registry, repository } => {
            // Enough for a registry on this machine and for public ones. The library looks for no certificates and
            // no credentials: it takes what it is given.
            let roots = std::fs::read("/etc/ssl/certs/ca-certificates.crt").into_iter().collect();
            let options = registry::Options { roots, ..Default::default() };
            Arc::new(Registry::new(registry, &options)?.repository(repository)?)
        }
        Place::Layout(path) => Arc::new(Layout::create(path)?),
        Place::Archive(path) => Arc::new(Archive::create(path)?),
    })
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let path = args.next().ok_or_else(|| Error::invalid("usage: pack_and_push SOURCE [LOCATION]"))?;
    let scratch = tempfile::tempdir()?;
    let location = args.next().unwrap_or_else(|| scratch.path().join("layout"));
    let location: Location = location.to_string_lossy().parse()?;

    // Source and type give a plan: what will be made, with nothing read but what the plan needs.
    let source = Source::open(path)?;
    let found = Catalog::builtin()?.detect(&source)?;
    let plan = found.plan(&source, &Inputs::default())?;
    println!("{} ({}): {} layers", found.kind.name(), found.form, plan.layers.len());

    // Packing gives digests. What is packed is a store already; its blobs stay where they are.
    let packed = pack::pack(&plan, &pack::Options::new(scratch.path())).await?;
    let digest = packed.root().digest.to_string();
    println!("{digest}");

    // Copy is the engine, here as for every other way between two stores. Where no tag is given, the plan knows one.
    let location = location.fill(&plan.reference)?;
    let to = open(&location.place)?;
    let from: Arc<dyn ReadStore> = Arc::new(packed);
    let options = copy::Options { names: location.tag.clone().into_iter().collect(), ..Default::default() };
    let report = copy(&from, &store::Name::Only, &to, &options).await?;
    println!("{location}: {} moved, {} bytes, {} present", report.moved, report.bytes, report.present);
    Ok(())
}
