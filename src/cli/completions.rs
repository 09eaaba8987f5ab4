//! `artifact completions`: what a shell needs to complete commands and flags.

use std::process::ExitCode;

use artifact::Result;
use clap::CommandFactory as _;

use super::{Cli, report::Report};

/// Print the completion script of a shell.
///
/// For bash: `artifact completions bash > ~/.local/share/bash-completion/completions/artifact`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: &Args, report: &Report) -> Result<ExitCode> {
    report.lines_only("a completion script")?;
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "artifact", &mut script);
    report.bytes(&script)?;
    Ok(ExitCode::SUCCESS)
}
