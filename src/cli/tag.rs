//! `artifact tag`: further names for what is there.

use std::process::ExitCode;

use artifact::{Result, location::Location, oci::RefName};

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
    for tag in &args.tags {
        args.location.with_tag(tag)?;
        store.tag(tag, &desc).await?;
        report.say(format!("{}:{tag} is {}", args.location.place, desc.digest));
    }
    store.finish().await?;
    report.result(Some(&desc.digest), &desc, &[desc.digest.to_string()])?;
    Ok(ExitCode::SUCCESS)
}
