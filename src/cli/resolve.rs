//! `artifact resolve`: the digest that a name stands for.

use std::process::ExitCode;

use artifact::{Result, location::ReadLocation};
use serde_json::{Map, Value};

use super::{
    report::{Report, about},
    session::RegistryArgs,
};

/// Print the digest that a name stands for.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The artifacts; `repository:^1.2` is the newest tag in the range
    #[arg(required = true, value_name = "LOCATION")]
    locations: Vec<ReadLocation>,
    /// Print `repository@digest`, which always stands for the same
    #[arg(short = 'l', long)]
    full_reference: bool,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let (mut documents, mut lines) = (Vec::new(), Vec::new());
    for wanted in &args.locations {
        let opened = args.registry.open(wanted, report).await?;
        let (desc, location) = (opened.resolve().await?, &opened.location);
        let reference = format!("{}@{}", location.place, desc.digest);
        let mut json = about(&location.place, &desc)?;
        json.insert("location".into(), location.to_string().into());
        documents.push(json);
        lines.push(if args.full_reference { super::text::escape(&reference) } else { desc.digest.to_string() });
    }
    match documents.as_mut_slice() {
        [one] => report.result(None, one, &lines)?,
        _ => {
            let artifacts: Vec<Value> = documents.into_iter().map(Value::from).collect();
            report.result(None, &Map::from_iter([("artifacts".to_owned(), artifacts.into())]), &lines)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
