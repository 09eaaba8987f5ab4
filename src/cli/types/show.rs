//! `artifact types show`: one type, for people or as its definition.

use std::process::ExitCode;

use artifact::{Context, Error, Kind, Result, types::ArtifactType};
use serde_json::json;

use super::super::{
    report::Report,
    session::{CatalogArgs, catalog},
    text::{escape, escape_lines, page},
};
use super::{list::place, no_definition};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the type
    name: String,
    /// Print the definition itself, in YAML
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    types: CatalogArgs,
}

pub(super) async fn run(args: &Args, report: &Report) -> Result<ExitCode> {
    let context = args.types.context()?;
    if args.raw {
        report.lines_only("`--raw`")?;
    }
    let kind = match catalog(&context, report)?.get(&args.name) {
        Ok(kind) => kind,
        Err(unknown) if args.raw || unknown.kind() != Kind::UnknownType => {
            return Err(no_definition(&args.name, &context, unknown));
        }
        Err(unknown) => return show_program(&args.name, &context, unknown, report).await,
    };
    if args.raw {
        report.bytes(kind.text().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let json = json!({ "type": kind.name(), "origin": kind.origin().to_string(), "definition": kind.definition() });
    report.result(None, &json, &described(&kind))?;
    Ok(ExitCode::SUCCESS)
}

/// A definition as lines.
fn described(kind: &ArtifactType) -> Vec<String> {
    let metadata = &kind.definition().metadata;
    let aliases = Some(metadata.aliases.join(", ")).filter(|aliases| !aliases.is_empty());
    let facts = [("aliases", aliases), ("version", metadata.version.clone()), ("origin", Some(place(kind.origin())))];
    let mut lines = head(kind.name(), kind.description());
    let facts = facts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?)));
    lines.extend(rows(facts.collect(), 0));
    for section in kind.summary() {
        let how = if section.title == "parameters" { ", given as `--set NAME=VALUE`" } else { "" };
        lines.extend([String::new(), format!("{}{how}:", section.title)]);
        lines.extend(rows(section.rows, 2));
    }
    lines
}

/// What a program says of itself. Errors: there is none of this name; it does not answer.
async fn show_program(name: &str, context: &Context, unknown: Error, report: &Report) -> Result<ExitCode> {
    let Some(plugin) = context.plugins().get(name).await? else {
        return Err(no_definition(name, context, unknown));
    };
    let (about, program) = (plugin.about(), plugin.program().display().to_string());
    let json = json!({ "type": name, "origin": program, "about": about });
    let mut facts = vec![("origin".to_owned(), format!("the program {program}"))];
    facts.extend(about.artifact_types.iter().map(|own| ("accepts".to_owned(), own.clone())));
    facts.push(("unpacks".to_owned(), if about.unpacks { "yes" } else { "no" }.to_owned()));
    let lines = [head(name, &about.description), rows(facts, 0)].concat();
    report.result(None, &json, &lines)?;
    Ok(ExitCode::SUCCESS)
}

fn head(name: &str, description: &str) -> Vec<String> {
    let text = if description.is_empty() { escape(name) } else { escape(&format!("{name}: {description}")) };
    page(&[vec![text]], 0)
}

fn rows(rows: Vec<(String, String)>, indent: usize) -> Vec<String> {
    let rows = rows.iter().map(|(name, text)| vec![escape(name), escape_lines(text)]);
    page(&rows.collect::<Vec<_>>(), indent)
}
