//! How fast transfers are: `cargo bench --bench transfer`, with `-- full` at the sizes that are quoted in reports.
//!
//! One large file and many small ones go to registries on loopback and come back, by this program and by those of its
//! peers that are on the `PATH`. Rows of a block do the same work and take turns; each is the best of three runs. The
//! client is measured from outside by GNU time, `-` where that is not installed; `server` is the processor time
//! of the registry. `ratio` is the wall time of the row in that of the block's first. Registries keep their content in
//! `/dev/shm`, or in the temporary directory where there is no such thing: `full` needs some 10 GiB there, which a run
//! that is killed leaves behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

/// Size of one of the many files in bytes.
const SMALL: usize = 256 << 10;
/// How often each row is run.
const RUNS: usize = 3;

fn main() {
    let full = std::env::args().any(|arg| arg == "full");
    let (large, count) = if full { (1 << 30, 2_000) } else { (64 << 20, 100) };
    let dir = tempfile::tempdir_in(Some("/dev/shm").filter(|dir| Path::new(dir).is_dir()).unwrap_or("/tmp")).unwrap();
    make_files(&dir.path().join("large"), 1, large);
    make_files(&dir.path().join("many"), count, SMALL);
    for server in [Server::ours(dir.path()), Server::docker(dir.path())] {
        let Some(server) = server else {
            println!("\nno `docker-registry` on the PATH: its rows are left out");
            continue;
        };
        for (what, bytes) in [("large", large), ("many", count * SMALL)] {
            let files = fs::read_dir(dir.path().join(what)).unwrap().count();
            println!("\n{files} x {} MiB, {}", bytes as f64 / files as f64 / f64::from(1 << 20), server.name);
            Case { dir: dir.path(), what, bytes, server: &server }.all();
        }
        println!("peak memory of {}: {} MiB", server.name, server.peak());
    }
}

/// Files of which no two are alike, and which do not compress.
fn make_files(dir: &Path, count: usize, size: usize) {
    fs::create_dir_all(dir).unwrap();
    let mut state = size as u64 + 1;
    for i in 0..count {
        let mut file = std::io::BufWriter::new(fs::File::create(dir.join(format!("f{i:05}"))).unwrap());
        for _ in 0..size / 8 {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            file.write_all(&state.to_le_bytes()).unwrap();
        }
    }
}

/// A registry in a process of its own.
struct Server {
    name: &'static str,
    child: Child,
    host: String,
}

