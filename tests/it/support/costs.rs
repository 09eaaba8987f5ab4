//! What a run of the program costs: requests, bytes on the line, bytes hashed.
//!
//! Each run is a process of its own, of which the registry notes every request, a line in front of the registry counts
//! every byte, and `--costs` tells what was hashed.

use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use artifact::{
    fault::{Faults, Seen},
    serve::{Options, Registry},
};
use http::Uri;

use super::{metered::Metered, samples::noise, server::Background};

/// How many small files there are.
pub(crate) const SMALL: usize = 40;
/// Smallest file, in bytes, that is sent while it is hashed.
pub(crate) const LARGE: u64 = 8 << 20;
/// What is hashed of a large file twice: its first piece tells whether the same is on its way already.
pub(crate) const FIRST_PIECE: u64 = 512 << 10;
/// After this time a run is not expected to end.
pub(crate) const HANGS: Duration = Duration::from_secs(120);

/// A push, the same again, and again under another tag.
pub(crate) const FORTY: [&str; 3] = [
    "push forty R/forty:v1 --set layout=files",
    "push forty R/forty:v1 --set layout=files",
    "push forty R/forty:v2 --set layout=files",
];
/// What the first of them asks of a registry.
pub(crate) const FORTY_FIRST: &str = "85: HEAD manifest 2, POST mount 41, PUT manifest 1, PUT upload 41";
/// What every push asks that is made again.
pub(crate) const AGAIN: &str = "1: HEAD manifest 1";
/// What a push of forty files asks that is made again under another tag: a manifest without the name does not prove that
/// its content is there, so each blob is asked for.
pub(crate) const OTHER_TAG: &str = "44: HEAD blob 41, HEAD manifest 2, PUT manifest 1";

/// Sources, a registry, and a line to it.
pub(crate) struct World {
    dir: tempfile::TempDir,
    pub(crate) faults: Arc<Faults>,
    pub(crate) line: Metered,
    _registry: Background,
}

/// What a run has cost.
pub(crate) struct Cost {
    pub(crate) seen: Vec<Seen>,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) hashed: u64,
    pub(crate) said: String,
}

impl World {
    /// With a file, a directory of small files, and a large file; with an empty registry in memory.
    pub(crate) fn new() -> Self {
        Self::with("", Options::in_memory())
    }

    /// The same with this registry, and these faults of it.
    pub(crate) fn with(faults: &str, registry: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let faults = Arc::new(Faults::parse(&format!("faults: [{faults}]")).unwrap());
        let registry = Background::serve(faults.around(Registry::new(registry)));
        let world = Self { dir, faults, line: Metered::before(&registry.host()), _registry: registry };
        world.write("one.txt", b"one\n");
        world.wide("large.bin", LARGE);
        for n in 0..SMALL {
            world.write(&format!("forty/{n:02}.txt"), format!("this is file {n:02}\n").as_bytes());
        }
        world
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// A file of this size, which takes no room on the disk.
    pub(crate) fn wide(&self, name: &str, size: u64) -> PathBuf {
        let path = self.path().join(name);
        let file = File::create(&path).unwrap();
        file.set_len(size).unwrap();
        file.write_all_at(&noise(1000, 1), 0).unwrap();
        path
    }

    /// A command line of the program, in the place of this world; `R` is its registry.
    pub(crate) fn command(&self, words: &[String], line: &str) -> Command {
        let mut words = words.iter().map(String::as_str).chain([env!("CARGO_BIN_EXE_artifact")]);
        let mut command = Command::new(words.next().unwrap());
        let host = |word: &str| match word.strip_prefix('R') {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{}{rest}", self.line.host()),
            _ => word.to_owned(),
        };
        command.args(words).args(line.split_whitespace().map(host));
        command.current_dir(self.path()).env_clear().env("HOME", self.path()).env("TMPDIR", self.path());
        command
    }

    /// Runs a line that must succeed.
    pub(crate) fn cost(&self, line: &str) -> Cost {
        let (before, sent, received) = (self.faults.seen().len(), self.line.sent(), self.line.received());
        let said = succeeds(self.command(&[], &format!("{line} --costs costs.json")));
        let costs = std::fs::read(self.path().join("costs.json")).unwrap();
        let costs: serde_json::Value = serde_json::from_slice(&costs).unwrap();
        Cost {
            seen: self.faults.seen().split_off(before),
            sent: self.line.sent() - sent,
            received: self.line.received() - received,
            hashed: costs["hashed"].as_u64().unwrap(),
            said,
        }
    }

    /// Runs this over a line that hashing runs ahead of, however slow the machine is: it is held until the registry is
    /// asked for a blob.
    pub(crate) fn slowly<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        self.held(64 << 10, "HEAD blob", run)
    }

