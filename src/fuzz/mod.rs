//! Entry points for fuzzing: every reader of bytes from elsewhere, with the properties that it promises.
//!
//! For `fuzz/` and the tests of its corpus only, and not a part of the public interface. A function gets any bytes, and
//! panics if a property does not hold. It knows no fuzzer.

mod documents;
mod headers;
mod names;
mod patterns;
mod streams;
mod unpacking;

/// A target: its name, and how costly one run is.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name, which is also that of its corpus.
    pub name: &'static str,
    /// Runs the target.
    pub run: fn(&[u8]),
    /// Whether it writes files or needs a runtime, so that a run takes about a millisecond.
    pub slow: bool,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    fast("manifest", documents::manifest),
    fast("index", documents::index),
    fast("other_manifest", documents::other_manifest),
    fast("index_json", crate::stores::index_json),
    fast("plan", documents::plan),
    fast("definition", documents::definition),
    slow("expression", documents::expression),
    fast("faults", documents::faults),
    fast("tar", streams::tar),
    fast("gzip", streams::gzip),
    fast("zstd", streams::zstd),
    fast("reference", names::reference),
    fast("file_name", names::file_name),
    fast("patterns", patterns::patterns),
    fast("challenge", crate::stores::registry::fuzz::challenge),
    fast("link", crate::stores::registry::fuzz::link),
    fast("content_range", crate::stores::registry::fuzz::content_range),
    slow("credential_file", headers::credential_file),
    slow("hosts", headers::hosts),
    slow("request", headers::request),
    slow("unpack", unpacking::unpack),
];

const fn fast(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run, slow: false }
}

const fn slow(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run, slow: true }
}

/// Runs the target of this name; for the harness in `fuzz/`.
pub fn run(name: &str, bytes: &[u8]) {
    for target in TARGETS.iter().filter(|target| target.name == name) {
        (target.run)(bytes);
    }
}

/// A runtime for readers that are asynchronous.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    use std::sync::LazyLock;
    use tokio::runtime::{Builder, Runtime};
    static RUNTIME: LazyLock<Option<Runtime>> =
        LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_time().build().ok());
    match &*RUNTIME {
        Some(runtime) => runtime.block_on(work),
        None => unreachable!("the system has no threads left"),
    }
}