impl Server {
    fn ours(dir: &Path) -> Option<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_artifact"));
        command.args(["serve", "--writable", "--listen", "127.0.0.1:0"]).arg(dir.join("ours"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let host = address(child.stdout.take().unwrap(), "http://").unwrap();
        Some(Self { name: "artifact serve", child, host })
    }

    fn docker(dir: &Path) -> Option<Self> {
        let root = dir.join("docker");
        let config = dir.join("docker.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: info, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:0'}}\n",
            root.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new("docker-registry");
        let spawned = command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.ok()?;
        let host = address(child.stderr.take().unwrap(), "listening on ").unwrap();
        Some(Self { name: "docker-registry", child, host })
    }

    /// Processor time so far in seconds (proc(5), stat: fields 14 and 15, in hundredths).
    fn processor(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
    }

    /// The most memory that it has used, in MiB.
    fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() >> 10
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address that a server prints after `mark`; what it prints later is thrown away.
fn address(output: impl Read + Send + 'static, mark: &str) -> Option<String> {
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let host = lines.find_map(|line| Some(line.split_once(mark)?.1.split(['"', ' ']).next()?.to_owned()));
    std::thread::spawn(move || lines.for_each(drop));
    host
}

/// What a client did at its best.
struct Row {
    client: &'static str,
    script: String,
    wall: f64,
    cpu: Option<f64>,
    peak: u64,
    server: f64,
}

/// Some files, and the registry that they go to.
struct Case<'a> {
    dir: &'a Path,
    what: &'static str,
    bytes: usize,
    server: &'a Server,
}

impl Case<'_> {
    /// Pushes and pulls, files and layouts. The repository `kept` stays; `new` is a new one every time.
    fn all(&self) {
        let (artifact, host, what) = (env!("CARGO_BIN_EXE_artifact"), &self.server.host, self.what);
        let kept = format!("{host}/{what}/kept");
        run(self.dir, &format!("{artifact} -q push --set layout=files {what} {kept}:v1"));
        run(self.dir, &format!("rm -rf layout && {artifact} -q pull {kept}:v1 layout"));
        // skopeo needs minutes for thousands of layers.
        let large = what == "large";
        let start = format!("curl -sSf -o reply -D head -X POST http://{host}/v2/$new/blobs/uploads/");
        let place = "place=$(grep -i ^location: head | tr -d '\\r' | cut -d' ' -f2); \
                     case $place in /*) place=http://$HOST$place;; esac; case $place in *'?'*) join='&';; *) join='?';; esac";
        let digest = "sha256:$(sha256sum large/f00000 | cut -d' ' -f1)";
        let put = "curl -sSf -o reply -H Expect: -T large/f00000 \"$place${join}digest=$digest\"";
        self.block(
            "push files",
            &[
                ("artifact", true, format!("{artifact} -q push --set layout=files {what} {host}/$new:v1")),
                ("oras", true, format!("cd {what} && oras push --no-tty --plain-http {host}/$new:v1 *")),
                ("curl, sha256sum", large, format!("{start} && HOST={host} && {place} && digest={digest} && {put}")),
            ],
        );
        self.block(
            "pull files",
            &[
                ("artifact", true, format!("{artifact} -q pull --unpack {kept}:v1 out")),
                ("oras", true, format!("oras pull --no-tty --plain-http -o out {kept}:v1")),
                (
                    "curl, sha256sum",
                    large,
                    format!("curl -sSf http://{host}/v2/{what}/kept/blobs/{digest} -o out && sha256sum out"),
                ),
            ],
        );
        self.block(
            "push layout",
            &[
                ("artifact", true, format!("{artifact} -q copy oci:layout:v1 {host}/$new:v1")),
                ("oras", true, format!("oras cp --no-tty --from-oci-layout layout:v1 --to-plain-http {host}/$new:v1")),
                (
                    "skopeo",
                    large,
                    format!("skopeo copy -q --dest-tls-verify=false oci:layout:v1 docker://{host}/$new:v1"),
                ),
                ("crane", true, format!("crane push --insecure layout {host}/$new:v1")),
            ],
        );
        self.block(
            "pull layout",
            &[
                ("artifact", true, format!("{artifact} -q pull {kept}:v1 out")),
                ("oras", true, format!("oras cp --no-tty --from-plain-http {kept}:v1 --to-oci-layout out:v1")),
                ("skopeo", large, format!("skopeo copy -q --src-tls-verify=false docker://{kept}:v1 oci:out:v1")),
                ("crane", true, format!("crane pull --insecure --format oci {kept}:v1 out")),
            ],
        );
    }

    /// Clients that take turns.
    fn block(&self, what: &str, clients: &[(&'static str, bool, String)]) {
        let usable = clients.iter().filter(|(client, fits, _)| *fits && (*client == "artifact" || installed(client)));
        let mut rows: Vec<Row> = usable
            .map(|(client, _, script)| Row {
                client,
                script: script.clone(),
                wall: f64::MAX,
                cpu: None,
                peak: 0,
                server: f64::MAX,
            })
            .collect();
        for run in 0..RUNS {
            for row in &mut rows {
                let new = format!("{}/{}-{}-{run}", self.what, what.replace(' ', "-"), row.client.replace(", ", "-"));
                self.measure(row, &new);
            }
        }
        println!("{what:<28} {:>7} {:>7} {:>7} {:>9} {:>9} {:>6}", "s", "MB/s", "CPU s", "peak MiB", "server", "ratio");
        let ours = rows[0].wall;
        for Row { client, wall, cpu, peak, server, .. } in rows {
            let (speed, ratio) = (self.bytes as f64 / 1e6 / wall, wall / ours);
            let cpu = cpu.map_or("-".into(), |cpu| format!("{cpu:.2}"));
            if wall == f64::MAX {
                println!("  {client:<26} fails");
            } else {
                println!("  {client:<26} {wall:>7.3} {speed:>7.0} {cpu:>7} {peak:>9} {server:>9.2} {ratio:>6.2}");
            }
        }
    }

    /// One run, with `new` as the name of a repository that is not there yet.
    fn measure(&self, row: &mut Row, new: &str) {
        let script = format!("new={new}; {}", row.script);
        let report = self.dir.join("time");
        let mut command = Command::new("sh");
        if installed("/usr/bin/time") {
            command = Command::new("/usr/bin/time");
            command.args(["-o".as_ref(), report.as_os_str()]).args(["-f", "%U %S %M", "sh"]);
        }
        let (start, before) = (Instant::now(), self.server.processor());
        let done = command.args(["-c", &script]).current_dir(self.dir).output().unwrap();
        let (wall, server) = (start.elapsed().as_secs_f64(), self.server.processor() - before);
        // What is not removed would fill the memory that it is kept in.
        for leftover in [self.dir.join("out"), self.dir.join("ours").join(new)] {
            let _ = fs::remove_dir_all(&leftover).or_else(|_| fs::remove_file(&leftover));
        }
        if !done.status.success() {
            return;
        }
        row.wall = row.wall.min(wall);
        row.server = row.server.min(server);
        let text = fs::read_to_string(report).unwrap_or_default();
        if let [user, system, peak] = text.split_whitespace().collect::<Vec<_>>()[..] {
            let cpu = user.parse::<f64>().unwrap() + system.parse::<f64>().unwrap();
            row.cpu = Some(row.cpu.unwrap_or(f64::MAX).min(cpu));
            row.peak = row.peak.max(peak.parse::<u64>().unwrap() >> 10);
        }
    }
}

/// Whether there is a program for the first word.
fn installed(client: &str) -> bool {
    let program = PathBuf::from(client.split(',').next().unwrap_or_default());
    let dirs = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&dirs).any(|dir| dir.join(&program).is_file())
}

fn run(dir: &Path, script: &str) {
    let done = Command::new("sh").args(["-c", script]).current_dir(dir).output().unwrap();
    assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
}
