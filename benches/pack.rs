//! How fast packing is: `cargo bench --bench pack`, with `-- full` at the sizes that are quoted in reports.
//!
//! Every row is the best of three runs over warm files; the peak is of this process, reset before each row.
//!
//! The bench `transfer` runs what this builds, in the work tree of a baseline and in this one: `rows` names the rows,
//! `make DIR` (with `full`: at the large sizes) makes the files, `row DIR NAME THREADS` packs once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "support/text.rs"]
mod text;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use artifact::{
    oci::media_type,
    pack::{Options, pack},
    plan::{Compression, Content, Entry, EntryKind, ManifestPlan, Part, Plan},
};
use text::text;

/// Mean size of a small file in bytes.
const SMALL: usize = 6 << 10;

/// What small files are compressed with, and what does the same beside it.
const COMPRESSIONS: [(Compression, &str); 5] = [
    (Compression::None, "cat"),
    (Compression::Gzip(1), "gzip -1"),
    (Compression::Gzip(6), "gzip -6"),
    (Compression::Zstd(1), "zstd -q -1 -T2"),
    (Compression::Zstd(3), "zstd -q -3 -T2"),
];
/// Directories of files that become a layer each.
const RAW: [&str; 2] = ["many", "large"];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let full = args.iter().any(|arg| arg == "full");
    let (count, large) = if full { (20_000, 1 << 30) } else { (2_000, 64 << 20) };
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["rows"] => rows().iter().for_each(|(name, _)| println!("{name}")),
        ["make", dir, ..] => drop(make(Path::new(dir), count, large)),
        ["row", dir, name, threads] => once(Path::new(dir), name, threads.parse().unwrap()),
        _ => table(count, large),
    }
}

/// Makes all files, and gives the bytes of the small ones.
fn make(dir: &Path, count: usize, large: usize) -> usize {
    make_files(&dir.join("many"), count / 10, 256 << 10);
    make_files(&dir.join("large"), 1, large);
    make_small(&dir.join("small"), count)
}

/// Rows by their names: small files in a tar layer, or files of a directory as they are.
fn rows() -> Vec<(String, Result<Compression, &'static str>)> {
    let tar = COMPRESSIONS.map(|(compression, _)| (format!("small {compression:?}"), Ok(compression)));
    tar.into_iter().chain(RAW.map(|dir| (dir.to_owned(), Err(dir)))).collect()
}

/// Packs one row, for who measures this process.
fn once(dir: &Path, name: &str, threads: usize) {
    let (_, what) = rows().into_iter().find(|(row, _)| row == name).unwrap();
    let layers = match what {
        Ok(compression) => vec![tar(&dir.join("small"), compression)],
        Err(raw) => raws(dir, raw),
    };
    let scratch = tempfile::tempdir_in(dir).unwrap();
    let options = Options { threads, ..Options::new(scratch.path()) };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    drop(runtime.block_on(pack(&plan(dir, layers), &options)).unwrap());
}

fn raws(dir: &Path, name: &str) -> Vec<Part> {
    names(&dir.join(name)).iter().map(|file| raw(&format!("{name}/{file}"))).collect()
}

fn table(count: usize, large: usize) {
    let dir = tempfile::tempdir().unwrap();
    let bytes = make(dir.path(), count, large);

    println!("{:<44} {:>7} {:>7} {:>7} {:>7} {:>9}", "", "threads", "s", "CPU s", "MB/s", "peak MiB");
    for (compression, filter) in COMPRESSIONS {
        let plan = plan(dir.path(), vec![tar(&dir.path().join("small"), compression)]);
        for threads in [1, 2] {
            ours(&format!("{count} small files, tar {compression:?}"), bytes, threads, dir.path(), &plan);
        }
        theirs(filter, bytes, dir.path());
    }
    for name in RAW {
        let layers = raws(dir.path(), name);
        let total = layers.len() * if name == "many" { 256 << 10 } else { large };
        for threads in [1, 2] {
            let what = format!("{} raw files, {} MB", layers.len(), total / 1_000_000);
            ours(&what, total, threads, dir.path(), &plan(dir.path(), layers.clone()));
        }
    }
    theirs_hash(large, dir.path());
}

