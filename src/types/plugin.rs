//! Types that need code: a program `artifact-type-NAME` that prints a plan.
//!
//! The protocol: the path of the source is the one argument, [`Inputs`] come as JSON on standard input, a [`Plan`]
//! (`artifact-plan/v1`) is expected as JSON on standard output. A program that fails says why on standard error and exits
//! with anything but 0. It runs with the rights of the user, like any program on the `PATH`; what it prints is still
//! checked: the plan stays within the source.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
};

use super::{Inputs, metadata};
use crate::{
    error::{Context as _, Error, Kind, Result},
    fs::up_to_async,
    plan::{self, Content, EntryKind, Part, Plan},
    source::{self, Source},
};

/// What the name of such a program begins with.
pub const PREFIX: &str = "artifact-type-";
/// Largest plan that a program may print, in bytes.
pub const MAX_PLAN: u64 = 16 << 20;
/// How much of standard error is kept, in bytes.
const MAX_STDERR: u64 = 64 << 10;

/// The program for the type of this name, in the first of these directories that has it.
#[must_use]
pub fn find(name: &str, directories: &[PathBuf]) -> Option<PathBuf> {
    let named = metadata::is_name(name);
    let paths = directories.iter().filter(|_| named).map(|dir| dir.join(format!("{PREFIX}{name}")));
    paths.into_iter().find(|path| is_program(path))
}

/// All such programs in these directories, by the name of their type; an earlier directory wins.
#[must_use]
pub fn list(directories: &[PathBuf]) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    let entries = directories.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let name = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_prefix(PREFIX));
        let Some(name) = name.filter(|n| metadata::is_name(n)) else { continue };
        if !found.iter().any(|(other, _)| other == name) && is_program(&path) {
            found.push((name.to_owned(), path));
        }
    }
    found.sort();
    found
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Lets a program plan this source.
///
/// Errors: it cannot be started; it fails, with the first line that it wrote to standard error; it takes longer than
/// `timeout`; it prints more than 16 MiB, or what is no plan; kind `Escape` when the plan reaches outside the source.
pub async fn run(program: &Path, source: &Source, inputs: &Inputs, timeout: Duration) -> Result<Plan> {
    let what = || format!("plug-in `{}`", program.display());
    let answer = tokio::time::timeout(timeout, ask(program, source.path(), inputs)).await;
    let late = |_| Error::new(Kind::Unavailable, format!("no answer within {} seconds", timeout.as_secs_f32()));
    let output = answer.map_err(late).and_then(|answer| answer).context(what)?;
    read(&output, source).context(what)
}

/// The child and, should this be given up, whatever it started.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let pid = self.0.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(pid) = pid {
            // Gone already is as good.
            rustix::process::kill_process_group(pid, rustix::process::Signal::KILL).ok();
        }
    }
}

async fn ask(program: &Path, source: &Path, inputs: &Inputs) -> Result<Vec<u8>> {
    let question =
        serde_json::to_vec(inputs).map_err(|e| Error::caused(Kind::Internal, "cannot write the inputs", e))?;
    let mut command = Command::new(program);
    command.arg(source).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.process_group(0).kill_on_drop(true).spawn().context(|| "cannot be started")?;
    let mut running = Running(child);
    let mut stdin = running.0.stdin.take();
    let (stdout, stderr) = (running.0.stdout.take(), running.0.stderr.take());
    let write = async move {
        // A program that needs no inputs may close its end.
        if let Some(stdin) = &mut stdin {
            stdin.write_all(&question).await.ok();
        }
        drop(stdin);
        Ok(())
    };
    let ((), output, complaint) = tokio::try_join!(write, bounded(stdout), first_line(stderr))?;
    let status = running.0.wait().await.context(|| "cannot be waited for")?;
    succeeded(status, &complaint)?;
    Ok(output)
}

/// All that is printed. Errors: more than is allowed.
async fn bounded(from: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>> {
    let Some(from) = from else { return Ok(Vec::new()) };
    let bytes = up_to_async(from, MAX_PLAN).await.context(|| "cannot read what it prints")?;
    bytes.ok_or_else(|| Error::limit(format!("it printed more than {MAX_PLAN} bytes")))
}

/// The first line that is not blank; the rest is read, so that nobody waits, and dropped.
async fn first_line(from: Option<impl AsyncRead + Unpin>) -> Result<String> {
    let Some(mut from) = from else { return Ok(String::new()) };
    let mut bytes = Vec::new();
    (&mut from).take(MAX_STDERR).read_to_end(&mut bytes).await.context(|| "cannot read its errors")?;
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await.context(|| "cannot read its errors")?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    Ok(line.chars().take(500).collect())
}

fn succeeded(status: ExitStatus, complaint: &str) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    let why = if complaint.is_empty() { "without a word" } else { complaint };
    Err(Error::invalid(format!("failed ({status}): {why}")))
}

/// Reads a plan and checks that it stays within the source.
fn read(output: &[u8], source: &Source) -> Result<Plan> {
    let mut plan: Plan =
        serde_json::from_slice(output).map_err(|e| Error::caused(Kind::Invalid, "it printed no plan", e))?;
    if plan.api_version != plan::API_VERSION {
        let version = &plan.api_version;
        return Err(Error::unsupported(format!(
            "it printed a plan of version `{version}`, not `{}`",
            plan::API_VERSION
        )));
    }
    let real = |path: &Path| path.canonicalize().context(|| format!("the base `{}`", path.display()));
    let base = real(&plan.base)?;
    if !base.starts_with(real(source.base())?) {
        let message = format!("the base `{}` lies outside the source", plan.base.display());
        return Err(Error::new(Kind::Escape, message));
    }
    std::iter::once(&plan.config).chain(&plan.layers).try_for_each(confined)?;
    plan.base = base;
    Ok(plan)
}

fn confined(part: &Part) -> Result<()> {
    let check = |path: &Path| source::relative(&path.to_string_lossy()).map(drop);
    match &part.content {
        Content::File(path) => check(path),
        Content::Tar { entries, .. } => entries.iter().try_for_each(|entry| match &entry.kind {
            EntryKind::File(path) => check(path),
            _ => Ok(()),
        }),
        _ => Ok(()),
    }
}
