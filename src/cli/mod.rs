//! The commands and the steps common to all: parse, run, report, exit code.
//!
//! One file a command: a clap struct whose doc comments are the help text, and one `run`. Output goes through
//! [`report`], advice through [`hint`], the environment through [`environment`]; nothing else reads or prints.

mod access;
mod annotate;
mod attach;
mod attest;
mod blob;
mod cat;
mod check;
mod completions;
mod copy;
mod cosign;
mod costs;
mod data;
mod delete;
mod environment;
mod examples;
mod help;
mod hint;
mod inspect;
mod keygen;
mod keys;
mod log;
mod login;
mod ls;
mod manifest;
mod misuse;
mod other_tools;
mod pairs;
mod plan;
mod progress;
mod pull;
mod push;
mod report;
mod resolve;
mod screen;
mod serve;
mod session;
mod several;
mod sign;
mod stop;
mod tag;
mod text;
mod topics;
mod tour;
mod tree;
mod types;
mod verify;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use artifact::{Error, Kind, Result};
use clap::{FromArgMatches as _, Parser, Subcommand};

use report::Report;

/// Threads of a server that look into files.
const SERVING_THREADS: usize = 64;

/// Pack files into OCI artifacts, and move artifacts between registries, layouts and archives.
///
/// A location is `host[:port]/repository[:tag][@digest]`, `oci:DIRECTORY[:tag]` or `oci-archive:FILE.tar[:tag]`;
/// a path that starts with `./`, `../` or `/` is a layout directory, or an archive when it ends in `.tar`.
#[derive(Debug, Parser)]
#[command(name = "artifact", version, max_term_width = 100, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    output: report::Args,
    #[command(flatten)]
    log: log::LogArgs,
    /// At the end, write the costs of the run to this file as JSON: `hashed`, in bytes
    #[arg(long, global = true, hide = true, value_name = "FILE")]
    costs: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Push(Box<push::Args>),
    Pull(pull::Args),
    Plan(plan::Args),
    #[command(alias = "cp")]
    Copy(Box<copy::Args>),
    Attach(attach::Args),
    Inspect(inspect::Args),
    #[command(alias = "discover")]
    Tree(tree::Args),
    #[command(alias = "list")]
    Ls(ls::Args),
    Tag(tag::Args),
    #[command(alias = "rm")]
    Delete(delete::Args),
    Cat(cat::Args),
    #[command(alias = "digest")]
    Resolve(resolve::Args),
    #[command(subcommand)]
    Manifest(manifest::Command),
    #[command(subcommand)]
    Blob(blob::Command),
    Annotate(annotate::Args),
    Sign(Box<sign::Args>),
    Attest(attest::Args),
    Verify(Box<verify::Args>),
    Keygen(keygen::Args),
    #[command(subcommand)]
    Types(types::Command),
    Serve(serve::Args),
    Check(check::Args),
    Login(login::LoginArgs),
    Logout(login::LogoutArgs),
    Tour(tour::Args),
    Completions(completions::Args),
    Help(help::Args),
    Version(help::VersionArgs),
}

/// Exit codes: 0 done, 1 failed, 2 misuse, 3 verification failed, 4 not found, 5 refused by the registry, 6 unsigned, 70 internal,
/// 128 + n stopped by signal n.
pub(crate) fn main() -> ExitCode {
    environment::without_core_dumps();
    let arguments = environment::arguments();
    let parsed = help::command().try_get_matches_from(&arguments);
    let parsed = parsed.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, help::path(&matches))));
    let (mut cli, command) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return misuse::report_misuse(&error, &arguments),
    };
    if let Command::Verify(args) = &cli.command {
        cli.output.format = cli.output.format.or(args.output());
    }
    let report = Report::new(&cli.output, command, &arguments);
    if let Err(error) = Report::check(&cli.output).and_then(|()| log::start(&cli.log, &report)) {
        return finish(Err(error), &report);
    }
    let graceful = matches!(cli.command, Command::Serve(_));
    let report = if matches!(cli.command, Command::Verify(_)) { report.of_judgement() } else { report };
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if graceful {
        // Hundreds of clients at once would otherwise get a thread each, with its stack, to look into files.
        builder.max_blocking_threads(SERVING_THREADS);
    }
    let Ok(runtime) = builder.enable_all().build() else {
        report.error(&Error::new(Kind::Io, "cannot start threads"));
        return ExitCode::FAILURE;
    };
    let (code, patience) = runtime.block_on(async {
        let inner = report.clone();
        // The server stops by itself, after its open requests.
        let stopped = (!graceful).then(stop::signalled);
        let mut task = tokio::spawn(async move { dispatch(cli.command, &inner).await });
        let stopped = async {
            match stopped {
                Some(stopped) => stopped.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            done = &mut task => {
                let done = done.unwrap_or_else(|e| Err(Error::new(Kind::Internal, e.to_string())));
                if done.is_err() {
                    stop::undo_finished().await;
                }
                // The server has already waited for its requests.
                (finish(done, &report), if graceful { stop::BLOCKING } else { Duration::from_secs(1) })
            }
            signal = stopped => {
                report.ended();
                stop::abort_command(task).await;
                (ExitCode::from(128 + signal), stop::BLOCKING)
            }
        }
    });
    runtime.shutdown_timeout(patience);
    match cli.costs.map(|file| costs::write(&file)) {
        Some(Err(error)) => finish(Err(error), &report),
        _ => code,
    }
}

