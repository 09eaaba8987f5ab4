//! `artifact tag`: more tags for an artifact.

use std::process::ExitCode;

use artifact::{
    Result,
    copy::{self, NameReport, PlannedName},
    graph::Root,
    location::{Place, ReadLocation, name_in},
    oci::RefName,
    store::{self, Intent, NameChange},
};
use serde_json::json;

use super::{
    report::{Report, about, object},
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
    let roots = vec![Root::new(desc.bare(), args.tags.clone())];
    let names = copy::names(&store, &roots).await?;
    let changes: Vec<_> = names.iter().map(|name| NameChange::set(name.name.clone(), desc.bare())).collect();
    let write = store::begin(store.as_ref(), Intent { names: changes.clone(), ..Intent::default() }).await?;
    changes.into_iter().try_for_each(|change| write.name(change))?;
    write.commit().await?;
    for planned in &names {
        let PlannedName { name, refused, .. } = planned;
        refused.iter().for_each(|why| report.warn(format!("cannot tell what `{name}` stood for: {why}")));
        report.say(moved(&location.place, planned));
    }
    let names: Vec<NameReport> = names.iter().map(NameReport::from).collect();
    let tags: Vec<&RefName> = names.iter().map(|name| &name.name).collect();
    let mut json = about(&location.place, &desc)?;
    json.extend(object(&json!({ "location": location.to_string(), "tags": tags, "names": names }))?);
    report.result(Some(&desc.digest), &json, &[desc.digest.to_string()])?;
    Ok(ExitCode::SUCCESS)
}

/// What happened to a name, in words.
pub(super) fn moved(place: &Place, planned: &PlannedName) -> String {
    let (PlannedName { name, from, .. }, to) = (planned, &planned.to.digest);
    match from {
        Some(from) if from != to => format!("{place}:{name} moved from {from} to {to}"),
        Some(_) => format!("{place}:{name} is unchanged: {to}"),
        None => format!("{place}:{name} is {}: {to}", NameReport::from(planned).outcome),
    }
}
