//! Where everything happens: a directory in memory that is gone afterwards, whatever happens.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
};

use tempfile::TempDir;

/// Waits for the end of this process, then stops the servers that still run and removes the directory: a run that is
/// interrupted, or killed, leaves nothing in memory.
const UNDERTAKER: &str = r#"
trap '' INT TERM HUP
pids=
while read -r what pid; do
  case $what in
    start) pids="$pids $pid" ;;
    stop) pids=$(printf ' %s ' "$pids" | sed "s/ $pid / /") ;;
  esac
done
[ -z "$(echo $pids)" ] || kill $pids 2>/dev/null
sleep 0.2
rm -rf "$0"
"#;

/// The working directory.
pub(crate) struct Place {
    /// What makes the samples and the servers that are not measured.
    pub(crate) program: String,
    dir: TempDir,
    undertaker: Mutex<Child>,
}

impl Place {
    /// In `/dev/shm`, or where there is no such thing, among the temporary files. Errors: less than `need` bytes free.
    pub(crate) fn new(program: String, need: u64) -> Result<Self, String> {
        let base = Some("/dev/shm").filter(|dir| Path::new(dir).is_dir()).unwrap_or("/tmp");
        let stat = rustix::fs::statvfs(base).map_err(|e| format!("{base}: {e}"))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < need {
            return Err(format!("{} MiB are free in {base}, {} are needed", free >> 20, need >> 20));
        }
        let dir = tempfile::Builder::new().prefix("artifact-bench-").tempdir_in(base).map_err(|e| e.to_string())?;
        let undertaker = Command::new("sh")
            .args(["-c".as_ref(), UNDERTAKER.as_ref(), dir.path().as_os_str()])
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|e| format!("sh: {e}"))?;
        Ok(Self { program, dir, undertaker: Mutex::new(undertaker) })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Removes what is in the way, be it a file, a directory or nothing.
    pub(crate) fn remove(&self, name: &str) {
        let path = self.join(name);
        let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
    }

    /// Notes that a server runs (`start`) or does no longer (`stop`).
    pub(crate) fn note(&self, what: &str, pid: u32) {
        if let Some(stdin) = &mut self.undertaker.lock().unwrap().stdin {
            let _ = writeln!(stdin, "{what} {pid}");
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut undertaker = self.undertaker.lock().unwrap();
        drop(undertaker.stdin.take());
        let _ = undertaker.wait();
    }
}
