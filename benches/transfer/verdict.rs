//! Two programs by turns, and what of the second needs too much more than the first.

use std::fmt;

use crate::process::Used;

/// The most that anything may need, in units of the baseline.
pub(crate) const MOST: f64 = 1.05;
/// How many turns there are.
pub(crate) const TURNS: usize = 7;
/// Processor seconds that each program uses in a turn, at least: a short run is repeated.
const ENOUGH: f64 = 0.5;
/// Wall seconds after which a turn is over, whatever it used.
const LONG: f64 = 8.0;
/// What may need more than [`MOST`], and how much: `| row | ratio | reason |`.
const README: &str = include_str!("../README.md");

/// What is compared. Everything else that was measured is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    Processor,
    Memory,
    Requests,
}

/// A program that has its turn.
pub(crate) struct Turn<'a> {
    pub(crate) program: &'a str,
    /// 0 is the baseline.
    pub(crate) side: usize,
    /// A name that has not been used before.
    pub(crate) new: String,
}

/// The table that comes out.
#[derive(Debug)]
pub(crate) struct Versus {
    programs: [String; 2],
    runs: usize,
    rows: Vec<[String; 6]>,
    over: Vec<String>,
    failed: Vec<String>,
    left_out: Vec<String>,
}

impl Versus {
    /// The baseline, and what is compared with it.
    pub(crate) fn new(programs: [String; 2]) -> Self {
        Self { programs, runs: 0, rows: Vec::new(), over: Vec::new(), failed: Vec::new(), left_out: Vec::new() }
    }

    /// Whether everything could be measured, and nothing was over twice.
    pub(crate) fn holds(&self) -> bool {
        self.over.is_empty() && self.failed.is_empty()
    }

    pub(crate) fn failed(&mut self, line: String) {
        self.failed.push(line);
    }

    pub(crate) fn left_out(&mut self, line: String) {
        self.left_out.push(line);
    }

