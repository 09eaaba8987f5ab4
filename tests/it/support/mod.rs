//! The instruments of the tests, of those together with programs of others, too (`tests/peers`).
#![allow(dead_code)]

pub(crate) mod client;
pub(crate) mod compression;
pub(crate) mod costs;
pub(crate) mod disk;
pub(crate) mod docker_registry;
pub(crate) mod examples;
pub(crate) mod faulty;
pub(crate) mod hostile;
pub(crate) mod http;
pub(crate) mod http2;
pub(crate) mod ignore_samples;
pub(crate) mod metered;
pub(crate) mod packing;
pub(crate) mod program;
pub(crate) mod samples;
pub(crate) mod scripted;
pub(crate) mod server;
pub(crate) mod signing;
pub(crate) mod sigstore;
pub(crate) mod strace;
pub(crate) mod tar;
pub(crate) mod tls;
pub(crate) mod tree;
pub(crate) mod typed;
pub(crate) mod unpacking;
pub(crate) mod watched;
pub(crate) mod writing;
pub(crate) mod written;

use std::{path::PathBuf, process::Command};

/// The path of another tool's program, if the machine has it.
pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|program| program.is_file())
}

/// The same for a test that says that it needs it: without it, it does not run.
pub(crate) fn peer(name: &str) -> PathBuf {
    installed(name).unwrap_or_else(|| panic!("{name} is not installed"))
}

/// Runs a peer and returns its standard output; fails the test with all its output when it fails.
pub(crate) fn run(command: &mut Command) -> String {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", out.status);
    stdout.into_owned()
}
