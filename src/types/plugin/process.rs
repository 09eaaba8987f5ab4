//! One run of a plug-in: input on standard input, output on standard output, within limits of time and memory.

use std::{
    ffi::OsStr,
    io,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
};

use crate::error::{Context as _, Error, Kind, Result};

/// Size limit of a plug-in's output, in bytes.
pub const MAX_ANSWER: u64 = 16 << 20;
/// Retries, and their interval, for a program that is being written.
const BUSY: usize = 20;
const AGAIN: Duration = Duration::from_millis(50);
/// Time limit for reading output after the program's end.
const AFTERWARDS: Duration = Duration::from_secs(1);
/// Limit of standard error that is kept, in bytes.
const MAX_STDERR: u64 = 64 << 10;

/// Runs a program with these arguments and this input, and returns its output.
///
/// Errors: it cannot be started; it fails, with its first line on standard error; it takes longer than `timeout`; it
/// prints more than 16 MiB. Its child processes end with it, unless they left its process group.
pub(super) async fn run(program: &Path, arguments: &[&OsStr], question: Vec<u8>, timeout: Duration) -> Result<Vec<u8>> {
    let answer = tokio::time::timeout(timeout, ask(program, arguments, question)).await;
    let late = |_| Error::new(Kind::Unavailable, format!("timed out after {} seconds", timeout.as_secs_f32()));
    answer.map_err(late).and_then(|answer| answer)
}

/// A program in a process group of its own; dropping this kills the whole group.
struct Running {
    child: Child,
    group: Option<Pid>,
}

impl Running {
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

async fn ask(program: &Path, arguments: &[&OsStr], question: Vec<u8>) -> Result<Vec<u8>> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    let child = started(&mut command).await.context(|| "cannot start")?;
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let mut running = Running { child, group };
    let mut stdin = running.child.stdin.take();
    let (stdout, stderr) = (running.child.stdout.take(), running.child.stderr.take());
    let write = async move {
        // A program that needs no input may close the pipe.
        if let Some(stdin) = &mut stdin {
            stdin.write_all(&question).await.ok();
        }
        drop(stdin);
        Ok(())
    };
    let (mut printed, mut complaint) = (Vec::new(), Vec::new());
    let talk = async { tokio::try_join!(write, bounded(stdout, &mut printed), drained(stderr, &mut complaint)) };
    let status = ended(&mut running, talk).await?;
    succeeded(status, &first_line(&complaint))?;
    Ok(printed)
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

/// Reads all output. Errors: too much.
async fn bounded(from: Option<impl AsyncRead + Unpin>, printed: &mut Vec<u8>) -> Result<()> {
    let Some(from) = from else { return Ok(()) };
    from.take(MAX_ANSWER + 1).read_to_end(printed).await.context(|| "cannot read its output")?;
    if printed.len() as u64 > MAX_ANSWER {
        return Err(Error::limit(format!("its output is larger than {MAX_ANSWER} bytes")));
    }
    Ok(())
}

/// Keeps the beginning and discards the rest, so that the program does not block.
async fn drained(from: Option<impl AsyncRead + Unpin>, start: &mut Vec<u8>) -> Result<()> {
    let Some(mut from) = from else { return Ok(()) };
    (&mut from).take(MAX_STDERR).read_to_end(start).await.context(|| "cannot read its standard error")?;
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await.context(|| "cannot read its standard error")?;
    Ok(())
}

/// The first non-blank line.
fn first_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(500).collect()
}

fn succeeded(status: ExitStatus, complaint: &str) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    let why = if complaint.is_empty() { "no message on standard error" } else { complaint };
    Err(Error::invalid(format!("failed ({status}): {why}")))
}
