//! `artifact plan`: the artifact that push would create, without contacting a registry.

use std::{path::Path, process::ExitCode};

use artifact::{
    Context, Error, Result,
    describe::Description,
    location::Location,
    oci::{Parsed, media_type},
    pack::Packed,
    push::{self, Planned, Planner, SourceFile},
    types::{Origin, plugin::Plugin},
};
use serde_json::{Map, Value};

use super::{
    data, inspect,
    pairs::{distinct, pair},
    report::{Report, object},
    session::TypeArgs,
};

/// Show the artifact that `push` would create, with digests, without contacting a registry.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file or directory to pack, `-` for stdin; `FILE:MEDIA/TYPE` says its media type
    #[arg(index = 1)]
    source: SourceFile,
    /// Destination of the push
    #[arg(index = 2)]
    location: Option<Location>,
    /// Print the plan itself, in the JSON format of plug-in types
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    pack: PackArgs,
}

/// Packing flags.
#[derive(Debug, clap::Args)]
pub(crate) struct PackArgs {
    /// Set a parameter of the type; `artifact types show TYPE` lists them
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Add an annotation to the manifest
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = pair)]
    annotation: Vec<(String, String)>,
    /// Artifact type in the manifest, by which clients filter: a media type such as application/spdx+json
    #[arg(long, value_name = "TYPE", value_parser = media_type)]
    artifact_type: Option<String>,
    /// Media type of the layers whose title matches
    #[arg(long, value_name = "GLOB=TYPE", value_parser = typed_glob)]
    media_type: Vec<(String, String)>,
    /// The config of a file bundle, instead of an empty one
    #[arg(long, value_name = "FILE[:TYPE]")]
    config_blob: Option<SourceFile>,
    /// The file name of what comes from stdin
    #[arg(long = "name", value_name = "NAME")]
    stdin_name: Option<String>,
    #[command(flatten)]
    pub(super) types: TypeArgs,
}

fn media_type(text: &str) -> std::result::Result<String, String> {
    if media_type::is_valid(text) { Ok(text.into()) } else { Err("expected a media type such as `text/plain`".into()) }
}

/// Reads `glob=media/type`.
fn typed_glob(text: &str) -> std::result::Result<(String, String), String> {
    let (glob, kind) = pair(text).map_err(|_| "expected GLOB=TYPE, such as `*.json=application/json`")?;
    Ok((glob, media_type(&kind)?))
}

impl PackArgs {
    /// The push options set by the flags.
    pub(super) fn options(&self) -> Result<push::Options> {
        let mut options = push::Options::default();
        options.type_name.clone_from(&self.types.name);
        options.set = distinct(&self.set, "--set", "; write a list as `KEY=A,B`")?;
        options.annotations = distinct(&self.annotation, "--annotation", "")?;
        options.artifact_type.clone_from(&self.artifact_type);
        options.media_types.clone_from(&self.media_type);
        options.config.clone_from(&self.config_blob);
        Ok(options)
    }
}

/// Sources, of which one may be stdin: a file that is there until this is dropped.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) files: Vec<SourceFile>,
    _stdin: Option<tempfile::TempDir>,
}

impl PackArgs {
    /// Reads stdin where a source is `-`. Errors: stdin without a name, or a name without stdin; stdin twice.
    pub(super) async fn sources(&self, mut files: Vec<SourceFile>) -> Result<Sources> {
        let is_stdin = |file: &SourceFile| file.path == Path::new("-");
        let stdin = match (files.iter().filter(|file| is_stdin(file)).count(), &self.stdin_name) {
            (0, None) => None,
            (0, Some(_)) => return Err(Error::misuse("`--name` is for stdin, the source `-`")),
            (1, Some(name)) => Some(data::spooled_as(name).await?),
            (1, None) => return Err(Error::misuse("stdin has no name: `--name NAME` gives it one")),
            _ => return Err(Error::misuse("stdin can be read once")),
        };
        for file in files.iter_mut().filter(|file| is_stdin(file)) {
            file.path = stdin.iter().map(|(_, path)| path.clone()).collect();
        }
        Ok(Sources { files, _stdin: stdin.map(|(dir, _)| dir) })
    }
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    if args.raw {
        report.no_template("`--raw`")?;
    }
    let _shown = report.shows();
    let mut context = args.pack.types.context(&Context::from_environment()?);
    context.progress = report.observer();
    let sources = args.pack.sources(vec![args.source]).await?;
    let Planned { plan, planner } =
        push::plan(&sources.files, args.location.as_ref(), &context, &args.pack.options()?).await?;
    told(&plan.type_name, &planner, report);
    plan.warnings.iter().for_each(|warning| report.warn(warning));
    if args.raw {
        report.document(&plan)?;
        return Ok(ExitCode::SUCCESS);
    }
    let target = args.location.as_ref().map(|location| location.fill(&plan.reference)).transpose()?;
    let packed = push::packed(&plan, &context).await?;
    let (json, lines) = described(&plan.type_name, &planner, &packed, target.as_ref())?;
    report.result(Some(&packed.root().digest), &json, &lines)?;
    Ok(ExitCode::SUCCESS)
}

/// Reports the detected type of the source and the reason.
pub(super) fn told(type_name: &str, planner: &Planner, report: &Report) {
    let form = planner.form().map(|form| format!(" ({form})")).unwrap_or_default();
    let from = match planner.origin() {
        Some(Origin::File(path)) => format!(" of {}", path.display()),
        Some(Origin::Builtin(_)) | None => String::new(),
    };
    report.say(format!("{type_name}{form}{from}: {}", planner.why()));
}

/// The packed artifact as JSON and as lines.
pub(super) fn described(
    type_name: &str,
    planner: &Planner,
    packed: &Packed,
    target: Option<&Location>,
) -> Result<(Map<String, Value>, Vec<String>)> {
    let parsed = Parsed::read(&packed.root().media_type, packed.manifest())?;
    let mut description = Description::bare(packed.root(), &parsed);
    description.type_name = Some(type_name.to_owned());
    let lines = inspect::text(target, &description);
    let mut json = facts(type_name, planner, &packed.summary())?;
    json.extend(target.map(|target| ("location".to_owned(), target.to_string().into())));
    Ok((json, lines))
}

/// What was decided about a source and what became of it, for the document.
pub(super) fn facts(
    type_name: &str,
    planner: &Planner,
    summary: &artifact::pack::Summary,
) -> Result<Map<String, Value>> {
    let mut json = object(summary)?;
    json.insert("type".into(), type_name.into());
    json.insert("form".into(), planner.form().into());
    let program = |plugin: &Plugin| plugin.program().display().to_string();
    let origin = match planner {
        Planner::Program(plugin) => Some(program(plugin)),
        planner => planner.origin().map(ToString::to_string),
    };
    json.insert("origin".into(), origin.into());
    json.insert("why".into(), planner.why().into());
    Ok(json)
}
