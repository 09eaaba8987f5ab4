//! `artifact help` and `artifact version`: the help of a command, and what several commands have in common.

use std::process::ExitCode;

use artifact::{Error, Result};
use clap::{Arg, ArgMatches, Command, CommandFactory as _};
use serde_json::json;

use super::{Cli, examples, report::Report, topics::TOPICS};

/// Print the help of a command, or what there is to know about locations, JSON, exit codes, the environment.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A command, or one of: locations, json, exit-codes, environment [default: the commands]
    #[arg(value_name = "COMMAND|TOPIC")]
    words: Vec<String>,
}

/// Print the version.
#[derive(Debug, clap::Args)]
pub(crate) struct VersionArgs {}

/// The command line, with the examples in the help of each command. `-h` leaves out what is about registries, so that it
/// fits on a screen.
pub(crate) fn command() -> Command {
    with_examples(Cli::command(), "")
}

/// Options that few need.
const RARE: [&str; 6] = ["debug", "log", "concurrency", "read_back", "recheck", "replace"];

/// Options of registries that nobody needs who asks none: they are taken, and not shown.
const OF_CONTENT: [&str; 9] =
    ["insecure", "ca_file", "cert_file", "key_file", "username", "password_stdin", "limit_rate", "retries", "timeout"];

fn is_long(arg: &Arg) -> bool {
    arg.get_help_heading().is_some_and(|heading| heading.starts_with("Registry"))
        || RARE.contains(&arg.get_id().as_str())
}

fn with_examples(mut command: Command, path: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    for name in names {
        let path = if path.is_empty() { name.clone() } else { format!("{path} {name}") };
        command = command.mut_subcommand(name, |inner| with_examples(inner, &path));
    }
    let idle = if path == "logout" { &OF_CONTENT[..] } else { &[] };
    command = command.mut_args(|arg| match arg.get_id().as_str() {
        id if idle.contains(&id) => arg.hide(true),
        _ if is_long(&arg) => arg.hide_short_help(true),
        _ => arg,
    });
    match examples::of(path) {
        Some(examples) => command.after_help(examples),
        None => command,
    }
}

/// The command that was given, such as `types list`.
pub(crate) fn path(matches: &ArgMatches) -> String {
    match matches.subcommand() {
        Some((name, inner)) => format!("{name} {}", path(inner)).trim_end().to_owned(),
        None => String::new(),
    }
}

pub(crate) fn help(args: &Args, report: &Report) -> Result<ExitCode> {
    report.lines_only("help")?;
    let text = match args.words.as_slice() {
        [topic] if TOPICS.iter().any(|known| known.name == topic) => topic_text(topic),
        words => command_help(words)?,
    };
    report.bytes(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn topic_text(name: &str) -> String {
    TOPICS.iter().find(|topic| topic.name == name).map(super::topics::Topic::text).unwrap_or_default()
}

/// The help of the command with this path.
fn command_help(words: &[String]) -> Result<String> {
    let mut command = command();
    command.build();
    for word in words {
        let inner = command.find_subcommand(word).cloned();
        command = inner.ok_or_else(|| {
            let topics: Vec<&str> = TOPICS.iter().map(|topic| topic.name).collect();
            Error::misuse(format!(
                "there is no command or topic `{word}`; `artifact --help` lists the commands; the topics are {}",
                topics.join(", ")
            ))
        })?;
    }
    Ok(command.render_long_help().to_string())
}

pub(crate) fn version(report: &Report) -> Result<ExitCode> {
    let version = env!("CARGO_PKG_VERSION");
    report.result(None, &json!({ "version": version }), &[format!("artifact {version}")])?;
    Ok(ExitCode::SUCCESS)
}
