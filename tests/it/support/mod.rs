//! The instruments of the tests: real peers where the machine has them.
#![allow(dead_code)]

pub(crate) mod disk;
pub(crate) mod docker_registry;
pub(crate) mod faulty;
pub(crate) mod hostile;
pub(crate) mod http;
pub(crate) mod http2;
pub(crate) mod metered;
pub(crate) mod samples;
pub(crate) mod scripted;
pub(crate) mod server;
pub(crate) mod strace;
pub(crate) mod tar;
pub(crate) mod tls;
pub(crate) mod tree;
pub(crate) mod watched;
pub(crate) mod written;

use std::{path::PathBuf, process::Command};

/// The path of another tool's program, or `None` with a visible line when the machine has none.
/// `.ci/run` installs them all, and sets `ARTIFACT_REQUIRE_PEERS` so that there nothing is skipped.
pub(crate) fn peer(name: &str) -> Option<PathBuf> {
    let found = visiting_peer(name);
    assert!(found.is_some() || std::env::var_os("ARTIFACT_REQUIRE_PEERS").is_none(), "{name} is not installed");
    found
}

/// The same for a program that Debian has no package of: it may be missing in CI too. What it shows there, a test with
/// recorded digests shows everywhere.
pub(crate) fn visiting_peer(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|program| program.is_file());
    if found.is_none() {
        eprintln!("skipped: {name} is not installed");
    }
    found
}

/// Runs a peer and returns its standard output; fails the test with all its output when it fails.
pub(crate) fn run(command: &mut Command) -> String {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", out.status);
    stdout.into_owned()
}
