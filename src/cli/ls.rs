//! `artifact ls`: the tags of a repository, layout or archive; the repositories of a registry.

use std::process::ExitCode;

use artifact::{
    Code, Error, Result,
    location::{Location, Place},
    oci::RegistryName,
};

use super::{
    report::Report,
    session::{RegistryArgs, unreadable},
    text::escape,
};

/// List tags, or, with a bare `host[:port]`, the repositories of a registry.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A location, or a registry
    #[arg(value_name = "LOCATION|REGISTRY")]
    place: String,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let host_only = !args.place.contains('/') && RegistryName::is_meant_by(&args.place);
    let local = args.place.starts_with("oci:") || args.place.starts_with("oci-archive:") || args.place.starts_with('.');
    let names = if host_only && !local {
        args.registry.context(report)?.client(&args.place)?.repositories().await?
    } else {
        let location: Location = args.place.parse()?;
        if location.tag.is_some() || location.digest.is_some() {
            return Err(Error::misuse(format!("`{location}` names one artifact; `ls` lists tags")));
        }
        let store = args.registry.read(&location.place, report).await?;
        let page = store.list_names().await?;
        if !unreadable(&page, &location, report).is_empty() {
            report.warn(format!("the list of {location} is incomplete; `artifact check` shows why"));
        }
        if page.names.is_empty() && matches!(location.place, Place::Registry { .. }) {
            // Registries respond the same for an unknown repository.
            let message = format!("{location} does not exist or has no tags");
            return Err(Error::not_found(message).with_code(Code::NoTags));
        }
        page.names.into_iter().map(String::from).collect()
    };
    let lines: Vec<String> = names.iter().map(|name| escape(name)).collect();
    report.result(None, &names, &lines)?;
    Ok(ExitCode::SUCCESS)
}
