//! `artifact completions`: shell completion scripts.

use std::process::ExitCode;

use artifact::Result;
use clap::CommandFactory as _;

use super::{Cli, report::Report};

/// Print a shell completion script.
///
/// For bash: `artifact completions bash > ~/.local/share/bash-completion/completions/artifact`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
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
