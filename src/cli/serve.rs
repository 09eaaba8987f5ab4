//! `artifact serve`: layouts and archives as an OCI registry.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use artifact::{
    Code, Error, Kind, Result,
    error::Context as _,
    fault::{Faults, Scenario},
    fs,
    oci::RepositoryName,
    serve::{InMemory, Log, LogLine, Mounted, Options, Registry, Repositories, Server, Tree},
    stores::{Archive, Layout},
};

use super::{report::Report, stop::signalled, text::size};

/// Size limit of a fault file, in bytes.
const MAX_FAULTS: u64 = 1 << 20;

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
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let repositories = repositories(&args)?;
    let what = repositories.to_string();
    let log = report.is_verbose().then(|| log(report));
    let faults = args.faults.as_deref().map(|path| read_faults(path, args.scenario.as_deref())).transpose()?;
    let options = Options { repositories, writable: args.writable, hosts: args.host, log, ..Options::default() };
    let registry = Registry::new(options);
    let server = match &faults {
        Some(faults) => Server::bind(args.listen, faults.around(registry)).await?,
        None => Server::bind(args.listen, registry).await?,
    };
    if !server.addr().ip().is_loopback() {
        let what = if args.writable { "read and write" } else { "read" };
        report.warn(format!("every client that can reach {} can {what} without a password", server.addr()));
    }
    if faults.is_some() {
        report.warn("faults are injected on purpose");
    }
    let stopped = signalled();
    report.line(format!("http://{}", server.addr()))?;
    let mode = if args.writable { "read and write" } else { "read only" };
    report.say(format!("serving {what}, {mode}; Ctrl-C stops"));
    let (stop, signal) = tokio::sync::oneshot::channel();
    let stopping = async {
        let _ = stop.send(stopped.await);
    };
    server.run(stopping).await?;
    Ok(signal.await.map_or(ExitCode::SUCCESS, |signal| ExitCode::from(128 + signal)))
}

/// Reads the faults: a list, or the scenario with this name.
fn read_faults(path: &Path, scenario: Option<&str>) -> Result<Arc<Faults>> {
    let place = || format!("`{}`", path.display());
    let text = fs::read_text(path, MAX_FAULTS).map_err(Error::of_configuration)?;
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

fn repositories(args: &Args) -> Result<Arc<dyn Repositories>> {
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
    let mounted =
        args.stores.iter().try_fold(Mounted::new(), |mounted, store| mount_store(mounted, store, args.writable))?;
    Ok(Arc::new(mounted))
}

/// Whether the path is a directory that is not a layout; if `writable`, it need not exist.
fn is_tree(path: &Path, writable: bool) -> bool {
    (path.is_dir() && !path.join("oci-layout").exists()) || (writable && !path.exists() && path.extension().is_none())
}

/// Adds one store under its file name.
fn mount_store(mounted: Mounted, store: &str, writable: bool) -> Result<Mounted> {
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
    let name: RepositoryName = stem.parse().context(|| format!("cannot derive a repository name from `{store}`"))?;
    if full.is_file() && writable {
        let message = format!("cannot serve `{store}` with `--writable`: it is an archive; only layouts accept pushes");
        return Err(Error::new(Kind::Unsupported, message));
    }
    Ok(match (full.is_file(), writable) {
        (true, _) => mounted.and(name, Arc::new(Archive::open(path)?)),
        (false, false) => mounted.and(name, Arc::new(Layout::open(path)?)),
        (false, true) => mounted.and_writable(name, Arc::new(Layout::open(path)?)),
    })
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
