//! Programs of others: finding them, and one run, with input on standard input and output on standard output, within limits
//! of time and memory. What a program starts ends with it.
//!
//! What is asked of a program, and what its answer means, is elsewhere.

use std::{
    ffi::OsStr,
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    process::{Child, Command},
};

use crate::error::{Context as _, Error, Kind, Result};

/// Retries, and their interval, for a program that is being written.
const BUSY: usize = 20;
const AGAIN: Duration = Duration::from_millis(50);
/// Time limit for reading output after the program's end.
const AFTERWARDS: Duration = Duration::from_secs(1);
/// Limit of standard error that is kept, in bytes.
const MAX_KEPT: u64 = 64 << 10;
/// Limit of standard error, in bytes. What exceeds it has no end.
const MAX_ERRORS: u64 = 16 << 20;

/// What a run may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The time until all output is there and the program has ended.
    pub(crate) time: Duration,
    /// The size of standard output, in bytes.
    pub(crate) output: u64,
}

/// A run that came to its end, well or not.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit status.
    pub(crate) status: ExitStatus,
    /// Standard output.
    pub(crate) output: Vec<u8>,
    /// The first line of standard error that is not blank, at most 500 characters; as the program wrote it.
    pub(crate) complaint: String,
}

impl Ended {
    /// The output. Errors (kind `Invalid`): the program failed; the message is its complaint.
    // Of what runs programs, only plug-ins ask for no more than this.
    #[cfg(any(feature = "types", test))]
    pub(crate) fn succeeded(self) -> Result<Vec<u8>> {
        if self.status.success() {
            return Ok(self.output);
        }
        let why = if self.complaint.is_empty() { "no message on standard error" } else { &self.complaint };
        Err(Error::invalid(format!("failed ({}): {why}", self.status)))
    }
}

/// The program with this file name, in the first of these directories that has it.
///
/// Relative directories are skipped: what they name depends on where a user stands, which may be somebody else's files.
pub(crate) fn find(file: &str, directories: &[PathBuf]) -> Option<PathBuf> {
    let absolute = directories.iter().filter(|dir| dir.is_absolute());
    absolute.map(|dir| dir.join(file)).find(|path| is_program(path))
}

/// Whether this is a file that may be run.
pub(crate) fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Runs a program with these arguments and this input, to its end.
///
/// Its child processes end with it, unless they left its process group: after its end, at a limit, and when the future is
/// dropped. Messages repeat neither input nor output.
///
/// Errors: it cannot be started; kind `Unavailable` if it takes too long; kind `Limit` if it prints too much, on standard
/// output or on standard error (16 MiB).
pub(crate) async fn run(program: &Path, arguments: &[&OsStr], input: Vec<u8>, limits: Limits) -> Result<Ended> {
    let ended = tokio::time::timeout(limits.time, talk(program, arguments, input, limits.output)).await;
    let late = |_| Error::new(Kind::Unavailable, format!("timed out after {} seconds", limits.time.as_secs_f32()));
    ended.map_err(late).and_then(|ended| ended)
}

/// A program in a process group of its own; dropping this kills the whole group.
struct Running {
    child: Child,
    group: Option<Pid>,
}

impl Running {
    async fn start(program: &Path, arguments: &[&OsStr]) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = started(command.process_group(0).kill_on_drop(true)).await?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Self { child, group })
    }

    fn end_group(&mut self) {
        if let Some(group) = self.group.take() {
            // An error means that the group has ended.
            rustix::process::kill_process_group(group, Signal::KILL).ok();
        }
    }

    /// Waits for the program and kills its remaining children; until it is reaped, no other process gets its number.
    async fn wait(&mut self) -> Result<ExitStatus> {
        if let Some(pid) = self.group {
            let ended =
                move || rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            tokio::task::spawn_blocking(ended).await.ok();
        }
        self.end_group();
        self.child.wait().await.context(|| "cannot wait for its end")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end_group();
    }
}

async fn talk(program: &Path, arguments: &[&OsStr], input: Vec<u8>, most: u64) -> Result<Ended> {
    let mut running = Running::start(program, arguments).await.context(|| "cannot start")?;
    let child = &mut running.child;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let talk = async {
        tokio::try_join!(written(stdin, &input), bounded(stdout, most, &mut output), drained(stderr, &mut errors))
    };
    let status = ended(&mut running, talk).await?;
    Ok(Ended { status, output, complaint: first_line(&errors) })
}

/// Starts a program; retries while another process has it open for writing (ETXTBSY).
async fn started(command: &mut Command) -> io::Result<Child> {
    for _ in 0..BUSY {
        match command.spawn() {
            Err(e) if e.kind() == io::ErrorKind::ExecutableFileBusy => tokio::time::sleep(AGAIN).await,
            other => return other,
        }
    }
    command.spawn()
}

/// The exit status, after reading all output. Processes that left the group and keep the pipes open are not awaited.
async fn ended<T>(running: &mut Running, talk: impl Future<Output = Result<T>>) -> Result<ExitStatus> {
    let mut talk = std::pin::pin!(talk);
    let status = tokio::select! {
        status = running.wait() => status?,
        said = &mut talk => {
            said?;
            return running.wait().await;
        }
    };
    match tokio::time::timeout(AFTERWARDS, talk).await {
        Ok(said) => said.map(|_| status),
        Err(_) => Ok(status),
    }
}

