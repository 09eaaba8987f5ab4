//! `artifact types list`: all types, those that are programs included.

use std::process::ExitCode;

use artifact::{
    Error, Result,
    types::{Origin, plugin},
};
use serde_json::{Value, json};

use super::super::{
    report::Report,
    session::{CatalogArgs, catalog},
    text::{count, escape, page},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    types: CatalogArgs,
}

/// The types, for people and as JSON.
#[derive(Default)]
struct Listed {
    rows: Vec<Vec<String>>,
    json: Vec<Value>,
}

impl Listed {
    fn add(&mut self, name: &str, description: &str, short: &str, origin: &str) {
        self.rows.push([name, short, description].map(escape).to_vec());
        self.json.push(json!({ "name": name, "description": description, "origin": origin }));
    }
}

pub(super) async fn run(args: &Args, report: &Report) -> Result<ExitCode> {
    let context = args.types.context()?;
    let catalog = catalog(&context, report)?;
    let (mut missing, mut listed) = (catalog.broken().len(), Listed::default());
    for kind in catalog.list() {
        listed.add(kind.name(), kind.description(), &place(kind.origin()), &kind.origin().to_string());
    }
    // A definition overrides a program of the same name.
    for (name, program) in plugin::list(&context.types.programs) {
        if catalog.get(&name).is_ok() {
            continue;
        }
        match context.plugins().get(&name).await {
            Ok(Some(plugin)) => {
                let program = program.display().to_string();
                listed.add(&name, &plugin.about().description, &program, &program);
            }
            Ok(None) => {}
            Err(e) => {
                report.warn(format!("an artifact type is not listed: {e}"));
                missing += 1;
            }
        }
    }
    report.result(None, &json!({ "types": listed.json }), &page(&listed.rows, 0))?;
    match missing {
        0 => Ok(ExitCode::SUCCESS),
        missing => Err(Error::invalid(format!("{} cannot be listed", count(missing, "artifact type")))),
    }
}

/// Where a definition is, for people: that of a built-in one has the name of its type.
pub(super) fn place(origin: &Origin) -> String {
    match origin {
        Origin::Builtin(_) => "built-in".into(),
        Origin::File(path) => path.display().to_string(),
    }
}
