//! `artifact serve`: layouts and archives as an OCI registry.

use std::{
    net::SocketAddr,
    num::NonZeroU64,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use artifact::{
    Code, Context, Error, Kind, Result,
    error::Context as _,
    fault::{Faults, Scenario},
    fs,
    location::Place,
    oci::RepositoryName,
    serve::{
        Access, Htpasswd, InMemory, Limits, Log, LogLine, Mounted, Options, Registry, Repositories, Server, Tls, Tree,
    },
    stores::Layout,
};

use super::{report::Report, session::max_size, stop::signalled, text::size};

/// Size limit of a file with faults, users, a certificate or a key, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// File descriptors per connection: its socket, a file, and those of a look into a layout.
const PER_CONNECTION: u64 = 8;
/// File descriptors for which there is one upload, which takes two of them.
const PER_UPLOAD: u64 = 16;

/// Serve layouts and archives as an OCI registry, read-only unless --writable.
///
/// A layout or archive becomes a repository with its file name; tags that are whole references are served under the
/// repository that they contain. A single directory that is not a layout is a tree of layouts: `a/b` in it is the
/// repository `a/b`. Without STORE, the registry is empty and in memory.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Layouts and archives, or one directory of layouts
    #[arg(value_name = "STORE")]
    stores: Vec<String>,
    /// The address to listen on; port 0 selects a free port
    #[arg(long, default_value = "127.0.0.1:5000", value_name = "ADDRESS:PORT", value_parser = address)]
    listen: SocketAddr,
    /// Accept pushes and deletions
    #[arg(long)]
    writable: bool,
    /// Inject the faults in this file, to test clients; `examples/client-conformance` documents the format
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Use the scenario with this name from the fault file
    #[arg(long, requires = "faults", value_name = "NAME")]
    scenario: Option<String>,
    /// Accept requests for this host name, besides localhost and IP addresses
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// Require a user and password from this file, as `htpasswd -B` writes it (bcrypt only)
    #[arg(long, value_name = "FILE")]
    htpasswd: Option<PathBuf>,
    /// Serve https with this certificate, followed by those between it and its authority (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate (PEM, not encrypted)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Most unfinished uploads at a time, 256 by default, of which a client may have three quarters; where there is no room,
    /// the client with the most gives up the one idle for longest
    #[arg(long, value_name = "N", requires = "writable", value_parser = clap::value_parser!(u32).range(1..))]
    max_uploads: Option<u32>,
    /// Refuse content beyond this size of all that is stored and on its way, as in 500M or 10G
    #[arg(long, value_name = "SIZE", requires = "writable", value_parser = max_size)]
    quota: Option<NonZeroU64>,
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    report.no_template("`serve`")?;
    let repositories = repositories(&args, report).await?;
    let what = repositories.to_string();
    let log = report.is_verbose().then(|| log(report));
    let faults = args.faults.as_deref().map(|path| read_faults(path, args.scenario.as_deref())).transpose()?;
    let options = Options {
        repositories,
        writable: args.writable,
        access: access(&args)?,
        hosts: args.host.clone(),
        log,
        limits: limits(&args, report),
    };
    let tls = tls(&args)?;
    let registry = Registry::new(options);
    let server = match &faults {
        Some(faults) => Server::bind(args.listen, faults.around(registry)).await?,
        None => Server::bind(args.listen, registry).await?,
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let server = match tls {
        Some(tls) => server.with_tls(tls),
        None => server,
    };
    if let Some(warning) = exposure(&args, server.addr()) {
        report.warn(warning);
    }
    if faults.is_some() {
        report.warn("faults are injected on purpose");
    }
    let stopped = signalled();
    report.line(format!("{scheme}://{}", server.addr()))?;
    let mode = if args.writable { "read and write" } else { "read only" };
    report.say(format!("serving {what}, {mode}; Ctrl-C stops"));
    let (stop, signal) = tokio::sync::oneshot::channel();
    let stopping = async {
        let _ = stop.send(stopped.await);
    };
    server.run(stopping).await?;
    Ok(signal.await.map_or(ExitCode::SUCCESS, |signal| ExitCode::from(128 + signal)))
}

/// What others on the network can do, if they can do more than they should.
fn exposure(args: &Args, addr: SocketAddr) -> Option<String> {
    if addr.ip().is_loopback() {
        return None;
    }
    let what = if args.writable { "read and write" } else { "read" };
    match (&args.htpasswd, &args.tls_cert) {
        (None, _) => Some(format!(
            "every client that can reach {addr} can {what} without a password; `--htpasswd FILE` requires one"
        )),
        (Some(_), None) => Some(format!(
            "passwords travel to {addr} in the clear; `--tls-cert FILE --tls-key FILE`, or a proxy with TLS, protects them"
        )),
        (Some(_), Some(_)) => None,
    }
}

/// Who may make requests.
fn access(args: &Args) -> Result<Access> {
    let Some(path) = &args.htpasswd else { return Ok(Access::Open) };
    let text = fs::read_text(path, MAX_FILE).map_err(Error::of_configuration)?;
    let users = Htpasswd::parse(&text).context(|| format!("`{}`", path.display()));
    users.map(Access::Htpasswd).map_err(Error::of_configuration)
}

/// The certificate and its key.
fn tls(args: &Args) -> Result<Option<Tls>> {
    let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) else { return Ok(None) };
    let read = |path| fs::read(path, MAX_FILE).map_err(Error::of_configuration);
    let place = || format!("`{}` and `{}`", certificate.display(), key.display());
    let tls = Tls::from_pem(&read(certificate)?, &read(key)?).context(place);
    tls.map(Some).map_err(Error::of_configuration)
}

