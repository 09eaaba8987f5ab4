//! What a process of ours uses, in microseconds of processor time.
//!
//! The kernel counts it when the process has ended, children that it waited for included (wait4(2)).

use std::{
    ffi::OsStr,
    fs,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use wait4::Wait4 as _;

use crate::place::Place;

/// What one run needed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    /// Seconds from start to end.
    pub(crate) wall: f64,
    /// Processor seconds.
    pub(crate) cpu: f64,
    /// The most memory, in MiB.
    pub(crate) peak: f64,
    /// Requests, where they are counted.
    pub(crate) requests: f64,
}

/// Starts a process. Its peak begins with what this process has at most had in memory, which is forgotten first
/// (proc(5), clear_refs).
pub(crate) fn start(command: &mut Command) -> std::io::Result<Child> {
    let _ = fs::write("/proc/self/clear_refs", "5");
    command.spawn()
}

/// Waits for the end of a process.
pub(crate) fn ended(child: &mut Child, start: Instant) -> (Option<ExitStatus>, Used) {
    let Ok(done) = child.wait4() else { return (None, Used::default()) };
    let wall = start.elapsed().as_secs_f64();
    let cpu = (done.rusage.utime + done.rusage.stime).as_secs_f64();
    (Some(done.status), Used { wall, cpu, peak: done.rusage.maxrss as f64 / f64::from(1 << 20), requests: 0.0 })
}

/// Processes in the working directory that run at the same time, and what they said.
pub(crate) struct Running {
    start: Instant,
    children: Vec<(Child, PathBuf)>,
}

impl Running {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), children: Vec::new() }
    }

    pub(crate) fn add(&mut self, place: &Place, command: &mut Command) -> Result<(), String> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let said = place.join(&format!("said-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let file = fs::File::create(&said).map_err(|e| e.to_string())?;
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).current_dir(place.path());
        let child = start(command).map_err(|e| format!("{}: {e}", command.get_program().display()))?;
        self.children.push((child, said));
        Ok(())
    }

    /// Waits for all: wall seconds from the first start to the last end, processor seconds of all, the highest peak.
    /// Errors: one that failed, or was ended because it took longer than `most`.
    pub(crate) fn finish(mut self, most: Duration) -> Result<Used, String> {
        let pids: Vec<String> = self.children.iter().map(|(child, _)| child.id().to_string()).collect();
        let (done, late) = mpsc::channel::<()>();
        // Not a `timeout` in front of each, whose processor time would count.
        let watch = thread::spawn(move || {
            let late = late.recv_timeout(most) == Err(mpsc::RecvTimeoutError::Timeout);
            if late {
                let _ = Command::new("kill").arg("-9").args(&pids).status();
            }
            late
        });
        let (mut all, mut failed) = (Used::default(), None);
        for (child, said) in &mut self.children {
            let (status, used) = ended(child, self.start);
            all = Used { wall: used.wall, cpu: all.cpu + used.cpu, peak: all.peak.max(used.peak), requests: 0.0 };
            if !status.is_some_and(|status| status.success()) {
                let said = fs::read_to_string(&*said).unwrap_or_default();
                failed = Some(format!("{}: {}", status.map(|s| s.to_string()).unwrap_or_default(), last_line(&said)));
            }
            let _ = fs::remove_file(said);
        }
        drop(done);
        let late = watch.join().unwrap_or_default();
        match failed {
            Some(_) if late => Err(format!("takes longer than {} s", most.as_secs())),
            Some(why) => Err(why),
            None => Ok(all),
        }
    }
}

/// Runs one process.
pub(crate) fn run(
    place: &Place,
    program: &str,
    arguments: &[impl AsRef<OsStr>],
    most: Duration,
) -> Result<Used, String> {
    let mut running = Running::new();
    running.add(place, Command::new(program).args(arguments))?;
    running.finish(most)
}

/// The last line that says something.
pub(crate) fn last_line(said: &str) -> &str {
    said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default()
}
