//! `artifact tag`: further names for what is there.

use std::process::ExitCode;

use artifact::{
    Result,
    location::Location,
    oci::RefName,
    store::{self, Intent, NameChange},
};

use super::{
    report::Report,
    session::{RegistryArgs, name_in},
};

/// Give an artifact further tags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The artifact
    location: Location,
    /// The tags to set
    #[arg(required = true, value_name = "TAG")]
    tags: Vec<RefName>,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let store = args.registry.write_existing(&args.location.place, report).await?;
    let desc = store.resolve(&name_in(store.as_ref(), &args.location).await?).await?;
    args.tags.iter().try_for_each(|tag| args.location.with_tag(tag).map(drop))?;
    let names: Vec<_> = args.tags.iter().map(|tag| NameChange::set(tag.clone(), desc.bare())).collect();
    let write = store::begin(store.as_ref(), Intent { names: names.clone(), ..Intent::default() }).await?;
    names.into_iter().try_for_each(|change| write.name(change))?;
    write.commit().await?;
    for tag in &args.tags {
        report.say(format!("{}:{tag} is {}", args.location.place, desc.digest));
    }
    report.result(Some(&desc.digest), &desc, &[desc.digest.to_string()])?;
    Ok(ExitCode::SUCCESS)
}