/// The limits: those that were asked for, and no more than there are file descriptors for.
fn limits(args: &Args, report: &Report) -> Limits {
    let all = file_descriptors();
    let defaults = Limits::default();
    let connections = usize::try_from(all / PER_CONNECTION).unwrap_or(usize::MAX).max(1);
    let possible = usize::try_from(all / PER_UPLOAD).unwrap_or(usize::MAX).max(1);
    let uploads = args.max_uploads.and_then(|most| usize::try_from(most).ok());
    if let Some(wanted) = uploads.filter(|wanted| *wanted > possible) {
        report.warn(format!("{possible} unfinished uploads at a time, not {wanted}: there are {all} file descriptors"));
    }
    Limits {
        connections: defaults.connections.min(connections),
        uploads: uploads.unwrap_or(defaults.uploads).min(possible),
        quota: args.quota.map_or(defaults.quota, NonZeroU64::get),
        ..defaults
    }
}

/// The number of file descriptors that this process may have, after asking for all that it may ask for.
fn file_descriptors() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // The usual limit of 1024 is for programs that use `select`.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let allowed = if raised.is_ok() { limit.maximum } else { limit.current };
    allowed.unwrap_or(u64::MAX)
}

/// Reads the faults: a list, or the scenario with this name.
fn read_faults(path: &Path, scenario: Option<&str>) -> Result<Arc<Faults>> {
    let place = || format!("`{}`", path.display());
    let text = fs::read_text(path, MAX_FILE).map_err(Error::of_configuration)?;
    let Some(name) = scenario else {
        return Faults::parse(&text).map(Arc::new).context(place).map_err(Error::of_configuration);
    };
    let all = Scenario::parse(&text).context(place).map_err(Error::of_configuration)?;
    let found = all.iter().find(|scenario| scenario.name == name);
    let none = || {
        let names: Vec<_> = all.iter().map(|scenario| scenario.name.as_str()).collect();
        Error::misuse(format!("no scenario `{name}`; the scenarios are `{}`", names.join("`, `"))).context(place())
    };
    found.map(|scenario| Arc::new(scenario.faults())).ok_or_else(none)
}

async fn repositories(args: &Args, report: &Report) -> Result<Arc<dyn Repositories>> {
    if args.stores.is_empty() {
        return Ok(Arc::new(InMemory::new()));
    }
    if let [only] = args.stores.as_slice()
        && is_tree(Path::new(only), args.writable)
    {
        if args.writable {
            std::fs::create_dir_all(only).context(|| format!("cannot create `{only}`"))?;
        }
        return Ok(Arc::new(Tree::open(only)?));
    }
    let mut context = Context::from_environment()?;
    context.progress = report.observer();
    let mut mounted = Mounted::new();
    for store in &args.stores {
        mounted = mount_store(mounted, store, args.writable, &context).await?;
    }
    Ok(Arc::new(mounted))
}

/// Whether the path is a directory that is not a layout; if `writable`, it need not exist.
fn is_tree(path: &Path, writable: bool) -> bool {
    (path.is_dir() && !Layout::is_at(path) && !path.join("oci-layout").exists())
        || (writable && !path.exists() && path.extension().is_none())
}

/// Adds one store under its file name.
async fn mount_store(mounted: Mounted, store: &str, writable: bool, context: &Context) -> Result<Mounted> {
    let path = Path::new(store.trim_start_matches("oci-archive:").trim_start_matches("oci:"));
    let full = path.canonicalize().map_err(|e| {
        let error = Error::from(e).context(format!("cannot open `{store}`"));
        let whole = path.to_str().and_then(|text| text.rsplit_once(':'));
        match whole.is_some_and(|(whole, _)| Path::new(whole).exists()) {
            true => error.into_misuse().with_code(Code::StoreWithName),
            false => error,
        }
    })?;
    let stem = full.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
    let stem = stem.strip_suffix(".tar").unwrap_or(&stem);
    let name: RepositoryName = stem.parse().context(|| format!("cannot derive a repository name from `{store}`"))?;
    if full.is_file() && writable {
        let message = format!("cannot serve `{store}` with `--writable`: it is an archive; only layouts accept pushes");
        return Err(Error::new(Kind::Unsupported, message));
    }
    if writable {
        let layout = Layout::open(path)?;
        layout.check_writable()?;
        return Ok(mounted.and_writable(name, Arc::new(layout)));
    }
    let place = if full.is_file() { Place::Archive(path.into()) } else { Place::Layout(path.into()) };
    Ok(mounted.and(name, context.read(&place).await?))
}

/// Parses an address to listen on; without a host, or with `localhost`, it is a loopback address.
fn address(text: &str) -> std::result::Result<SocketAddr, String> {
    let port = text.strip_prefix("localhost:").unwrap_or(text).parse::<u16>();
    let loopback = port.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    loopback.or_else(|_| text.parse()).map_err(|_| {
        "expected an address and a port, such as `127.0.0.1:5000`, `0.0.0.0:5000` for all networks, or a port alone"
            .into()
    })
}

/// Logs one line per request, as web servers do.
fn log(report: &Report) -> Log {
    let report = report.clone();
    Arc::new(move |line: &LogLine| {
        let (path, millis) = (&line.path, line.micros as f64 / 1000.0);
        let why = line.error.as_deref().map(|e| format!("  {e}")).unwrap_or_default();
        report.detail(format!("{} {path} {} {} {millis:.1} ms{why}", line.method, line.status, size(line.bytes)));
    })
}
