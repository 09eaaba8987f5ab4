//! A process that lives long: what it needs does not grow with what it has done.

use std::{fs, process::Command, sync::Arc};

use artifact::{
    serve,
    store::{self, ReadStore, Store},
    stores::{
        Layout, Memory,
        registry::{self, Registry},
    },
};

use super::{conclude, long};
use crate::{
    harness::{Test, tests},
    support::{
        samples::{Sample, deliver, named, names, noise},
        server,
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        []
            plain many_pulls_in_one_process_need_no_more_memory_and_no_more_files_than_a_few;
    ]
}

/// Set for the process that pulls: how often it does.
const PULLS: &str = "ARTIFACT_TORTURE_PULLS";
/// Pulls in the short form, and in the long one.
const ALL: (usize, usize) = (300, 10_000);
/// What is measured first, as a part of all: allocators and caches have filled up by then.
const WARM: usize = 10;
/// How much more memory, in bytes, the process may hold in the end: 5 % of what it holds when it is warm, which in the
/// short form is little more than its program.
const GROWTH: u64 = 2 << 20;

fn many_pulls_in_one_process_need_no_more_memory_and_no_more_files_than_a_few() {
    if let Ok(pulls) = std::env::var(PULLS) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        return runtime.block_on(pull(pulls.parse().unwrap()));
    }
    let pulls = if long().is_some() { ALL.1 } else { ALL.0 };
    // In a process of its own: other tests run in this one.
    let name = "torture::lasting::many_pulls_in_one_process_need_no_more_memory_and_no_more_files_than_a_few";
    let mut command = Command::new(std::env::current_exe().unwrap());
    let ran = command.args(["--exact", name, "--nocapture"]).env(PULLS, pulls.to_string()).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{}{said}", String::from_utf8_lossy(&ran.stdout));
    let measured: Vec<Held> = said.lines().filter_map(Held::parse).collect();
    let [warm, .., last] = measured.as_slice() else { panic!("too few measurements: {said}") };
    eprintln!("after every {} pulls: {measured:?}", pulls / WARM);
    let grown = last.bytes.saturating_sub(warm.bytes) > GROWTH;
    // Connections close a moment after they are let go of: what leaks is there at every measurement.
    let fewest = measured.iter().rev().take(WARM / 2).map(|held| held.files).min().unwrap();
    let more = fewest > warm.files + 4;
    let failures = (grown || more).then(|| format!("from {warm:?} to {last:?}"));
    conclude("pulls in one process", pulls, failures.as_slice());
}

/// What this process holds.
#[derive(Debug)]
struct Held {
    /// Resident memory that is its own, in bytes.
    bytes: u64,
    /// Open files.
    files: usize,
}

impl Held {
    fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"));
        Self {
            bytes: anonymous.unwrap().parse::<u64>().unwrap() << 10,
            files: fs::read_dir("/proc/self/fd").unwrap().count(),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let (bytes, files) = line.strip_prefix("held ")?.split_once(' ')?;
        Some(Self { bytes: bytes.parse().ok()?, files: files.parse().ok()? })
    }
}

/// Pulls a small artifact so often: by one client that is kept and by new ones, to memory and to layouts.
async fn pull(times: usize) {
    let server = server::start(serve::Options::in_memory()).await;
    let host = server.addr().to_string();
    let sample = Sample::of(&[b"small", &noise(20_000, 1), &noise(70_000, 2)]);
    let client = || Registry::new(&host, &registry::Options::default()).unwrap().repository("a").unwrap();
    let kept = Arc::new(client());
    deliver(&(Arc::clone(&kept) as Arc<dyn Store>), &sample, &["v1"]).await.unwrap();
    let scratch = tempfile::tempdir().unwrap();
    for n in 1..=times {
        let from: Arc<dyn ReadStore> = if n % 2 == 0 { Arc::new(client()) } else { kept.clone() };
        let dir = scratch.path().join("layout");
        let to: Arc<dyn Store> =
            if n % 10 == 0 { Arc::new(Layout::create(&dir).unwrap()) } else { Arc::new(Memory::new()) };
        let options = artifact::copy::Options { names: names(&["v1"]), ..Default::default() };
        artifact::copy::between(&from, &named("v1"), &to, &options).await.unwrap();
        let root = to.resolve(&named("v1")).await.unwrap();
        assert_eq!(store::read_manifest(to.as_ref(), &root).await.unwrap(), sample.manifests[0].1);
        if n % 10 == 0 {
            fs::remove_dir_all(&dir).unwrap();
        }
        if n % (times / WARM) == 0 {
            drop((from, to));
            let Held { bytes, files } = Held::now();
            eprintln!("held {bytes} {files}");
        }
    }
}
