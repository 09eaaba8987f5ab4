//! Clients, measured from outside.

use std::{
    ffi::OsString,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    place::Place,
    process::{Running, last_line},
    server::Server,
};

/// How often each client is run.
const RUNS: usize = 3;
/// A client that has taken this long in all is not run again.
const ENOUGH: Duration = Duration::from_secs(20);
/// Longest time of one run, in seconds.
const MOST: u32 = 120;
/// How a failure begins when `timeout` was needed.
const TOO_LONG: &str = "exit status: 124:";

/// A command line to measure. In the script, `$new` is a name that has not been used before, and `out` is removed after
/// each run.
pub(crate) struct Client {
    pub(crate) name: &'static str,
    program: String,
    script: String,
    most: u32,
}

impl Client {
    /// The program is what must be installed; the script runs in the working directory.
    pub(crate) fn new(name: &'static str, program: &str, script: String) -> Self {
        Self { name, program: program.to_owned(), script, most: MOST }
    }

    /// The same, given up after so many seconds.
    pub(crate) fn within(self, most: u32) -> Self {
        Self { most, ..self }
    }

    /// Ours.
    pub(crate) fn ours(place: &Place, name: &'static str, arguments: &str) -> Self {
        Self::new(name, &place.program, format!("{} -q {arguments}", place.program))
    }
}

/// What a client needed at its best, each for itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) wall: f64,
    /// Whether it was given up then.
    pub(crate) unfinished: bool,
    /// Processor seconds, and the most memory in MiB; none when it was given up.
    pub(crate) client: Option<(f64, f64)>,
    /// Processor seconds of the server at the other end, if there is one.
    pub(crate) server: Option<f64>,
}

/// A client, and what it needed; nothing when it failed or is not installed.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) cost: Option<Cost>,
    pub(crate) why_not: Option<String>,
}

/// Clients that do the same work take turns, so that whatever else the machine does meets all of them.
pub(crate) fn turns(place: &Place, server: Option<&Server<'_>>, clients: &[Client]) -> Vec<Measured> {
    let mut all: Vec<Turn<'_>> = clients.iter().map(|client| Turn::new(place, server, client)).collect();
    for run in 0..RUNS {
        all.iter_mut().for_each(|turn| turn.take(run));
    }
    all.into_iter().map(|turn| turn.measured).collect()
}

struct Turn<'a> {
    place: &'a Place,
    server: Option<&'a Server<'a>>,
    client: &'a Client,
    spent: Duration,
    measured: Measured,
}

impl<'a> Turn<'a> {
    fn new(place: &'a Place, server: Option<&'a Server<'a>>, client: &'a Client) -> Self {
        let missing = !installed(&client.program);
        let why_not = missing.then(|| format!("no `{}` on the PATH", client.program));
        let measured = Measured { name: client.name, cost: None, why_not };
        Self { place, server, client, spent: Duration::ZERO, measured }
    }

    fn take(&mut self, run: usize) {
        if self.measured.why_not.is_some() || self.spent > ENOUGH {
            return;
        }
        let new = format!("new/{}-{run}", self.client.name.replace([' ', ','], "").to_lowercase());
        let (start, before) = (Instant::now(), self.server.map(Server::processor));
        match measure(self.place, self.client, &new) {
            Ok(cost) => {
                let server = self.server.map(Server::processor).zip(before).map(|(after, before)| after - before);
                let cost = Cost { server, ..cost };
                eprintln!("    {:<28} {}", self.client.name, told(cost));
                self.measured.cost = Some(self.measured.cost.map_or(cost, |best| best.and(cost)));
            }
            Err(why) => {
                eprintln!("    {:<28} fails: {why}", self.client.name);
                self.measured.why_not = Some(why);
                self.measured.cost = None;
            }
        }
        self.spent += start.elapsed();
        self.place.remove("out");
        self.server.into_iter().for_each(|server| server.forget(&new));
    }
}

impl Cost {
    fn and(self, other: Self) -> Self {
        let client = self.client.zip(other.client).map(|((cpu, peak), (c, p))| (cpu.min(c), peak.max(p)));
        let server = self.server.zip(other.server).map(|(own, other)| own.min(other));
        Self { wall: self.wall.min(other.wall), unfinished: self.unfinished && other.unfinished, client, server }
    }
}

/// A line for whoever watches.
fn told(cost: Cost) -> String {
    let client = cost.client.map(|(cpu, peak)| format!("{cpu:>7.2} CPU s {peak:>5.0} MiB")).unwrap_or_default();
    let server = cost.server.map(|server| format!("  server {server:>5.2} CPU s")).unwrap_or_default();
    format!("{:>8.3} s {client}{server}", cost.wall)
}

fn measure(place: &Place, client: &Client, new: &str) -> Result<Cost, String> {
    // Not with `--foreground`, which would end the shell alone: its client would go on, beside the next one.
    let script = format!("new={new}; {}", client.script);
    let arguments = [client.most.to_string(), "sh".into(), "-ec".into(), script];
    let mut running = Running::new();
    running.add(place, Command::new("timeout").args(arguments).env("PATH", path()))?;
    let (wall, unfinished) = (f64::from(client.most), true);
    match running.finish(Duration::from_secs(u64::from(client.most) + 10)) {
        Err(why) if why.starts_with(TOO_LONG) => Ok(Cost { wall, unfinished, client: None, server: None }),
        used => {
            let used = used?;
            Ok(Cost { wall: used.wall, unfinished: false, client: Some((used.cpu, used.peak)), server: None })
        }
    }
}

/// Runs something that is not measured.
pub(crate) fn shell(place: &Place, script: &str) {
    let mut command = Command::new("sh");
    let done = command.args(["-ec", script]).env("PATH", path()).current_dir(place.path()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{script}: {}: {}", done.status, last_line(&said));
}

/// Whether there is such a program.
pub(crate) fn installed(program: &str) -> bool {
    std::env::split_paths(&path()).any(|dir| dir.join(program).is_file())
}

/// The `PATH`, and where Debian keeps web servers.
pub(crate) fn path() -> OsString {
    let own = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::env::split_paths(&own).chain(["/usr/sbin".into()])).unwrap_or(own)
}