async fn written(to: Option<impl AsyncWrite + Unpin>, input: &[u8]) -> Result<()> {
    if let Some(mut to) = to {
        // A program that needs no input may close the pipe.
        to.write_all(input).await.ok();
    }
    Ok(())
}

/// Reads all output. Errors: more than `most` bytes.
async fn bounded(from: Option<impl AsyncRead + Unpin>, most: u64, output: &mut Vec<u8>) -> Result<()> {
    let Some(from) = from else { return Ok(()) };
    from.take(most.saturating_add(1)).read_to_end(output).await.context(|| "cannot read its output")?;
    if output.len() as u64 > most {
        return Err(Error::limit(format!("its output is larger than {most} bytes")));
    }
    Ok(())
}

/// Keeps the beginning and discards the rest, so that the program does not block. Errors: too much.
async fn drained(from: Option<impl AsyncRead + Unpin>, start: &mut Vec<u8>) -> Result<()> {
    let Some(from) = from else { return Ok(()) };
    let fail = || "cannot read its standard error";
    let mut from = from.take(MAX_KEPT);
    from.read_to_end(start).await.context(fail)?;
    from.set_limit(MAX_ERRORS);
    let rest = tokio::io::copy(&mut from, &mut tokio::io::sink()).await.context(fail)?;
    if rest == MAX_ERRORS {
        return Err(Error::limit(format!("it prints more than {MAX_ERRORS} bytes on standard error")));
    }
    Ok(())
}

/// The first non-blank line.
fn first_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { time: Duration::from_secs(60), output: 9 };

    async fn shell(script: &str, input: &str, limits: Limits) -> Result<Ended> {
        run(Path::new("/bin/sh"), &[OsStr::new("-c"), OsStr::new(script)], input.into(), limits).await
    }

    /// Waits until the process whose number is in this file has ended; whoever takes in orphans may need a moment.
    async fn gone(pid: &Path) {
        let status = format!("/proc/{}/stat", std::fs::read_to_string(pid).unwrap().trim());
        while std::fs::read_to_string(&status).is_ok_and(|stat| !stat.contains(") Z ")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_run_gives_what_a_program_made_of_its_input_and_how_it_ended() {
        let ended = shell("cat; echo; echo '  '; echo why >&2; echo more >&2; exit 3", "in", LIMITS).await.unwrap();
        assert_eq!((ended.output.as_slice(), ended.complaint.as_str()), (&b"in\n  \n"[..], "why"));
        assert_eq!(ended.succeeded().unwrap_err().to_string(), "failed (exit status: 3): why");
        assert_eq!(shell("exec <&-; echo ok", &"x".repeat(1 << 20), LIMITS).await.unwrap().output, b"ok\n");
    }

    #[tokio::test]
    async fn a_program_that_says_too_much_is_stopped_wherever_it_says_it() {
        for (script, message) in [
            ("echo 1234567890", "its output is larger than 9 bytes"),
            ("yes", "its output is larger than 9 bytes"),
            ("yes >&2", "it prints more than 16777216 bytes on standard error"),
        ] {
            let error = shell(script, "", LIMITS).await.unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Limit, message), "{script}");
        }
    }

    #[tokio::test]
    async fn what_a_program_starts_ends_with_it_however_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let short = Limits { time: Duration::from_millis(300), ..LIMITS };
        for (name, then, limits, kind) in [
            ("whole", "exit", LIMITS, None),
            ("failed", "exit 7", LIMITS, None),
            ("late", "wait", short, Some(Kind::Unavailable)),
            ("much", "echo 1234567890; wait", LIMITS, Some(Kind::Limit)),
        ] {
            let pid = dir.path().join(name);
            let ended = shell(&format!("sleep 1000 & echo $! >{}; {then}", pid.display()), "", limits).await;
            assert_eq!(ended.map(drop).map_err(|e| e.kind()).err(), kind, "{name}");
            gone(&pid).await;
        }
        let pid = dir.path().join("dropped");
        let script = format!("sleep 1000 & echo $! >{0}.new; mv {0}.new {0}; wait", pid.display());
        let written = async {
            while !pid.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            ended = shell(&script, "", LIMITS) => panic!("{ended:?}"),
            () = written => {}
        }
        gone(&pid).await;
    }

    #[test]
    fn a_program_is_not_looked_for_where_a_user_stands() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tool");
        std::fs::write(&path, "").unwrap();
        let find = |directories: &[&Path]| find("tool", &directories.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(find(&[dir.path()]), None);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find(&[Path::new("/nowhere"), dir.path()]), Some(path));
        let up: PathBuf = std::env::current_dir().unwrap().components().skip(1).map(|_| "..").collect();
        let relative = up.join(dir.path().strip_prefix("/").unwrap());
        assert!(relative.join("tool").exists() && find(&[&relative]).is_none());
    }
}
