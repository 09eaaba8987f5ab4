//! What comes out: one table in Markdown.

use std::fmt;

use crate::run::{Cost, Measured};

/// Rows, each with a ratio and, where there is one, the most that it may be.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<[String; 7]>,
    left_out: Vec<String>,
}

impl Table {
    /// Two clients; the ratio is that of their wall times.
    pub(crate) fn compare(&mut self, what: &str, with: &str, ours: &Measured, theirs: &Measured, most: Option<f64>) {
        for measured in [ours, theirs] {
            if let Some(why) = &measured.why_not {
                let line = format!("{what}, {with}: {}: {why}", measured.name);
                if !self.left_out.contains(&line) {
                    self.left_out.push(line);
                }
            }
        }
        let (Some(own), Some(other)) = (ours.cost, theirs.cost) else { return };
        if own.unfinished {
            return self.left_out(format!("{what}, {with}: {} takes longer than {} s", ours.name, own.wall));
        }
        self.row(what, with, (ours.name, cell(own)), (theirs.name, cell(other)), own.wall / other.wall, most);
    }

    /// What two clients make the registry do: where it is the floor, nobody can be faster than its part of the work.
    pub(crate) fn servers(&mut self, what: &str, with: &str, ours: &Measured, theirs: &Measured) {
        let server = |measured: &Measured| measured.cost.and_then(|cost| cost.server);
        let (Some(own), Some(other)) = (server(ours), server(theirs)) else { return };
        let what = format!("{what}: processor of the registry");
        let cell = |seconds: f64| format!("{seconds:.2} CPU s");
        self.row(&what, with, (ours.name, cell(own)), (theirs.name, cell(other)), own / other, None);
    }

    /// A quantity of ours, and the most that it may be.
    pub(crate) fn bound(&mut self, what: &str, with: &str, (value, unit): (f64, &str), most: f64) {
        let digits = usize::from(value < 10.0 && value.fract() != 0.0) * 2;
        let most_digits = usize::from(most.fract() != 0.0) * 2;
        let (own, bound) = (format!("{value:.digits$} {unit}"), format!("{most:.most_digits$} {unit}"));
        self.row(what, with, ("", own), ("bound", bound), value / most, Some(1.0));
    }

    /// Processor time and memory of a client, and the most that they may be.
    pub(crate) fn bounds(&mut self, what: &str, with: &str, ours: &Measured, cpu: Option<f64>, peak: f64) {
        let Some((own_cpu, own_peak)) = ours.cost.and_then(|cost| cost.client) else { return };
        if let Some(cpu) = cpu {
            self.bound(&format!("{what}: processor"), with, (own_cpu, "CPU s"), cpu);
        }
        self.bound(&format!("{what}: memory"), with, (own_peak, "MiB"), peak);
    }

    /// Something that was left out, and why.
    pub(crate) fn left_out(&mut self, line: impl Into<String>) {
        self.left_out.push(line.into());
    }

    /// Any row.
    pub(crate) fn row(
        &mut self,
        what: &str,
        with: &str,
        ours: (&str, String),
        theirs: (&str, String),
        ratio: f64,
        most: Option<f64>,
    ) {
        let missed = most.is_some_and(|most| ratio > most);
        let mark = if missed { "**" } else { "" };
        self.rows.push([
            what.into(),
            with.into(),
            ours.1,
            theirs.0.into(),
            theirs.1,
            format!("{mark}{ratio:.2}{mark}"),
            most.map_or_else(String::new, |most| format!("≤ {most:.2}")),
        ]);
    }
}

fn cell(cost: Cost) -> String {
    if cost.unfinished {
        return format!("over {:.0}", cost.wall);
    }
    let client = cost.client.map(|(cpu, peak)| format!(" / {cpu:.2} / {peak:.0}")).unwrap_or_default();
    format!("{:.2}{client}", cost.wall)
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["", "registry", "ours", "against", "s / CPU s / MiB", "ratio", "target"].map(str::to_owned);
        let widths: Vec<usize> = (0..head.len())
            .map(|i| std::iter::once(&head).chain(&self.rows).map(|row| row[i].chars().count()).max().unwrap_or(0))
            .collect();
        let mut line = |row: &[String; 7]| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} |"));
            writeln!(f, "|{}", cells.collect::<String>())
        };
        line(&head)?;
        line(&std::array::from_fn(|i| "-".repeat(widths[i])))?;
        self.rows.iter().try_for_each(line)?;
        if !self.left_out.is_empty() {
            writeln!(f, "\nLeft out:")?;
        }
        self.left_out.iter().try_for_each(|line| writeln!(f, "- {line}"))
    }
}
