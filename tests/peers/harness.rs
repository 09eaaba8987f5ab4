//! What the standard harness does for other tests, by libtest-mimic: how a test runs, and what it needs to run at all.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::OnceLock,
};

use libtest_mimic::Arguments;
pub(crate) use libtest_mimic::Trial as Test;
use tokio::runtime::{Builder, Runtime};

use crate::support::{disk::Disk, installed, peer, strace::Strace};

/// What Debian has no package of: it may be missing in CI, too. What it shows there, a test with recorded digests shows
/// everywhere.
const VISITING: [&str; 1] = ["oras"];

/// The tests of a file: what a group of them needs, and how each is run.
///
/// A function that no list names is dead code, which clippy does not let pass.
macro_rules! tests {
    ($([$($need:literal),*] $($how:ident $test:ident),+);+ $(;)?) => {{
        let mut all = Vec::new();
        $(
            let needs: &[&str] = &[$($need),*];
            $(
                let run = || $crate::harness::$how($test);
                all.push($crate::harness::trial(module_path!(), stringify!($test), needs, run));
            )+
        )+
        all
    }};
}
pub(crate) use tests;

/// Runs a test as `#[test]` does.
pub(crate) fn plain(test: fn()) {
    test();
}

/// As `#[tokio::test]` does.
pub(crate) fn single<F: Future<Output = ()>>(test: fn() -> F) {
    block_on(Builder::new_current_thread().enable_all(), test);
}

/// As `#[tokio::test(flavor = "multi_thread")]` does.
pub(crate) fn multi<F: Future<Output = ()>>(test: fn() -> F) {
    block_on(Builder::new_multi_thread().enable_all(), test);
}

/// As `#[tokio::test(start_paused = true)]` does.
pub(crate) fn paused<F: Future<Output = ()>>(test: fn() -> F) {
    block_on(Builder::new_current_thread().enable_all().start_paused(true), test);
}

fn block_on<F: Future<Output = ()>>(runtime: &mut Builder, test: fn() -> F) {
    let runtime: Runtime = runtime.build().unwrap();
    runtime.block_on(test());
}

/// A test that is ignored where something that it needs is missing; with `ARTIFACT_REQUIRE_PEERS`, which `.ci/run` sets
/// after it has installed all that Debian has, it fails.
pub(crate) fn trial(module: &str, name: &str, needs: &'static [&str], run: impl FnOnce() + Send + 'static) -> Test {
    let module = module.split_once("::").map_or(module, |(_, module)| module);
    let missing: Option<(&str, &str)> = needs.iter().find_map(|need| Some((*need, missing(need)?)));
    let kind = match missing {
        Some((need, why)) => format!("needs {need}: {why}"),
        None if needs.is_empty() => String::new(),
        None => format!("needs {}", needs.join(", ")),
    };
    let required = std::env::var_os("ARTIFACT_REQUIRE_PEERS").is_some();
    let ignored = missing.is_some_and(|(need, _)| !required || VISITING.contains(&need));
    let run = move || match missing {
        Some((need, why)) => Err(format!("{need}: {why}").into()),
        None => {
            run();
            Ok(())
        }
    };
    Test::test(format!("{module}::{name}"), run).with_kind(kind).with_ignored_flag(ignored)
}

/// Why there is no such thing here, if there is none.
fn missing(need: &str) -> Option<&'static str> {
    static MOUNT: OnceLock<bool> = OnceLock::new();
    static TRACE: OnceLock<bool> = OnceLock::new();
    let mounts = || *MOUNT.get_or_init(|| Disk::of(64).is_some());
    let traces = || *TRACE.get_or_init(|| Strace::find().is_some());
    match need.split_once(' ') {
        Some(("example", name)) => (!example(name).is_file()).then_some("not built"),
        Some(("npm", package)) => match installed("node") {
            None => Some("no node is installed"),
            Some(_) => (!is_npm_package(package)).then_some("not installed; tests/peers/packages.sh installs it"),
        },
        Some(("pypi", package)) => {
            (!is_python_package(package)).then_some("not installed; tests/peers/packages.sh installs it")
        }
        _ if need == "mount" => (!mounts()).then_some("not permitted"),
        _ if installed(need).is_none() => Some("not installed"),
        _ if need == "mkfs.btrfs" => (!mounts()).then_some("mounting is not permitted"),
        _ if need == "strace" => (!traces()).then_some("not permitted"),
        _ => None,
    }
}

/// Where `tests/peers/packages.sh` puts packages, outside this repository.
fn packages() -> PathBuf {
    let cache = || Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".cache/artifact-peers");
    std::env::var_os("ARTIFACT_PEERS").map_or_else(cache, PathBuf::from)
}

/// True if this package, `NAME VERSION`, is there.
fn is_npm_package(package: &str) -> bool {
    let (name, version) = package.split_once(' ').unwrap_or((package, ""));
    let about = packages().join("npm/node_modules").join(name).join("package.json");
    let about: Option<serde_json::Value> =
        std::fs::read(about).ok().and_then(|text| serde_json::from_slice(&text).ok());
    about.is_some_and(|about| about["version"] == version)
}

/// The same for Python, whose packages have a directory of the same name and version.
fn is_python_package(package: &str) -> bool {
    let about = format!("{}.dist-info", package.replace(' ', "-"));
    let versions = std::fs::read_dir(packages().join("python/lib")).into_iter().flatten().flatten();
    versions.map(|version| version.path().join("site-packages").join(&about)).any(|about| about.is_dir())
}

/// Node with a script, which finds packages in the directory that is its argument.
pub(crate) fn node(script: &Path) -> Command {
    let mut command = Command::new(peer("node"));
    command.arg(script).arg(packages().join("npm"));
    command
}

/// Python with a script and packages.
pub(crate) fn python(script: &Path) -> Command {
    let mut command = Command::new(packages().join("python/bin/python3"));
    command.arg(script);
    command
}

/// Where cargo puts this example's program.
pub(crate) fn example(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.ancestors().nth(2).unwrap().join("examples").join(name)
}

/// Runs those of the tests that the command line asks for.
pub(crate) fn run(tests: Vec<Test>) -> ExitCode {
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}
