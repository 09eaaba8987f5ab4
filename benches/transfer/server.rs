//! Registries, and a web server, in processes of their own.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    place::Place,
    process::{Used, ended, start},
    run::{installed, path, shell},
};

/// A server that runs until it is dropped; what was pushed to it goes with it.
pub(crate) struct Server<'a> {
    pub(crate) name: &'static str,
    /// `127.0.0.1:PORT`
    pub(crate) host: String,
    /// The file of the certificate that https is spoken with.
    pub(crate) authority: Option<String>,
    /// Where it keeps the directory of a repository, below the working directory.
    repositories: &'static str,
    pid: u32,
    /// None when it has ended.
    child: Option<Child>,
    requests: Arc<AtomicU64>,
    place: &'a Place,
}

impl<'a> Server<'a> {
    /// The server of this name: `docker-registry`, or `artifact serve`. None when it is not installed.
    pub(crate) fn start(place: &'a Place, name: &'static str) -> Option<Self> {
        if name == OURS { Some(Self::ours(place, &place.join("ours"), "")) } else { Self::docker(place, "") }
    }

    /// docker-registry that speaks https; none without openssl either.
    pub(crate) fn docker_tls(place: &'a Place) -> Option<Self> {
        if !installed("openssl") {
            return None;
        }
        shell(
            place,
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out authority.pem -days 2 -subj /CN=registry \
             -addext subjectAltName=IP:127.0.0.1 2>/dev/null",
        );
        let (certificate, key) = (place.join("authority.pem").display().to_string(), place.join("key.pem"));
        let mut server =
            Self::docker(place, &format!(", tls: {{certificate: {certificate}, key: {}}}", key.display()))?;
        server.authority = Some(certificate);
        Some(server)
    }

    /// Ours over a directory of layouts that may be written to, with more flags.
    pub(crate) fn ours(place: &'a Place, dir: &Path, flags: &str) -> Self {
        Self::program(place, &place.program, dir, &format!("--writable {flags}"))
    }

    /// The server of this program of ours.
    pub(crate) fn program(place: &'a Place, program: &str, dir: &Path, flags: &str) -> Self {
        let mut command = Command::new(program);
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(flags.split_whitespace()).arg(dir);
        let mut child = start(command.stdout(Stdio::piped()).stderr(Stdio::piped())).unwrap();
        let host = address(child.stdout.take().unwrap(), "http://").unwrap();
        let requests = Arc::<AtomicU64>::default();
        let (log, counter) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&requests));
        std::thread::spawn(move || count_requests(log, &counter));
        Self::of(place, OURS, host, "ours", child, requests)
    }

    fn docker(place: &'a Place, more: &str) -> Option<Self> {
        let (root, config) = (place.join("docker"), place.join("docker.yml"));
        let text = format!(
            "version: 0.1\nlog: {{level: info, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:0'{more}}}\n",
            root.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(DOCKER);
        command.arg("serve").arg(&config).env("PATH", path()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().ok()?;
        let host = address(child.stderr.take().unwrap(), "listening on ").unwrap();
        Some(Self::of(place, DOCKER, host, "docker/docker/registry/v2/repositories", child, Arc::default()))
    }

    /// nginx in front of a directory.
    pub(crate) fn nginx(place: &'a Place, root: &Path) -> Option<Self> {
        let (own, port) = (place.join("nginx"), free_port());
        fs::create_dir_all(&own).unwrap();
        let (root, dir) = (root.display(), own.display());
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {dir}/{kind};"))
            .collect();
        let text = format!(
            "user root; daemon off; pid {dir}/pid; error_log {dir}/errors; worker_processes auto; events {{}}\n\
             http {{ access_log off; sendfile on; tcp_nopush on; {temporary}\n\
             server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n"
        );
        fs::write(own.join("conf"), text).unwrap();
        let mut command = Command::new("nginx");
        command.env("PATH", path()).args(["-e", "errors", "-c", "conf", "-p"]).arg(&own);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let host = format!("127.0.0.1:{port}");
        let server = Self::of(place, "nginx", host, "nginx", child, Arc::default());
        let start = Instant::now();
        while TcpStream::connect(&server.host).is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "nginx does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(server)
    }

    fn of(
        place: &'a Place,
        name: &'static str,
        host: String,
        repositories: &'static str,
        child: Child,
        requests: Arc<AtomicU64>,
    ) -> Self {
        place.note("start", child.id());
        let (pid, child) = (child.id(), Some(child));
        Self { name, host, authority: None, repositories, pid, child, requests, place }
    }

    /// Ends it, and gives what it has used from start to end. Nothing when it has ended.
    pub(crate) fn end(&mut self) -> Option<Used> {
        let mut child = self.child.take()?;
        // Not killed: nginx would leave its workers behind.
        let _ = Command::new("kill").arg(self.pid.to_string()).status();
        let (_, used) = ended(&mut child, Instant::now());
        self.place.note("stop", self.pid);
        Some(used)
    }

    /// Removes a repository. What it alone had is gone with it from our server; docker-registry keeps each blob once.
    pub(crate) fn forget(&self, repository: &str) {
        self.place.remove(&format!("{}/{repository}", self.repositories));
    }

    /// How many requests it has answered, when it was started with `--verbose`.
    pub(crate) fn requests(&self) -> u64 {
        // The log is written after the answer.
        std::thread::sleep(Duration::from_millis(100));
        self.requests.load(Ordering::Relaxed)
    }

    /// Processor time so far in seconds (proc(5), stat: fields 14 and 15, in hundredths).
    pub(crate) fn processor(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
    }

    /// The most memory that it has used, in MiB.
    pub(crate) fn peak(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1024.0
    }
}

/// Our server's name in tables.
pub(crate) const OURS: &str = "artifact serve";
/// The reference registry, and its program.
pub(crate) const DOCKER: &str = "docker-registry";

impl Drop for Server<'_> {
    fn drop(&mut self) {
        self.end();
        let top = self.repositories.split('/').next().unwrap_or_default();
        self.place.remove(top);
    }
}

/// The address that a server prints after `mark`; what it prints later is thrown away.
fn address(output: impl Read + Send + 'static, mark: &str) -> Option<String> {
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let host = lines.find_map(|line| Some(line.split_once(mark)?.1.split(['"', ' ', ',']).next()?.to_owned()));
    std::thread::spawn(move || lines.for_each(drop));
    host
}

/// Counts the lines of our log that are requests.
fn count_requests(log: impl Read, counter: &AtomicU64) {
    let lines = BufReader::new(log).lines().map_while(Result::ok);
    for _ in lines.filter(|line| line.contains(" /v2/")) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Pushes a sample to a repository that stays, and gives its whole reference.
pub(crate) fn keep(server: &Server<'_>, layout: &Path, name: &str) -> String {
    let kept = format!("{}/kept/{name}:v1", server.host);
    let (artifact, layout) = (&server.place.program, layout.display());
    let https = server.authority.iter().map(|file| format!("--plain-http=false --ca-file {file}")).collect::<String>();
    shell(server.place, &format!("{artifact} -q copy {https} oci:{layout}:v1 {kept}"));
    kept
}
