//! What is tortured: commands of the program, each in a place of its own, and what must be true of that place.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use artifact::serve::{Limits, Options, Tree};

use super::{
    Outcome,
    content::{Listing, UNFINISHED, copy_dir, listed, read_dir, unfinished, untar, whole},
    long,
};
use crate::support::{samples::noise, server::Background};

/// A command that writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    /// A directory, packed, to a registry.
    Push,
    /// The same to a layout.
    PushLayout,
    /// From a registry to a layout.
    Pull,
    /// From a registry to files in a new directory.
    PullFiles,
    /// From a registry to files beside one of the user.
    PullInto,
    /// From a registry to files that replace older ones.
    PullOver,
    /// From a layout to a layout.
    CopyLayouts,
    /// From a registry to a layout, with all that refers to it.
    CopyDown,
    /// From a layout to an archive.
    CopyArchive,
}

impl Job {
    pub(super) const ALL: [Self; 9] = [
        Self::Push,
        Self::PushLayout,
        Self::Pull,
        Self::PullFiles,
        Self::PullInto,
        Self::PullOver,
        Self::CopyLayouts,
        Self::CopyDown,
        Self::CopyArchive,
    ];

    fn writes_files(self) -> bool {
        matches!(self, Self::PullFiles | Self::PullInto | Self::PullOver)
    }
}

/// Sources, a registry, and stores with an earlier artifact.
pub(super) struct Scene {
    dir: tempfile::TempDir,
    registry: Background,
    session: Duration,
    trials: AtomicUsize,
}

fn registry_options(path: &Path, session: Duration) -> Options {
    Options {
        repositories: Arc::new(Tree::open(path.join("registry")).unwrap()),
        limits: Limits { upload: session, ..Limits::default() },
        ..Options::in_memory()
    }
}

impl Scene {
    /// Upload sessions of the registry last so long.
    pub(super) fn new(session: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        for (name, content) in [
            ("src/small.txt", b"small".to_vec()),
            ("src/middle.bin", noise(200_000, 1)),
            ("src/large.bin", noise(1_200_000, 2)),
            ("src/deep/leaf.txt", b"leaf".to_vec()),
            ("earlier.txt", b"earlier".to_vec()),
            ("own/deep/earlier.txt", b"earlier".to_vec()),
            ("older/small.txt", b"older".to_vec()),
            ("older/earlier.txt", b"earlier".to_vec()),
        ] {
            fs::create_dir_all(path.join(name).parent().unwrap()).unwrap();
            fs::write(path.join(name), content).unwrap();
        }
        for name in ["registry", "tmp", "no-certificates"] {
            fs::create_dir(path.join(name)).unwrap();
        }
        let registry = Background::with(registry_options(&path, session));
        let (host, trials) = (registry.host(), AtomicUsize::new(0));
        let scene = Self { dir, registry, session, trials };
        for line in [
            "push earlier.txt oci:seed:earlier".to_owned(),
            "copy oci:seed:earlier oci-archive:seed.tar:earlier".to_owned(),
            "push src oci:origin:v1 --set layout=files".to_owned(),
            format!("copy oci:origin:v1 {host}/big:v1"),
        ] {
            succeeds(&mut scene.command(&path, &line), &line).unwrap();
        }
        scene
    }

    pub(super) fn host(&self) -> String {
        self.registry.host()
    }

