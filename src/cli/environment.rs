//! What the command line reads of the environment beside the library: its arguments, the terminal, and signals.

use std::{env, ffi::OsString, path::Path};

/// Whether the terminal knows how to draw: `TERM` names one that is not `dumb`.
pub(crate) fn can_draw() -> bool {
    env::var_os("TERM").is_some_and(|name| !name.is_empty() && name != "dumb")
}

/// Whether this is a file or directory of the directory for temporary files.
pub(crate) fn is_temporary(path: &Path) -> bool {
    path.starts_with(env::temp_dir())
}

/// Which events the log shows, by the variable that programs in Rust have for it.
pub(crate) fn log_filter() -> Option<String> {
    env::var("RUST_LOG").ok().filter(|filter| !filter.trim().is_empty())
}

/// The command line.
pub(crate) fn arguments() -> Vec<OsString> {
    env::args_os().collect()
}

/// Whether whoever started us wants this signal ignored, as far as the system tells (proc(5), `SigIgn`). Where it does
/// not, SIGHUP alone counts as ignored: a command under `nohup` must go on.
pub(crate) fn ignores(signal: i32) -> bool {
    const SIGHUP: i32 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    match mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()) {
        Some(mask) => mask >> (signal - 1) & 1 == 1,
        None => signal == SIGHUP,
    }
}
