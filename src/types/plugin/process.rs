//! One run of a program: a question on standard input, an answer on standard output, and no way to take more time or more
//! memory than it may.

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

/// Most that a program may print, in bytes.
pub const MAX_ANSWER: u64 = 16 << 20;
/// How often a program that is being written is tried again, and after how long.
const BUSY: usize = 20;
const AGAIN: Duration = Duration::from_millis(50);
/// How long what a program wrote is read after its end.
const AFTERWARDS: Duration = Duration::from_secs(1);
/// How much of standard error is kept, in bytes.
const MAX_STDERR: u64 = 64 << 10;

/// Runs a program with these arguments and this question, and gives what it prints.
///
/// Errors: it cannot be started; it fails, with the first line that it wrote to standard error; it takes longer than
/// `timeout`; it prints more than 16 MiB. What it started ends with it, unless that left its process group.
pub(super) async fn run(program: &Path, arguments: &[&OsStr], question: Vec<u8>, timeout: Duration) -> Result<Vec<u8>> {
    let answer = tokio::time::timeout(timeout, ask(program, arguments, question)).await;
    let late = |_| Error::new(Kind::Unavailable, format!("no answer within {} seconds", timeout.as_secs_f32()));
    answer.map_err(late).and_then(|answer| answer)
}

/// A program in a process group of its own, which ends when this is dropped, whoever in it still runs.
struct Running {
    child: Child,
    group: Option<Pid>,
}

impl Running {
    fn end_group(&mut self) {
        if let Some(group) = self.group.take() {
            // Gone already is as good.
            rustix::process::kill_process_group(group, Signal::KILL).ok();
        }
    }

    /// Waits for the program, and ends what it leaves behind: while it is not reaped, nobody else can have its number.
    async fn wait(&mut self) -> Result<ExitStatus> {
        if let Some(pid) = self.group {
            let ended =
                move || rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            tokio::task::spawn_blocking(ended).await.ok();
        }
        self.end_group();
        self.child.wait().await.context(|| "cannot be waited for")
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
    let child = started(&mut command).await.context(|| "cannot be started")?;
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let mut running = Running { child, group };
    let mut stdin = running.child.stdin.take();
    let (stdout, stderr) = (running.child.stdout.take(), running.child.stderr.take());
    let write = async move {
        // A program that needs no question may close its end.
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

/// Starts a program. One that another process still has open for writing (ETXTBSY) is tried again.
async fn started(command: &mut Command) -> io::Result<Child> {
    for _ in 0..BUSY {
        match command.spawn() {
            Err(e) if e.kind() == io::ErrorKind::ExecutableFileBusy => tokio::time::sleep(AGAIN).await,
            other => return other,
        }
    }
    command.spawn()
}

/// How a program ended, once all that it wrote was read. Whoever left its group and keeps its pipes open is not waited for.
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

/// Takes all that is printed. Errors: more than is allowed.
async fn bounded(from: Option<impl AsyncRead + Unpin>, printed: &mut Vec<u8>) -> Result<()> {
    let Some(from) = from else { return Ok(()) };
    from.take(MAX_ANSWER + 1).read_to_end(printed).await.context(|| "cannot read what it prints")?;
    if printed.len() as u64 > MAX_ANSWER {
        return Err(Error::limit(format!("it printed more than {MAX_ANSWER} bytes")));
    }
    Ok(())
}

/// Takes the beginning; the rest is read, so that nobody waits, and dropped.
async fn drained(from: Option<impl AsyncRead + Unpin>, start: &mut Vec<u8>) -> Result<()> {
    let Some(mut from) = from else { return Ok(()) };
    (&mut from).take(MAX_STDERR).read_to_end(start).await.context(|| "cannot read its errors")?;
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await.context(|| "cannot read its errors")?;
    Ok(())
}

/// The first line that is not blank.
fn first_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(500).collect()
}

fn succeeded(status: ExitStatus, complaint: &str) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    let why = if complaint.is_empty() { "without a word" } else { complaint };
    Err(Error::invalid(format!("failed ({status}): {why}")))
}