    /// What makes another registry with the same content.
    pub(super) fn registry_options(&self) -> Options {
        registry_options(self.path(), self.session)
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A command line of the program, in this directory.
    pub(super) fn command(&self, at: &Path, line: &str) -> Command {
        self.command_by(&heeding(), at, line)
    }

    /// The same, started by another program.
    pub(super) fn command_by(&self, starter: &[String], at: &Path, line: &str) -> Command {
        let program = std::env::var("ARTIFACT_TORTURE_PROGRAM").unwrap_or(env!("CARGO_BIN_EXE_artifact").into());
        let mut words = starter.iter().map(String::as_str).chain([&*program]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(line.split_whitespace()).current_dir(at).env_clear();
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env("PATH", path).env("HOME", self.path()).env("TMPDIR", at.join("tmp"));
        // Hundreds of files would be read in vain, and disturbed.
        command.env("SSL_CERT_DIR", self.path().join("no-certificates"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A place for one run of this job; with an earlier artifact at its destination, or with nothing.
    pub(super) fn trial(&self, job: Job, seeded: bool) -> Trial<'_> {
        let number = self.trials.fetch_add(1, Ordering::Relaxed);
        let dir = self.path().join(format!("trials/t{number}"));
        self.trial_at(job, seeded, dir, number)
    }

    /// The same in this directory.
    pub(super) fn trial_in(&self, job: Job, seeded: bool, dir: &Path) -> Trial<'_> {
        self.trial_at(job, seeded, dir.to_owned(), self.trials.fetch_add(1, Ordering::Relaxed))
    }

    fn trial_at(&self, job: Job, seeded: bool, dir: PathBuf, number: usize) -> Trial<'_> {
        for part in ["out", "tmp"] {
            fs::create_dir_all(dir.join(part)).unwrap();
        }
        let trial =
            Trial { scene: self, job, seeded: seeded || matches!(job, Job::PullInto | Job::PullOver), dir, number };
        let (from, to) = (self.path(), trial.place());
        match job {
            Job::PullFiles => {}
            Job::PullInto => copy_dir(&from.join("own"), &to),
            Job::PullOver => copy_dir(&from.join("older"), &to),
            _ if !seeded => {}
            Job::CopyArchive => assert!(fs::copy(from.join("seed.tar"), to).is_ok()),
            _ => copy_dir(&from.join("seed"), &to),
        }
        trial
    }

    /// Whether a layout of the scene is whole, and holds nothing unfinished.
    pub(super) fn layout(&self, name: &str) -> Outcome {
        let dir = self.path().join(name);
        whole(&read_dir(&dir))?;
        let line = format!("check oci:{name}");
        succeeds(&mut self.command(self.path(), &line), &line)?;
        let left = unfinished(&dir);
        if left.is_empty() { Ok(()) } else { Err(format!("left in {name}: {left:?}")) }
    }

    /// Unfinished uploads in the whole registry.
    pub(super) fn uploads(&self) -> Vec<String> {
        unfinished(&self.path().join("registry"))
    }

    /// What an undisturbed run makes, and how long it takes.
    pub(super) fn undisturbed(&self, job: Job, seeded: bool) -> (Listing, Duration) {
        let mut times = Vec::new();
        loop {
            let trial = self.trial(job, seeded);
            let start = Instant::now();
            succeeds(&mut trial.command(), "an undisturbed run").unwrap();
            times.push(start.elapsed());
            trial.valid().unwrap();
            if times.len() == if long().is_some() { 3 } else { 1 } {
                times.sort();
                return (trial.tree(), times[times.len() / 2]);
            }
        }
    }
}

/// One run of a job, disturbed, and the one after it.
pub(super) struct Trial<'a> {
    scene: &'a Scene,
    pub(super) job: Job,
    seeded: bool,
    dir: PathBuf,
    number: usize,
}

impl Trial<'_> {
    /// Where this trial's files are.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The command line.
    pub(super) fn line(&self) -> String {
        let (host, n) = (self.scene.host(), self.number);
        let (src, origin) = (self.scene.path().join("src"), self.scene.path().join("origin"));
        let (src, origin) = (src.display(), origin.display());
        match self.job {
            Job::Push => format!("push {src} {host}/t{n}:v1"),
            Job::PushLayout => format!("push {src} oci:out/dest:v1"),
            Job::Pull => format!("pull {host}/big:v1 oci:out/dest"),
            Job::PullFiles | Job::PullInto => format!("pull {host}/big:v1 out/dest --unpack"),
            Job::PullOver => format!("pull {host}/big:v1 out/dest --unpack --overwrite"),
            Job::CopyLayouts => format!("copy oci:{origin}:v1 oci:out/dest"),
            Job::CopyDown => format!("copy {host}/big:v1 oci:out/dest"),
            Job::CopyArchive => format!("copy oci:{origin}:v1 oci-archive:out/dest.tar"),
        }
    }

    pub(super) fn command(&self) -> Command {
        self.scene.command(&self.dir, &self.line())
    }

    /// Where the outcome is.
    pub(super) fn place(&self) -> PathBuf {
        match self.job {
            Job::Push => self.scene.path().join(format!("registry/t{}", self.number)),
            Job::CopyArchive => self.dir.join("out/dest.tar"),
            _ => self.dir.join("out/dest"),
        }
    }

