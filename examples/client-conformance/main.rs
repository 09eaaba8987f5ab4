//! How well does a client survive what registries and networks do? Runs programs through the scenarios in
//! `scenarios/`, each against a registry of its own that has exactly that bad day, and prints a scoreboard.
//!
//!     cargo run --release --example client-conformance -- --client artifact --client oras
//!     cargo run --release --example client-conformance -- --pull 'oras pull --plain-http {ref} -o {dir}'
//!
//! README.md beside this file has the options, the placeholders and the last results.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod client;
mod sample;
mod score;

use std::{net::SocketAddr, path::Path, process::ExitCode, sync::Arc};

use artifact::{
    Error, Result,
    fault::{End, Operation, Scenario},
    serve::{App, InMemory, Options, Registry, Running, Server},
};
use clap::Parser;

use client::{Client, Preset};
use sample::Sample;
use score::{Cell, Row};

const SCENARIOS: [&str; 2] = [include_str!("scenarios/pull.yaml"), include_str!("scenarios/push.yaml")];

/// Run clients of OCI registries through everything that registries and networks do
#[derive(Debug, Parser)]
struct Args {
    /// A client whose commands are known; several become columns
    #[arg(long, value_enum)]
    client: Vec<Preset>,
    /// The command that pulls {ref} into the directory {dir}
    #[arg(long, value_name = "COMMAND")]
    pull: Option<String>,
    /// The command that pulls {ref} into {dir}, a layout, with all that refers to it
    #[arg(long, value_name = "COMMAND")]
    pull_referrers: Option<String>,
    /// The command that pushes the file {file}, or `v1` of the layout {layout}, to {ref}
    #[arg(long, value_name = "COMMAND")]
    push: Option<String>,
    /// Only scenarios whose name holds this text
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Scenarios from this file, instead of those that are built in
    #[arg(long, value_name = "FILE")]
    scenarios: Option<std::path::PathBuf>,
    /// Show what the clients say
    #[arg(short, long)]
    verbose: bool,
    /// What is printed
    #[arg(long, value_enum, default_value_t)]
    format: score::Format,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether every client passed everything that was tried with it.
async fn run(args: &Args) -> Result<bool> {
    let mut clients: Vec<Client> = args.client.iter().map(|preset| preset.client()).collect();
    let own = Client {
        name: "client".into(),
        pull: args.pull.clone(),
        pull_referrers: args.pull_referrers.clone(),
        push: args.push.clone(),
    };
    if own.pull.is_some() || own.pull_referrers.is_some() || own.push.is_some() {
        clients.push(own);
    }
    if clients.is_empty() {
        return Err(Error::invalid("name a client with --client, or its commands with --pull and --push"));
    }
    args.format.head(&clients);
    let mut rows = Vec::new();
    for scenario in scenarios(args)? {
        let mut cells = Vec::new();
        for client in &clients {
            let cell = match client.command(&scenario) {
                Some(command) => Some(play(&scenario, client, command, args.verbose).await?),
                None => None,
            };
            cells.push(cell);
        }
        let row = Row { scenario, cells };
        args.format.row(&row, &clients)?;
        rows.push(row);
    }
    args.format.end(&rows, &clients)?;
    Ok(rows.iter().flat_map(|row| &row.cells).flatten().all(|cell| cell.wrong.is_none()))
}

fn scenarios(args: &Args) -> Result<Vec<Scenario>> {
    let texts = match &args.scenarios {
        Some(path) => vec![std::fs::read_to_string(path)?],
        None => SCENARIOS.map(str::to_owned).to_vec(),
    };
    let mut all = Vec::new();
    for text in texts {
        all.extend(Scenario::parse(&text)?);
    }
    let wanted = |scenario: &Scenario| args.only.as_ref().is_none_or(|only| scenario.name.contains(only.as_str()));
    Ok(all.into_iter().filter(wanted).collect())
}

/// One client in one scenario: a registry in memory on a good day and the same one on its bad day.
async fn play(scenario: &Scenario, client: &Client, command: &str, verbose: bool) -> Result<Cell> {
    let sample = Sample::new(&scenario.sample)?;
    let faults = Arc::new(scenario.faults());
    let repositories = Arc::new(InMemory::new());
    let healthy = serve(registry(&repositories)).await?;
    let faulty = serve(faults.around(registry(&repositories))).await?;
    if scenario.operation == Operation::Pull {
        sample.push(healthy.addr()).await?;
    }
    let scratch = tempfile::tempdir()?;
    sample.write(scratch.path()).await?;
    let ran = client.run(command, &faulty.addr().to_string(), scratch.path(), scenario.limit.0, verbose).await?;
    let end = match ran.success {
        None => End::Hung,
        Some(true) => End::Succeeded { right: right(scenario, &sample, scratch.path(), healthy.addr()).await },
        Some(false) => End::Failed { clean: clean(scenario, &sample, scratch.path(), healthy.addr()).await },
    };
    let wrong = scenario.judge(end, &faults);
    Ok(Cell { wrong, seconds: ran.seconds, requests: faults.seen().len(), said: ran.said })
}

fn registry(repositories: &Arc<InMemory>) -> Registry {
    let repositories = Arc::clone(repositories) as Arc<_>;
    Registry::new(Options { repositories, ..Options::in_memory() })
}

async fn serve(app: impl App) -> Result<Running> {
    Ok(Server::bind(([127, 0, 0, 1], 0), app).await?.spawn())
}

/// Whether everything is where it belongs.
async fn right(scenario: &Scenario, sample: &Sample, scratch: &Path, registry: SocketAddr) -> bool {
    match scenario.operation {
        Operation::Pull => sample.arrived(&scratch.join(client::DIR)),
        Operation::Push => sample.pushed(registry).await,
    }
}

/// Whether nothing wrong can be taken for right.
async fn clean(scenario: &Scenario, sample: &Sample, scratch: &Path, registry: SocketAddr) -> bool {
    match scenario.operation {
        Operation::Pull => sample.nothing_wrong(&scratch.join(client::DIR)),
        Operation::Push => !sample.tagged(registry).await || sample.pushed(registry).await,
    }
}
