//! `artifact types`: the catalog, and tools for authors of definitions.

mod list;
mod show;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use artifact::{
    Code, Context, Error, Kind, Result, fs,
    types::{self, ArtifactType, Origin, lint, plugin, test},
};
use serde_json::json;

use super::{
    report::Report,
    text::{count, escape},
};

/// List, show, write and test artifact types.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List the artifact types and their origins
    List(list::Args),
    /// Show what a type takes, makes, accepts and unpacks, and its parameters
    Show(show::Args),
    /// Write a definition to start from
    New(NewArgs),
    /// Report errors in definitions, with line and column
    Lint(FilesArgs),
    /// Run the tests in definitions
    Test(FilesArgs),
    /// Print the JSON Schema of definitions, for editors, or of the plans that plug-ins print
    Schema(SchemaArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct NewArgs {
    /// Name of the type: lower-case letters, digits and dashes
    name: String,
    /// Output file, `-` for stdout [default: artifact-types/NAME.yaml]
    file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SchemaArgs {
    /// Print the schema of plans, which plug-in types print (artifact-plan/v1)
    #[arg(long)]
    plan: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct FilesArgs {
    /// Definition files or names of types [default: all types]
    #[arg(value_name = "FILE|NAME")]
    definitions: Vec<String>,
}

pub(crate) async fn run(command: Command, report: &Report) -> Result<ExitCode> {
    match command {
        Command::List(args) => list::run(&args, report).await,
        Command::Show(args) => show::run(&args, report).await,
        Command::New(args) => new(&args, report),
        Command::Lint(args) => lint_all(&args, report),
        Command::Test(args) => test_all(&args, report),
        Command::Schema(SchemaArgs { plan }) => {
            report.no_template("`types schema`")?;
            let schema = if plan { types::plan_schema()? } else { types::schema()? };
            report.bytes(schema.as_bytes()).map(|()| ExitCode::SUCCESS)
        }
    }
}

/// The error for a type that no definition describes.
fn no_definition(name: &str, context: &Context, unknown: Error) -> Error {
    if unknown.kind() != Kind::UnknownType {
        return unknown;
    }
    match plugin::find(name, &context.types.programs) {
        Some(program) => Error::unsupported(format!(
            "artifact type `{name}` has no definition: it is the program {}",
            program.display()
        )),
        None => unknown.into_kind(Kind::NotFound),
    }
}

fn new(args: &NewArgs, report: &Report) -> Result<ExitCode> {
    let path = args.file.clone().unwrap_or_else(|| Path::new("artifact-types").join(format!("{}.yaml", args.name)));
    if path.as_os_str() == "-" {
        report.lines_only("a definition on stdout")?;
    }
    let text = types::skeleton(&args.name)?;
    ArtifactType::parse(&text, Origin::File(path.clone()))?;
    if path.as_os_str() == "-" {
        report.bytes(text.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let write = || {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mut file = std::fs::File::create_new(&path)?;
        std::io::Write::write_all(&mut file, text.as_bytes())
    };
    write().map_err(|e: std::io::Error| {
        let error = Error::from(e).context(format!("cannot write `{}`", path.display()));
        if error.kind() == Kind::Exists { error.with_code(Code::FileExists).with_path(&path) } else { error }
    })?;
    report.result(None, &json!({ "file": path }), &[escape(&path.display().to_string())])?;
    Ok(ExitCode::SUCCESS)
}

/// Text and origin of the requested definitions, invalid ones included.
fn definitions(args: &FilesArgs) -> Result<Vec<(String, Origin)>> {
    let context = Context::from_environment()?;
    let catalog = context.types.catalog()?;
    let named = |kind: &ArtifactType| (kind.text().to_owned(), kind.origin().clone());
    let read = |path: PathBuf| Ok((fs::read_text(&path, types::MAX_DEFINITION)?, Origin::File(path)));
    if args.definitions.is_empty() {
        let broken = catalog.broken().iter().map(|broken| read(broken.file.clone()));
        return catalog.list().map(|kind| Ok(named(kind))).chain(broken).collect();
    }
    let one = |word: &String| {
        let path = PathBuf::from(word);
        if !path.exists() && !word.contains(['/', '.']) {
            let kind = catalog.get(word).map_err(|unknown| no_definition(word, &context, unknown))?;
            return Ok(named(&kind));
        }
        read(path)
    };
    args.definitions.iter().map(one).collect()
}

/// Definitions of the catalog that have the name of another, which lint cannot see: their files, and why.
fn named_twice(args: &FilesArgs) -> Result<Vec<lint::Finding>> {
    if !args.definitions.is_empty() {
        return Ok(Vec::new());
    }
    let catalog = Context::from_environment()?.types.catalog()?;
    let twice = catalog.broken().iter().filter(|broken| broken.error.kind() == Kind::Exists);
    let finding = |broken: &types::Broken| lint::Finding {
        error: true,
        place: broken.file.display().to_string(),
        message: broken.error.message().to_owned(),
    };
    Ok(twice.map(finding).collect())
}

fn lint_all(args: &FilesArgs, report: &Report) -> Result<ExitCode> {
    let definitions = definitions(args)?;
    let mut findings = named_twice(args)?;
    for (text, origin) in &definitions {
        findings.extend(lint::lint(text, &origin.to_string())?);
    }
    let line = |f: &lint::Finding| {
        let word = if f.error { "error" } else { "warning" };
        format!("{}: {word}: {}", f.place, f.message)
    };
    let json: Vec<_> =
        findings.iter().map(|f| json!({ "severity": if f.error { "error" } else { "warning" }, "place": f.place, "message": f.message })).collect();
    report.result(
        None,
        &json!({ "findings": json }),
        &findings.iter().map(|f| escape(&line(f))).collect::<Vec<_>>(),
    )?;
    let errors = findings.iter().filter(|f| f.error).count();
    if errors > 0 {
        let of = count(definitions.len(), "definition");
        return Err(Error::invalid(format!("{} in {of}", count(errors, "error"))));
    }
    report.say(format!("{}: {}", count(definitions.len(), "definition"), count(findings.len(), "warning")));
    Ok(ExitCode::SUCCESS)
}

fn test_all(args: &FilesArgs, report: &Report) -> Result<ExitCode> {
    if let Some(twice) = named_twice(args)?.first() {
        return Err(Error::new(Kind::Exists, format!("{}: {}", twice.place, twice.message)));
    }
    let (mut passed, mut failed, mut json, mut lines) = (0, 0, Vec::new(), Vec::new());
    for (text, origin) in definitions(args)? {
        let kind = Arc::new(ArtifactType::parse(&text, origin)?);
        for outcome in test::run(&kind, &Context::from_environment()?.scratch)? {
            let name = format!("{}: {}", kind.name(), escape(&outcome.name));
            json.push(json!({ "type": kind.name(), "name": outcome.name, "failure": outcome.failure }));
            match &outcome.failure {
                None => passed += 1,
                Some(_) => failed += 1,
            }
            lines.push(
                outcome
                    .failure
                    .map_or_else(|| format!("ok    {name}"), |why| format!("FAIL  {name}\n      {}", escape(&why))),
            );
        }
    }
    report.result(None, &json!({ "tests": json }), &lines)?;
    if failed > 0 {
        return Err(Error::new(Kind::Invalid, format!("{} failed, {passed} passed", count(failed, "test"))));
    }
    report.say(format!("{} passed", count(passed, "test")));
    Ok(ExitCode::SUCCESS)
}