    /// All that is at the destination and beside it. Unfinished uploads are the registry's own.
    pub(super) fn tree(&self) -> Listing {
        let root = if self.job == Job::Push { self.place() } else { self.dir.join("out") };
        let mut all = listed(&root);
        if self.job == Job::Push {
            all.retain(|path, _| !path.contains(UNFINISHED));
        }
        all
    }

    /// Unfinished uploads in the registry.
    pub(super) fn uploads(&self) -> Vec<String> {
        unfinished(&self.place())
    }

    /// What must be true at any time: all that is visible is whole, and earlier content is there.
    pub(super) fn valid(&self) -> Outcome {
        let place = self.place();
        if self.job.writes_files() {
            return self.valid_files(&place);
        }
        let content = if self.job == Job::CopyArchive { untar(&place)? } else { read_dir(&place) };
        let made = content.contains_key("oci-layout") && content.contains_key("index.json");
        if !made && !self.seeded {
            return Ok(());
        }
        let tags = whole(&content)?;
        if self.seeded && !tags.contains(&"earlier".to_owned()) {
            return Err(format!("the earlier tag is lost: {tags:?}"));
        }
        let kind = if self.job == Job::CopyArchive { "oci-archive" } else { "oci" };
        let line = format!("check {kind}:{}", place.display());
        succeeds(&mut self.scene.command(&self.dir, &line), &line).map(drop)
    }

    fn valid_files(&self, place: &Path) -> Outcome {
        let found = read_dir(place);
        let wanted = read_dir(&self.scene.path().join("src"));
        let before = match self.job {
            Job::PullInto => read_dir(&self.scene.path().join("own")),
            Job::PullOver => read_dir(&self.scene.path().join("older")),
            _ => BTreeMap::new(),
        };
        for (path, content) in found.iter().filter(|(path, _)| !path.contains(UNFINISHED)) {
            if wanted.get(path) != Some(content) && before.get(path) != Some(content) {
                return Err(format!("`{path}` is not whole: {} bytes", content.len()));
            }
        }
        match self.job {
            Job::PullFiles if place.exists() && found != wanted => Err("a new directory is not whole".into()),
            _ if before.keys().any(|path| !found.contains_key(path)) => Err("an old file is gone".into()),
            _ => Ok(()),
        }
    }

    /// The run after: it finishes, what it makes is what an undisturbed run makes, and nothing is left.
    pub(super) fn finishes(&self, reference: &Listing) -> Outcome {
        succeeds(&mut self.command(), "the second run")?;
        self.valid().map_err(|e| format!("after the second run: {e}"))?;
        let (found, left) = (self.tree(), listed(&self.dir.join("tmp")));
        if found != *reference {
            let differs = |(path, state): &(&String, &(u32, String))| reference.get(*path) != Some(state);
            let more: Vec<_> = found.iter().filter(differs).collect();
            let less: Vec<_> = reference.keys().filter(|path| !found.contains_key(*path)).collect();
            return Err(format!("not what an undisturbed run makes: more {more:?}, less {less:?}"));
        }
        if left.is_empty() { Ok(()) } else { Err(format!("left in TMPDIR: {left:?}")) }
    }

    /// What a failure is called.
    pub(super) fn failure(&self, how: &str, what: &str, ran: &str) -> String {
        format!("{:?} (seeded: {}), {how}: {what}\n{ran}", self.job, self.seeded)
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        // What is in the registry stays: whether uploads last is seen at the end.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Runs a command that must succeed.
pub(super) fn succeeds(command: &mut Command, what: &str) -> Result<Output, String> {
    let out = command.output().map_err(|e| e.to_string())?;
    let (code, signal) = (out.status.code(), out.status.signal());
    if out.status.success() { Ok(out) } else { Err(format!("{what}: {code:?} {signal:?} {}", said(&out))) }
}

/// What a run had to say.
pub(super) fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// What starts a command that heeds signals. Tests that run in the background, or under nohup, ignore some of them
/// (signal(7): those that are ignored stay so over execve), and so would all that they start.
fn heeding() -> Vec<String> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
    // SIGHUP is 1, SIGINT 2, SIGTERM 15; bit 0 is signal 1.
    let deaf = u64::from_str_radix(ignored.trim(), 16).unwrap_or_default() & 0x4003 != 0;
    if deaf { vec!["env".into(), "--default-signal=HUP,INT,TERM".into()] } else { Vec::new() }
}
