//! What this machine and its user have configured, for everybody: the one module of the library that reads variables, the
//! user's files and the system's certificates, and only where [`Context::from_environment`] is called.

use std::{env, path::PathBuf, sync::Arc, time::Duration};

use crate::{
    error::{Error, Result},
    location::{Context, HostFiles, TypeFiles},
    stores::registry::{AuthFiles, Options, Proxies},
};

/// How long another writer of an archive is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

impl Context {
    /// One that knows what other tools on this machine know: the certificate authorities of the system, the credentials of
    /// docker and podman with their helpers, proxies, `hosts.yaml`, podman's `registries.conf` and the `certs.d`
    /// directories, artifact types of the user and of the project, `TMPDIR` and `SOURCE_DATE_EPOCH`.
    ///
    /// Files are read when a registry is spoken to, and types when one is asked for.
    ///
    /// Errors: a malformed `SOURCE_DATE_EPOCH`.
    pub fn from_environment() -> Result<Self> {
        let credentials = AuthFiles::new(credential_files(), program_dirs());
        let mut context = Self::new(env::temp_dir());
        context.registry = Options {
            credentials: Arc::new(credentials),
            proxies: proxies(),
            system_roots: Some(Arc::new(certificates)),
            ..Options::default()
        };
        context.hosts = HostFiles { ours: hosts_file(), podman: registries_conf(), certificates: certificate_dirs() };
        context.types = TypeFiles { directories: type_dirs(), files: Vec::new(), programs: program_dirs() };
        context.patience = Some(PATIENCE);
        context.now = source_date_epoch()?;
        Ok(context)
    }
}

fn var(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn config_home() -> Option<PathBuf> {
    var("XDG_CONFIG_HOME").or_else(|| Some(var("HOME")?.join(".config")))
}

/// Directories of programs, for credential helpers and plug-in types.
pub fn program_dirs() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // A relative entry would run whatever lies in the current directory.
    env::split_paths(&path).filter(|dir| dir.is_absolute()).collect()
}

/// Files with credentials, the most particular first: podman's, then Docker's (containers-auth.json(5)).
pub fn credential_files() -> Vec<PathBuf> {
    let docker = var("DOCKER_CONFIG").or_else(|| Some(var("HOME")?.join(".docker")));
    [
        var("REGISTRY_AUTH_FILE"),
        var("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json")),
        config_home().map(|dir| dir.join("containers/auth.json")),
        docker.map(|dir| dir.join("config.json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Where `login` writes: `REGISTRY_AUTH_FILE`, else Docker's file, which every tool reads.
pub fn login_file() -> Result<PathBuf> {
    var("REGISTRY_AUTH_FILE")
        .or_else(|| credential_files().pop())
        .ok_or_else(|| Error::not_found("no place for credentials: neither `DOCKER_CONFIG` nor `HOME` is set"))
}

/// Directories of artifact type definitions beyond the built-in ones: the user's, then the project's.
fn type_dirs() -> Vec<PathBuf> {
    let user = config_home().map(|dir| dir.join("artifact/types"));
    user.into_iter().chain([PathBuf::from("artifact-types")]).filter(|dir| dir.is_dir()).collect()
}

/// `SOURCE_DATE_EPOCH`, in seconds since 1970 (reproducible-builds.org specification). Errors: not a number.
fn source_date_epoch() -> Result<Option<i64>> {
    let Some(value) = env::var_os("SOURCE_DATE_EPOCH").filter(|value| !value.is_empty()) else { return Ok(None) };
    let seconds = value.to_str().and_then(|text| text.parse().ok());
    seconds.map(Some).ok_or_else(|| Error::invalid("`SOURCE_DATE_EPOCH` is not a number of seconds"))
}

/// The file with what is configured per host, if there is one.
fn hosts_file() -> Option<PathBuf> {
    config_home().map(|dir| dir.join("artifact/hosts.yaml")).filter(|file| file.exists())
}

/// Where podman's configuration of registries is, in the order of weight (containers-registries.conf(5), "FILES").
fn registries_conf() -> Vec<PathBuf> {
    let (user, system) = (config_home().map(|dir| dir.join("containers")), PathBuf::from("/etc/containers"));
    let named = var("CONTAINERS_REGISTRIES_CONF").or_else(|| var("REGISTRIES_CONFIG_PATH"));
    let own = || user.as_ref().map(|dir| dir.join("registries.conf")).filter(|file| file.exists());
    let main = named.or_else(own).unwrap_or_else(|| system.join("registries.conf"));
    let dirs = [Some(system), user].into_iter().flatten().map(|dir| dir.join("registries.conf.d"));
    let more = dirs.flat_map(|dir| {
        let entries = dir.read_dir().into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "conf")).collect();
        files.sort();
        files
    });
    [main].into_iter().chain(more).collect()
}

/// Directories with a directory of certificates per host, as docker and podman have them; the first that has one counts.
fn certificate_dirs() -> Vec<PathBuf> {
    let user = config_home().map(|dir| dir.join("containers/certs.d"));
    user.into_iter().chain(["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from)).collect()
}

/// The proxies of `HTTP_PROXY`, `HTTPS_PROXY` and, for both, `ALL_PROXY`, and what `NO_PROXY` says; lower case, too.
fn proxies() -> Proxies {
    let first = |names: [&str; 2]| names.into_iter().find_map(|name| env::var(name).ok().filter(|v| !v.is_empty()));
    let all = first(["ALL_PROXY", "all_proxy"]);
    // A CGI script has `HTTP_PROXY` from whoever sends a `Proxy` header.
    let http = if env::var_os("REQUEST_METHOD").is_some() { ["http_proxy"; 2] } else { ["HTTP_PROXY", "http_proxy"] };
    let (http, https) = (first(http), first(["HTTPS_PROXY", "https_proxy"]));
    let except = first(["NO_PROXY", "no_proxy"]).unwrap_or_default();
    Proxies::new(http.or(all.clone()).as_deref(), https.or(all).as_deref(), &except)
}

/// The certificate authorities that this system trusts, in DER; none when it has no such list.
fn certificates() -> Vec<Vec<u8>> {
    let found = rustls_native_certs::load_native_certs();
    found.certs.into_iter().map(|certificate| certificate.to_vec()).collect()
}