    /// Runs this over a line of which a connection that has taken so many bytes takes no more until there is such a
    /// request; others are free.
    pub(crate) fn held<T: Send>(&self, bytes: u64, until: &str, run: impl FnOnce() -> T + Send) -> T {
        self.line.hold_at(bytes);
        let before = self.faults.count(until).unwrap();
        std::thread::scope(|scope| {
            let run = scope.spawn(run);
            while !run.is_finished() && self.faults.count(until).unwrap() == before {
                std::thread::sleep(Duration::from_millis(2));
            }
            self.line.let_go();
            run.join().unwrap()
        })
    }

    /// The requests of each of these lines, which must succeed one after the other.
    pub(crate) fn requests<const N: usize>(&self, lines: [&str; N]) -> [String; N] {
        lines.map(|line| self.cost(line).requests())
    }

    /// The bytes that each of these lines sends and receives.
    pub(crate) fn traffic<const N: usize>(&self, lines: [&str; N]) -> [(u64, u64); N] {
        lines.map(|line| self.cost(line)).map(|cost| (cost.sent, cost.received))
    }

    /// The bytes that each of these lines hashes.
    pub(crate) fn hashed<const N: usize>(&self, lines: [&str; N]) -> [u64; N] {
        lines.map(|line| self.cost(line).hashed)
    }
}

impl Cost {
    /// How many requests of which kind: `3: HEAD manifest 2, PUT manifest 1`.
    pub(crate) fn requests(&self) -> String {
        self.requests_but(&[])
    }

    /// The same without those of these kinds.
    pub(crate) fn requests_but(&self, kinds: &[&str]) -> String {
        summary(self.seen.iter().map(|seen| kind(seen.method.as_str(), &seen.uri)).filter(|k| !kinds.contains(&&**k)))
    }
}

/// What a command had to say, which must succeed, and end.
pub(crate) fn succeeds(mut command: Command) -> String {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let end = Instant::now() + HANGS;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            child.kill().unwrap();
            panic!("{command:?} does not end");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

/// How many of which kind, behind how many of all.
pub(crate) fn summary(kinds: impl Iterator<Item = String>) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    kinds.for_each(|kind| *counts.entry(kind).or_default() += 1);
    let texts: Vec<_> = counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    format!("{}: {}", counts.values().sum::<usize>(), texts.join(", "))
}

/// `HEAD manifest`: what kind of request this is.
pub(crate) fn kind(method: &str, uri: &Uri) -> String {
    let (path, query) = (uri.path(), uri.query().unwrap_or_default());
    let kinds = [
        ("mount", path.contains("/blobs/uploads/") && query.contains("mount=")),
        ("upload", path.contains("/blobs/uploads/")),
        ("blob", path.contains("/blobs/")),
        ("manifest", path.contains("/manifests/")),
        ("referrers", path.contains("/referrers/")),
        ("tags", path.ends_with("/tags/list")),
        ("catalog", path.ends_with("/_catalog")),
    ];
    let known = kinds.iter().find(|(_, fits)| *fits).map_or("other", |(kind, _)| kind);
    format!("{method} {known}")
}