fn make_small(dir: &Path, count: usize) -> usize {
    let mut total = 0;
    for i in 0..count {
        let folder = dir.join(format!("d{:03}", i / 100));
        fs::create_dir_all(&folder).unwrap();
        let content = text(i, SMALL / 2 + (i * 7919) % SMALL);
        total += content.len();
        fs::write(folder.join(format!("f{i:05}.txt")), content).unwrap();
    }
    total
}

fn make_files(dir: &Path, count: usize, size: usize) {
    fs::create_dir_all(dir).unwrap();
    let content = text(1, size.min(1 << 20));
    for i in 0..count {
        let mut file = fs::File::create(dir.join(format!("f{i:05}"))).unwrap();
        for _ in 0..(size / content.len()) {
            std::io::Write::write_all(&mut file, &content).unwrap();
        }
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn raw(path: &str) -> Part {
    let content = Content::File(path.into());
    Part { id: String::new(), media_type: media_type::OCTET_STREAM.into(), content, annotations: BTreeMap::new() }
}

fn tar(dir: &Path, compress: Compression) -> Part {
    let mut entries = Vec::new();
    for folder in names(dir) {
        entries.push(Entry { path: folder.clone(), mode: 0o755, mtime: 0, kind: EntryKind::Directory });
        for file in names(&dir.join(&folder)) {
            let path = format!("{folder}/{file}");
            let kind = EntryKind::File(format!("small/{path}").into());
            entries.push(Entry { path, mode: 0o644, mtime: 0, kind });
        }
    }
    let content = Content::Tar { entries, compress };
    Part { id: String::new(), media_type: media_type::LAYER_TAR.into(), content, annotations: BTreeMap::new() }
}

fn plan(base: &Path, layers: Vec<Part>) -> Plan {
    let content = Content::Empty {};
    let media_type = media_type::EMPTY.into();
    let config = Part { id: String::new(), media_type, content, annotations: BTreeMap::new() };
    Plan {
        type_name: "bench".into(),
        base: base.into(),
        root: ManifestPlan { layers, artifact_type: Some("application/vnd.bench".into()), ..ManifestPlan::of(config) }
            .into(),
        reference: Default::default(),
        warnings: Vec::new(),
    }
}

/// The shortest of three runs, and the least processor time, of this process and its children.
fn best(mut run: impl FnMut()) -> (Duration, f64) {
    let mut best = (Duration::MAX, f64::MAX);
    for _ in 0..3 {
        let (start, cpu) = (Instant::now(), processor());
        run();
        best = (best.0.min(start.elapsed()), best.1.min(processor() - cpu));
    }
    best
}

/// Processor time so far in seconds (proc(5), stat: fields 14 to 17, in hundredths).
fn processor() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(4).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn row(what: &str, threads: &str, bytes: usize, (time, cpu): (Duration, f64), peak: &str) {
    let seconds = time.as_secs_f64();
    let speed = bytes as f64 / 1e6 / seconds;
    println!("{what:<44} {threads:>7} {seconds:>7.3} {cpu:>7.2} {speed:>7.0} {peak:>9}");
}

fn ours(what: &str, bytes: usize, threads: usize, scratch: &Path, plan: &Plan) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let options = Options { threads, ..Options::new(scratch) };
    // Linux forgets the peak of a process when told so (proc(5), clear_refs).
    let _ = fs::write("/proc/self/clear_refs", "5");
    let time = best(|| drop(runtime.block_on(pack(plan, &options)).unwrap()));
    row(what, &threads.to_string(), bytes, time, &peak());
}

/// The most memory that this process has used, in MiB.
fn peak() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: Option<u64> = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok());
    kib.map_or("-".into(), |kib| (kib >> 10).to_string())
}

/// GNU tar through a filter into a file, and the digest of it.
fn theirs(filter: &str, bytes: usize, dir: &Path) {
    let command = format!("tar cf - small | {filter} > out && sha256sum out");
    let run = || Command::new("sh").args(["-c", &command]).current_dir(dir).output();
    if run().is_ok_and(|out| out.status.success()) {
        row(&format!("GNU tar | {filter}, sha256sum"), "", bytes, best(|| drop(run())), "");
    }
}

fn theirs_hash(bytes: usize, dir: &Path) {
    let run = || Command::new("sha256sum").arg("large/f00000").current_dir(dir).output();
    if run().is_ok_and(|out| out.status.success()) {
        row("sha256sum of the large file", "", bytes, best(|| drop(run())), "");
    }
}