async fn dispatch(command: Command, report: &Report) -> Result<ExitCode> {
    match command {
        Command::Push(args) => push::run(*args, report).await,
        Command::Pull(args) => pull::run(args, report).await,
        Command::Plan(args) => plan::run(args, report).await,
        Command::Copy(args) => copy::run(*args, report).await,
        Command::Attach(args) => attach::run(args, report).await,
        Command::Inspect(args) => inspect::run(args, report).await,
        Command::Tree(args) => tree::run(args, report).await,
        Command::Ls(args) => ls::run(args, report).await,
        Command::Tag(args) => tag::run(args, report).await,
        Command::Delete(args) => delete::run(args, report).await,
        Command::Cat(args) => cat::run(args, report).await,
        Command::Resolve(args) => resolve::run(args, report).await,
        Command::Manifest(args) => manifest::run(args, report).await,
        Command::Blob(args) => blob::run(args, report).await,
        Command::Annotate(args) => annotate::run(args, report).await,
        Command::Sign(args) => sign::run(*args, report).await,
        Command::Attest(args) => attest::run(args, report).await,
        Command::Verify(args) => verify::run(*args, report).await,
        Command::Keygen(args) => keygen::run(args, report).await,
        Command::Types(args) => types::run(args, report).await,
        Command::Serve(args) => serve::run(args, report).await,
        Command::Check(args) => check::run(args, report).await,
        Command::Login(args) => login::login(args, report).await,
        Command::Logout(args) => login::logout(args, report).await,
        Command::Tour(args) => tour::run(args, report).await,
        Command::Completions(args) => completions::run(&args, report),
        Command::Help(args) => help::help(&args, report),
        Command::Version(_) => help::version(report),
    }
}

fn finish(outcome: Result<ExitCode>, report: &Report) -> ExitCode {
    match outcome {
        Ok(code) => code,
        Err(_) if report.may_end_early() => ExitCode::SUCCESS,
        Err(error) => {
            report.error(&error);
            ExitCode::from(exit_code(error.kind()))
        }
    }
}

/// The exit code for a failure.
fn exit_code(kind: Kind) -> u8 {
    match kind {
        Kind::Misuse => 2,
        Kind::Mismatch => 3,
        Kind::NotFound => 4,
        Kind::Unauthorized | Kind::Denied => 5,
        Kind::Unsigned => 6,
        Kind::Internal => 70,
        _ => 1,
    }
}

/// Of several failures, the place of this kind: the least one decides the exit code.
fn rank(kind: Kind) -> usize {
    let code = exit_code(kind);
    [70, 3, 6, 5, 4, 1, 2].iter().position(|ranked| *ranked == code).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// README, "Many artifacts in one copy".
    #[test]
    fn what_is_wrong_goes_before_what_is_refused_missing_or_may_pass() {
        let kinds = [Kind::Mismatch, Kind::Unsigned, Kind::Denied, Kind::NotFound, Kind::Unavailable];
        let codes: Vec<u8> = kinds.into_iter().map(exit_code).collect();
        assert_eq!(codes, [3, 6, 5, 4, 1]);
        assert!(kinds.is_sorted_by_key(|kind| rank(*kind)));
        assert!(rank(Kind::Internal) < rank(Kind::Mismatch) && rank(Kind::Unavailable) < rank(Kind::Misuse));
        assert!(rank(Kind::Misuse) < usize::MAX);
    }
}
