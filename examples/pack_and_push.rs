//! The whole way, with the public API alone, twice: in one call, and by its parts.
//!
//!     cargo run --example pack_and_push SOURCE [LOCATION]
//!
//! LOCATION is a registry, a layout or an archive; without one, it is a layout that is thrown away afterwards.

#![allow(clippy::print_stdout)]

use std::{path::PathBuf, sync::Arc};

use artifact::{
    Context, Error, Result, copy,
    location::{self, Location},
    push,
    store::{Name, ReadStore},
};

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let path = args.next().ok_or_else(|| Error::invalid("usage: pack_and_push SOURCE [LOCATION]"))?;
    let scratch = tempfile::tempdir()?;
    let location = args.next().unwrap_or_else(|| scratch.path().join("layout"));
    let location = location.to_string_lossy().into_owned();
    // What this machine knows: certificates, credentials, proxies, what is configured per host. A `Context::new` would know
    // nothing, and read nothing.
    let context = Context::from_environment()?;

    // In one call.
    let pushed = push(&path, &location, &context, &push::Options::default()).await?;
    println!("{}: {} moved, {} bytes", pushed.reference(), pushed.report.moved, pushed.report.bytes);

    // By its parts. Source and type give a plan: what will be made, with nothing read but what the plan needs.
    let target: Location = location.parse()?;
    let planned = push::plan(&[path.into()], Some(&target), &context, &push::Options::default()).await?;
    let plan = planned.plan;
    let layers: usize = plan.manifests().iter().map(|manifest| manifest.layers.len()).sum();
    println!("{}: {}, {layers} layers", plan.type_name, planned.planner.why());
    // Packing gives digests. What is packed is a store already; its blobs stay where they are.
    let packed = push::packed(&plan, &context).await?;
    println!("{}", packed.root().digest);
    // Copy is the engine, here as for every other way between two stores. All of it is there by now.
    let target = target.fill(&plan.reference)?;
    let (from, to): (Arc<dyn ReadStore>, _) = (Arc::new(packed), context.write(&target.place).await?);
    let options = copy::Options { names: target.tag.clone().into_iter().collect(), ..Default::default() };
    let report = copy::between(&from, &Name::Only, &to, &options).await?;
    println!("{target}: {} moved, {} bytes, {} present", report.moved, report.bytes, report.present);

    let found = location::open(&target.to_string(), &context).await?;
    println!("{}", found.resolve().await?.digest);
    Ok(())
}
