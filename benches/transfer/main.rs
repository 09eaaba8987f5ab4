//! How fast transfers are, beside the peers: `cargo bench --bench transfer`, with `-- full` at the sizes that are quoted
//! in reports, and with more words to run a part (`-- full push large docker`; `-- list` shows what there is). With
//! `BASELINE=PROGRAM` it is this program beside an older one; ../README.md says how, and what must come out.
//!
//! Peers are found on the `PATH`; what is missing is left out and said. Clients that do the same work take turns on the
//! same files; the best of three runs counts, of fewer where a client needs long. Clients are measured from outside:
//! wall seconds, processor seconds, peak memory in MiB. A ratio is our wall time in theirs: what is less than 1 is
//! faster, and one that is worse than its target is printed in bold.
//!
//! Registries keep their content in memory (`/dev/shm`), at most 6 GiB at a time, which is gone when the run ends or is
//! interrupted. Progress is on stderr; stdout gets one table in Markdown.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

mod baseline;
mod delay;
mod load;
mod place;
mod process;
mod registry;
mod run;
mod sample;
mod server;
mod serving;
mod table;
#[path = "../support/text.rs"]
mod text;
mod verdict;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::ExitCode,
    time::Instant,
};

use crate::{
    baseline::{Baseline, pack_bench},
    place::Place,
    sample::{Kind, Sample},
    server::{DOCKER, OURS},
    table::Table,
    verdict::Versus,
};

/// Where it happens, what was asked for, and what came out.
pub(crate) struct Bench<'a> {
    place: &'a Place,
    words: Vec<String>,
    only_list: bool,
    table: Table,
}

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let mut flag = |name: &str| words.iter().position(|word| word == name).map(|at| words.remove(at)).is_some();
    let (full, only_list) = (flag("full"), flag("list"));
    let (program, baseline) = (program("PROGRAM"), program("BASELINE"));
    let program = program.unwrap_or_else(|| env!("CARGO_BIN_EXE_artifact").into());
    let makes = baseline.as_deref().map_or_else(|| program.clone(), |baseline| copied(baseline, "server"));
    let place = match Place::new(makes, if full { 6 << 30 } else { 1 << 30 }) {
        Ok(place) => place,
        Err(why) => {
            eprintln!("error: {why}");
            return ExitCode::FAILURE;
        }
    };
    let start = Instant::now();
    if !only_list {
        println!("{}\n", machine());
    }
    if let Some(baseline) = baseline {
        let packs = [&baseline, &program].map(|program| pack_bench(Path::new(program)));
        let packs = match packs {
            [Some(first), Some(second)] => Some([copied(&first, "pack-baseline"), copied(&second, "pack-now")]),
            _ => None,
        };
        let versus = Versus::new([copied(&baseline, "baseline"), copied(&program, "now")]);
        let mut bench = Baseline { place: &place, words, only_list, packs, versus };
        bench.all(full);
        if !only_list {
            println!("{}", bench.versus);
            eprintln!("{:.0} s", start.elapsed().as_secs_f64());
        }
        return if bench.versus.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let mut bench = Bench { place: &place, words, only_list, table: Table::default() };
    bench.large(if full { 1 << 30 } else { 64 << 20 });
    bench.many(if full { 2_000 } else { 100 });
    bench.tree(if full { 20_000 } else { 1_000 });
    bench.layers(if full { 200 } else { 20 });
    if !only_list {
        println!("{}", bench.table);
        eprintln!("{:.0} s", start.elapsed().as_secs_f64());
    }
    ExitCode::SUCCESS
}

/// A program that the environment names.
fn program(variable: &str) -> Option<String> {
    let path = std::env::var(variable).ok()?;
    // Commands run in a directory of their own.
    Some(fs::canonicalize(&path).unwrap_or_else(|e| panic!("{variable}={path}: {e}")).display().to_string())
}

/// A copy of a program. The kernel keeps a file that was copied in larger pieces in memory than one that a linker wrote,
/// and a start of the same program costs 10 % less; so all are copies. The server has one for itself: it would keep that
/// of a client warm.
fn copied(program: &str, name: &str) -> String {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("baseline");
    let copy = dir.join(name);
    fs::create_dir_all(&dir).unwrap();
    // Not written over: it may run.
    let _ = fs::remove_file(&copy);
    fs::copy(program, &copy).unwrap_or_else(|e| panic!("{program}: {e}"));
    copy.display().to_string()
}

/// What it runs on; with SHA instructions, hashing costs a fifth of what it costs without.
fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |names: &[&str]| {
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        let mut found = fields.filter(|(name, _)| names.contains(&name.trim()));
        found.next().map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let sha = field(&["flags", "Features"]).split(' ').any(|flag| ["sha_ni", "sha2"].contains(&flag));
    let model = Some(field(&["model name", "CPU part"])).filter(|model| !model.is_empty());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (model, with) = (model.unwrap_or_else(|| "processor".into()), if sha { "with" } else { "without" });
    format!("{model}, {cores} cores, {with} SHA instructions")
}

impl Bench<'_> {
    /// One large file.
    fn large(&mut self, size: usize) {
        let sample = Sample::new(self.place, "large", Kind::Blobs, 1, size);
        for registry in [DOCKER, OURS] {
            self.case(&format!("push large {registry}"), |bench| bench.push(&sample, registry));
            self.case(&format!("pull large {registry}"), |bench| bench.pull(&sample, registry));
        }
        self.case("local large", |bench| bench.local(&sample));
        self.case("serve large", |bench| bench.serve_large(&sample));
    }

    /// Many smaller ones.
    fn many(&mut self, count: usize) {
        let sample = Sample::new(self.place, "many", Kind::Blobs, count, 256 << 10);
        for registry in [DOCKER, OURS] {
            self.case(&format!("push many {registry}"), |bench| bench.push(&sample, registry));
            self.case(&format!("pull many {registry}"), |bench| bench.pull(&sample, registry));
        }
        self.case("unchanged many", |bench| bench.unchanged(&sample));
        self.case("local many", |bench| bench.local(&sample));
        self.case("serve many", |bench| bench.serve_many(&sample));
    }

    /// A directory of small files.
    fn tree(&mut self, count: usize) {
        let sample = Sample::new(self.place, "tree", Kind::Tree, count, 0);
        self.case(&format!("directory {DOCKER}"), |bench| bench.directory(&sample, DOCKER));
    }

    /// Small layers, far away.
    fn layers(&mut self, count: usize) {
        let sample = Sample::new(self.place, "layers", Kind::Blobs, count, 16 << 10);
        self.case(&format!("far {DOCKER}"), |bench| bench.far(&sample, false));
        self.case(&format!("far https {DOCKER}"), |bench| bench.far(&sample, true));
    }

    /// Runs a case when all words that were given are in its name. One that fails does not stop the others.
    fn case(&mut self, name: &str, run: impl FnOnce(&mut Self)) {
        if !self.words.iter().all(|word| name.contains(word.as_str())) {
            return;
        }
        if self.only_list {
            return println!("{name}");
        }
        eprintln!("{name}");
        if catch_unwind(AssertUnwindSafe(|| run(self))).is_err() {
            self.table.left_out(format!("{name}: failed, see above"));
        }
    }
}