    /// Measures; what is over is measured once more, and is over when it is so twice.
    pub(crate) fn row(
        &mut self,
        what: &str,
        rules: &[Rule],
        turns: usize,
        run: &mut dyn FnMut(&Turn<'_>) -> Result<Used, String>,
    ) -> Result<(), String> {
        let mut measured = vec![self.measure(turns, run)?];
        let over = |turns: &[[Used; 2]], rule: Rule| ratio(turns, rule.of()) > most(&rule.title(what));
        if rules.iter().any(|rule| over(&measured[0], *rule)) {
            eprintln!("    over: once more");
            measured.push(self.measure(turns, run)?);
        }
        let last = &measured[measured.len() - 1];
        for rule in rules {
            let title = rule.title(what);
            let missed = measured.len() > 1 && measured.iter().all(|turns| over(turns, *rule));
            let mark = if missed { "**" } else { "" };
            let ratios: Vec<String> = measured.iter().map(|turns| format!("{:.3}", ratio(turns, rule.of()))).collect();
            let (low, high) = range(last, rule.of());
            let wall = ratio(last, |used| used.wall);
            self.rows.push([
                title.clone(),
                rule.cell(last, 0),
                rule.cell(last, 1),
                format!("{mark}{}{mark}", ratios.join(", ")),
                if last.len() > 1 { format!("{low:.3} – {high:.3}") } else { String::new() },
                format!("{wall:.2}"),
            ]);
            if missed {
                self.over.push(format!("{title}: {}, {:.2} is allowed", ratios.join(", "), most(&title)));
            }
        }
        Ok(())
    }

    /// What a run needs in the mean, in each turn, of both programs.
    fn measure(
        &mut self,
        turns: usize,
        run: &mut dyn FnMut(&Turn<'_>) -> Result<Used, String>,
    ) -> Result<Vec<[Used; 2]>, String> {
        let mut one = |side: usize, runs: &mut usize| {
            *runs += 1;
            run(&Turn { program: &self.programs[side], side, new: format!("new/{runs}") })
        };
        if turns > 1 {
            // Not counted: it finds what is not there yet.
            one(0, &mut self.runs)?;
            one(1, &mut self.runs)?;
        }
        let mut all = Vec::new();
        for turn in 0..turns {
            let (mut sums, mut count) = ([Used::default(); 2], 0);
            while sums.iter().any(|sum| sum.cpu < ENOUGH) && sums.iter().all(|sum| sum.wall < LONG) {
                // Who was second is first the next time.
                for i in 0..2 {
                    let side = (turn + count + i) % 2;
                    let (sum, used) = (&mut sums[side], one(side, &mut self.runs)?);
                    sum.wall += used.wall;
                    sum.cpu += used.cpu;
                    sum.requests += used.requests;
                    sum.peak = sum.peak.max(used.peak);
                }
                count += 1;
                if turns == 1 {
                    break;
                }
            }
            let mean = |sum: Used| {
                let count = count as f64;
                Used { wall: sum.wall / count, cpu: sum.cpu / count, requests: sum.requests / count, ..sum }
            };
            let means = sums.map(mean);
            eprintln!("    {count:>3} × {}    {}", told(means[0]), told(means[1]));
            all.push(means);
        }
        Ok(all)
    }
}

impl Rule {
    fn of(self) -> fn(&Used) -> f64 {
        match self {
            Self::Processor => |used| used.cpu,
            Self::Memory => |used| used.peak,
            Self::Requests => |used| used.requests,
        }
    }

    fn title(self, what: &str) -> String {
        match self {
            Self::Processor => what.to_owned(),
            Self::Memory => format!("{what}: memory"),
            Self::Requests => format!("{what}: requests"),
        }
    }

    fn cell(self, turns: &[[Used; 2]], side: usize) -> String {
        let median = |of: fn(&Used) -> f64| median(turns.iter().map(|turn| of(&turn[side])).collect());
        let (cpu, wall, peak) = (median(|used| used.cpu), median(|used| used.wall), median(|used| used.peak));
        match self {
            Self::Processor => format!("{cpu:.4} / {wall:.3} / {peak:.0}"),
            Self::Memory => format!("{peak:.1} MiB"),
            Self::Requests => format!("{:.0} in {wall:.1} s", median(|used| used.requests)),
        }
    }
}

fn told(used: Used) -> String {
    format!("{:.4} CPU s {:.3} s {:>4.0} MiB", used.cpu, used.wall, used.peak)
}

/// The most that this row may need: what README.md names, or [`MOST`].
fn most(row: &str) -> f64 {
    let named = README.lines().find_map(|line| {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        if cells.next()? == row { cells.next()?.parse().ok() } else { None }
    });
    named.unwrap_or(MOST)
}

fn ratios(turns: &[[Used; 2]], of: fn(&Used) -> f64) -> Vec<f64> {
    turns.iter().map(|[baseline, now]| of(now) / of(baseline)).collect()
}

/// The median: what both did at the same time is compared.
fn ratio(turns: &[[Used; 2]], of: fn(&Used) -> f64) -> f64 {
    median(ratios(turns, of))
}

/// Between which the ratios of all turns are, but for one at each end.
fn range(turns: &[[Used; 2]], of: fn(&Used) -> f64) -> (f64, f64) {
    let mut ratios = ratios(turns, of);
    ratios.sort_by(f64::total_cmp);
    let cut = usize::from(ratios.len() > 2);
    (ratios[cut], ratios[ratios.len() - 1 - cut])
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

impl fmt::Display for Versus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["CPU s / s / MiB", "baseline", "now", "ratio", "of the turns", "wall"].map(str::to_owned);
        let widths: [usize; 6] = std::array::from_fn(|i| {
            std::iter::once(&head).chain(&self.rows).map(|row| row[i].chars().count()).max().unwrap_or(0)
        });
        let mut line = |row: &[String; 6]| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} |"));
            writeln!(f, "|{}", cells.collect::<String>())
        };
        line(&head)?;
        line(&std::array::from_fn(|i| "-".repeat(widths[i])))?;
        self.rows.iter().try_for_each(&mut line)?;
        for (head, lines) in [("Over, twice", &self.over), ("Failed", &self.failed), ("Left out", &self.left_out)] {
            if !lines.is_empty() {
                writeln!(f, "\n{head}:")?;
            }
            lines.iter().try_for_each(|line| writeln!(f, "- {line}"))?;
        }
        Ok(())
    }
}
