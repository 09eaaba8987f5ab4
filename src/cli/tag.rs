//! `artifact tag`: more tags for an artifact.

use std::process::ExitCode;

use artifact::{
    Result, copy,
    graph::Root,
    location::{ReadLocation, name_in},
    oci::RefName,
    store::{self, Intent, NameChange},
};
use serde_json::Map;

use super::{
    manifest,
    report::Report,
    session::{RegistryArgs, exact_in},
};

/// Add tags to an artifact.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The artifact; `repository:^1.2` is the newest tag in the range
    location: ReadLocation,
    /// The tags to set
    #[arg(required = true, value_name = "TAG")]
    tags: Vec<RefName>,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let store = args.registry.write_existing(&args.location.location.place, report).await?;
    let location = exact_in(store.as_ref(), &args.location, report).await?;
    let desc = store.resolve(&name_in(store.as_ref(), &location).await?).await?;
    args.tags.iter().try_for_each(|tag| location.with_tag(tag).map(drop))?;
    let mut tags: Vec<RefName> = Vec::new();
    for tag in args.tags {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    let roots = vec![Root::new(desc.bare(), tags)];
    let names = copy::names(&store, &roots).await?;
    let changes: Vec<_> = names.iter().map(|name| NameChange::set(name.name.clone(), desc.bare())).collect();
    let write = store::begin(store.as_ref(), Intent { names: changes.clone(), ..Intent::default() }).await?;
    changes.into_iter().try_for_each(|change| write.name(change))?;
    write.commit().await?;
    manifest::print(&location, &desc.bare(), &names, Map::new(), report)
}
