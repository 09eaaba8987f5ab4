//! The parts of the environment that only the command line reads: arguments, terminal, signals.

use std::{env, ffi::OsString, path::Path};

/// Whether the terminal supports drawing: `TERM` is set and not `dumb`.
pub(crate) fn can_draw() -> bool {
    env::var_os("TERM").is_some_and(|name| !name.is_empty() && name != "dumb")
}

/// Whether colours are unwanted: `NO_COLOR` (no-color.org), or a terminal that has none.
pub(crate) fn no_colors() -> bool {
    env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) || !can_draw()
}

/// Whether the path is in the directory for temporary files.
pub(crate) fn is_temporary(path: &Path) -> bool {
    path.starts_with(env::temp_dir())
}

/// The filter of the log, from the variable that Rust programs use for it.
pub(crate) fn log_filter() -> Option<String> {
    env::var("RUST_LOG").ok().filter(|filter| !filter.trim().is_empty())
}

pub(crate) fn arguments() -> Vec<OsString> {
    env::args_os().collect()
}

/// Turns core dumps of this process off, so that no password lands in a file.
///
/// The limit alone does not count where the kernel pipes dumps to a program (core(5)).
pub(crate) fn without_core_dumps() {
    // Failures would leave things as they were, which is no reason to refuse the command.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let maximum = rustix::process::getrlimit(rustix::process::Resource::Core).maximum;
    let none = rustix::process::Rlimit { current: Some(0), maximum };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
}

/// Whether the parent process set this signal to be ignored (proc(5), `SigIgn`). Where the system does not report it,
/// only SIGHUP counts as ignored: a command under `nohup` must continue.
pub(crate) fn ignores(signal: i32) -> bool {
    const SIGHUP: i32 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    match mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()) {
        Some(mask) => mask >> (signal - 1) & 1 == 1,
        None => signal == SIGHUP,
    }
}

/// A variable that holds a secret, or a setting of cosign's; also where it is empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}
