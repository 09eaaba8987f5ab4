//! The scoreboard.

use std::io::Write as _;

use artifact::{
    Error, Result,
    fault::{Operation, Scenario},
};
use serde_json::json;

use crate::client::Client;

/// What came of one client in one scenario.
pub(crate) struct Cell {
    /// What it did wrong.
    pub(crate) wrong: Option<String>,
    pub(crate) seconds: f64,
    pub(crate) requests: usize,
    /// The last line that it said.
    pub(crate) said: String,
}

/// One scenario, with a cell for each client that can do such a thing.
pub(crate) struct Row {
    pub(crate) scenario: Scenario,
    pub(crate) cells: Vec<Option<Cell>>,
}

/// What is printed.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// A table in Markdown, row by row while the clients run
    #[default]
    Text,
    /// One JSON document a scenario and client, each on a line of its own
    Json,
}

fn operation(row: &Row) -> &'static str {
    match row.scenario.operation {
        Operation::Pull => "pull",
        Operation::Push => "push",
    }
}

impl Format {
    /// Prints a row.
    pub(crate) fn row(self, row: &Row, clients: &[Client]) -> Result<()> {
        let cells = row.cells.iter().zip(clients).filter_map(|(cell, client)| Some((cell.as_ref()?, client)));
        match self {
            Self::Json => {
                for (cell, client) in cells {
                    let line = json!({
                        "scenario": row.scenario.name, "operation": operation(row), "client": client.name,
                        "passed": cell.wrong.is_none(), "wrong": cell.wrong, "seconds": cell.seconds,
                        "requests": cell.requests, "said": cell.said,
                    });
                    println!("{line}");
                }
            }
            Self::Text => {
                let cells: Vec<String> = row.cells.iter().map(|cell| cell.as_ref().map_or("–".into(), text)).collect();
                println!("| {} | {} | {} |", operation(row), row.scenario.name, cells.join(" | "));
            }
        }
        std::io::stdout().flush().map_err(Error::from)
    }

    /// Prints the head of the table.
    pub(crate) fn head(self, clients: &[Client]) {
        if let Self::Text = self {
            let names: Vec<_> = clients.iter().map(|client| client.name.as_str()).collect();
            println!("| | scenario | {} |\n|---|---|{}", names.join(" | "), "---|".repeat(names.len()));
        }
    }

    /// Prints how many scenarios each client passed.
    pub(crate) fn end(self, rows: &[Row], clients: &[Client]) -> Result<()> {
        let Self::Text = self else { return Ok(()) };
        for which in ["pull", "push"] {
            let rows: Vec<&Row> = rows.iter().filter(|row| operation(row) == which).collect();
            let score = |n: usize| {
                let cells: Vec<&Cell> = rows.iter().filter_map(|row| row.cells.get(n)?.as_ref()).collect();
                let passed = cells.iter().filter(|cell| cell.wrong.is_none()).count();
                format!("**{passed}** of {}", cells.len())
            };
            if !rows.is_empty() {
                let scores: Vec<String> = (0..clients.len()).map(score).collect();
                println!("| {which} | **passed** | {} |", scores.join(" | "));
            }
        }
        std::io::stdout().flush().map_err(Error::from)
    }
}

fn text(cell: &Cell) -> String {
    let outcome = cell.wrong.as_deref().map_or("ok".to_owned(), |wrong| format!("**{wrong}**"));
    format!("{outcome}, {:.1} s, {} requests", cell.seconds, cell.requests)
}
