//! A record of file operations, and faults and kills at chosen ones of them: Debian's strace.

use std::{
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::installed;

/// What a program does with files. A `?` in front: not every machine has the call.
const CALLS: &str = "?openat,?openat2,?mkdir,?mkdirat,?write,?pwrite64,?read,?pread64,?fsync,?fdatasync,?rename,\
                     ?renameat,?renameat2,?fallocate,?ftruncate,?unlink,?unlinkat,?rmdir,?getdents64,?flock,?fchmod,\
                     ?copy_file_range,?linkat,?symlinkat,?utimensat,?statx,?newfstatat,?fstat,?fcntl,?ioctl,\
                     ?sendfile,?syncfs";

/// After this time a run is not expected to end.
const HANGS: Duration = Duration::from_secs(30);

/// One file operation, as strace writes it.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) thread: String,
    pub(crate) name: String,
    /// Its arguments and its result.
    pub(crate) text: String,
    /// Where in the record it began and ended.
    pub(crate) began: usize,
    pub(crate) ended: usize,
}

/// A run under strace.
pub(crate) struct Traced {
    pub(crate) code: Option<i32>,
    pub(crate) killed: bool,
    /// Whether it did not end by itself.
    pub(crate) hangs: bool,
    pub(crate) said: String,
    pub(crate) calls: Vec<Call>,
}

/// The program; `None` where it is missing or may not do its work.
pub(crate) struct Strace(String);

impl Strace {
    pub(crate) fn find() -> Option<Self> {
        let program = installed("strace")?.display().to_string();
        let trial = Command::new(&program).args(["-f", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
        if trial.is_ok_and(|status| status.success()) {
            return Some(Self(program));
        }
        None
    }

    /// Runs the command that is made of the words to start it with, and does this to it (`-e inject=`). The record is
    /// written to `log`.
    pub(crate) fn run(&self, log: &Path, inject: Option<&str>, command: impl FnOnce(&[String]) -> Command) -> Traced {
        let mut words: Vec<String> = [&*self.0, "-f", "-y", "-s", "0"].map(Into::into).into();
        // Faster, as only these calls stop; but then signals do not arrive (strace 6.1).
        words.extend((!inject.is_some_and(|inject| inject.contains("signal="))).then(|| "--seccomp-bpf".into()));
        words.extend(["-o".into(), log.display().to_string(), "-e".into(), format!("trace={CALLS}")]);
        words.extend(inject.into_iter().flat_map(|inject| ["-e".to_owned(), format!("inject={inject}")]));
        // Few threads: a call is counted in its thread.
        let mut child = command(&words).env("TOKIO_WORKER_THREADS", "1").spawn().unwrap();
        let end = Instant::now() + HANGS;
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > end {
                let _ = child.kill();
                // It goes on without its tracer.
                let thread = read(log).first().map(|call| call.thread.clone()).unwrap_or_default();
                let _ = Command::new("kill").args(["-KILL", &thread]).status();
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let hangs = Instant::now() > end;
        let out = child.wait_with_output().unwrap();
        let killed = !hangs && out.status.signal() == Some(9);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        Traced { code: out.status.code(), killed, hangs, said, calls: read(log) }
    }
}

impl Traced {
    /// The operation at which something was done to the run.
    pub(crate) fn injected(&self, dir: &Path) -> Option<&Call> {
        self.calls.iter().find(|call| call.text.contains("(INJECTED)") && concerns(&call.text, dir))
    }
}

impl Traced {
    /// Whether nothing was done to what is no file: to standard output, sockets, and the runtime's own.
    pub(crate) fn only_files(&self) -> bool {
        let other =
            |call: &&Call| ["anon_inode:", "pipe:", "socket:", "TCP:"].iter().any(|kind| call.text.contains(kind));
        !self.calls.iter().filter(|call| call.text.contains("(INJECTED)")).any(|call| other(&call))
    }
}

/// Whether an operation is about something in this directory; a path may be relative to the current one.
pub(crate) fn concerns(text: &str, dir: &Path) -> bool {
    let current = text.strip_prefix("AT_FDCWD<").and_then(|rest| rest.split_once(">, \""));
    match current {
        Some((_, path)) if path.starts_with('/') => path.starts_with(&*dir.display().to_string()),
        Some((current, _)) => current.starts_with(&*dir.display().to_string()),
        None => text.contains(&*dir.display().to_string()),
    }
}

fn read(log: &Path) -> Vec<Call> {
    parse(&std::fs::read_to_string(log).unwrap_or_default())
}

fn parse(log: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for (at, line) in log.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let name = resumed.split(' ').next().unwrap_or_default();
            let open = calls.iter_mut().rev().find(|call| call.thread == thread && call.name == name);
            if let Some(call) = open {
                call.ended = at;
                call.text.push_str(resumed.split_once("resumed>").map_or("", |(_, rest)| rest));
            }
        } else if let Some((name, text)) = rest.split_once('(')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            let (thread, name, text) = (thread.to_owned(), name.to_owned(), text.replace(" <unfinished ...>", ""));
            calls.push(Call { thread, name, text, began: at, ended: at });
        }
    }
    calls
}

#[test]
fn a_record_with_interrupted_lines_is_read() {
    let log = "7 openat(AT_FDCWD, \"out/x\", O_RDONLY <unfinished ...>\n8 fsync(3</a/b>) = 0\n\
               7 <... openat resumed>) = 4</a/out/x>\n9 +++ exited with 0 +++\n";
    let calls = parse(log);
    assert_eq!((calls.len(), calls[0].began, calls[0].ended), (2, 0, 2));
    assert!(calls[0].text.ends_with("= 4</a/out/x>") && concerns(&calls[1].text, Path::new("/a")));
}
