//! `artifact ls`: the tags of a repository, layout or archive; the repositories of a registry.

use std::process::ExitCode;

use artifact::{
    Code, Error, Result,
    location::{Location, Place},
    oci::{Descriptor, RegistryName},
    store::{Flaw, NamePage},
};
use serde_json::json;

use super::{
    report::Report,
    session::{RegistryArgs, unreadable},
    text::{count, escape},
};

/// List tags, or, with a bare `host[:port]`, the repositories of a registry.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A location, or a registry
    #[arg(value_name = "LOCATION|REGISTRY")]
    place: String,
    /// List tags only; by default, artifacts without a tag follow as `@DIGEST`
    #[arg(long)]
    tags: bool,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let host_only = !args.place.contains('/') && RegistryName::is_meant_by(&args.place);
    let local = args.place.starts_with("oci:") || args.place.starts_with("oci-archive:") || args.place.starts_with('.');
    if host_only && !local {
        repositories(&args, report).await
    } else {
        artifacts(&args, args.place.parse()?, report).await
    }
}

async fn repositories(args: &Args, report: &Report) -> Result<ExitCode> {
    let names = args.registry.context(report)?.client(&args.place)?.repositories().await?;
    let lines: Vec<String> = names.iter().map(|name| escape(name)).collect();
    report.result(None, &json!({ "registry": args.place, "repositories": names }), &lines)?;
    Ok(ExitCode::SUCCESS)
}

async fn artifacts(args: &Args, location: Location, report: &Report) -> Result<ExitCode> {
    if location.tag.is_some() || location.digest.is_some() {
        return Err(Error::misuse(format!("`{location}` names one artifact; `ls` lists tags")));
    }
    let store = args.registry.read(&location.place, report).await?;
    let page = store.list_names().await?;
    let unnamed = if args.tags { Vec::new() } else { store.unnamed().await? };
    let bad = unreadable(&page, &location, report);
    if page.names.is_empty() && bad.is_empty() && matches!(location.place, Place::Registry { .. }) {
        // Registries respond the same for an unknown repository.
        let message = format!("{location} does not exist or has no tags");
        return Err(Error::not_found(message).with_code(Code::NoTags));
    }
    print(&location, &page, &unnamed, report)?;
    match bad.as_slice() {
        [] => Ok(ExitCode::SUCCESS),
        bad => Err(incomplete(&location, bad)),
    }
}

fn print(location: &Location, page: &NamePage, unnamed: &[Descriptor], report: &Report) -> Result<()> {
    let tags = page.names.iter().map(|name| escape(name));
    // No tag starts with `@`: whoever reads tags does not take a digest for one.
    let lines: Vec<String> = tags.chain(unnamed.iter().map(|desc| format!("@{}", desc.digest))).collect();
    let bare = |desc: &Descriptor| Descriptor { annotations: Default::default(), ..desc.clone() };
    let unnamed: Vec<Descriptor> = unnamed.iter().map(bare).collect();
    let json = json!({ "location": location.to_string(), "tags": page.names, "untagged": unnamed });
    report.result(None, &json, &lines)?;
    if let Some(first) = unnamed.first() {
        let have = if unnamed.len() == 1 { "has" } else { "have" };
        let count = count(unnamed.len(), "artifact");
        let (algorithm, short) = (first.digest.algorithm().name(), first.digest.short());
        report.say(format!("{count} {have} no tag: `{location}@{algorithm}:{short}` names one"));
    }
    Ok(())
}

/// The error for a list of which a part cannot be read; what could be read was printed.
fn incomplete(location: &Location, bad: &[&Flaw]) -> Error {
    let shown: Vec<String> = bad.iter().take(5).map(|flaw| format!("{}: {}", flaw.place, flaw.message)).collect();
    let more = match bad.len().saturating_sub(shown.len()) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let message = format!("the list of {location} is incomplete: {}{more}", shown.join("; "));
    Error::invalid(message).with_code(Code::ListIncomplete)
}
