//! The configuration of this machine and its user: the only module of the library that reads environment variables, the
//! user's files and the system's certificates, and only when [`Context::from_environment`] is called.

use std::{env, path::PathBuf, sync::Arc, time::Duration};

use rustls::pki_types::CertificateDer;
use rustls_native_certs::{load_certs_from_paths, load_native_certs};

use crate::{
    error::{Error, Result},
    location::{Context, HostFiles, TypeFiles},
    stores::registry::{AuthFiles, Options, Proxies, SystemCertificates},
};

/// How long to wait for another writer of an archive.
const PATIENCE: Duration = Duration::from_secs(60);

impl Context {
    /// A context with the configuration that other tools on this machine use: the system's certificate authorities, the
    /// credentials and credential helpers of docker and podman, proxies, `hosts.yaml`, podman's `registries.conf`, the
    /// `certs.d` directories, artifact types of the user and of the project, `TMPDIR` and `SOURCE_DATE_EPOCH`.
    ///
    /// Configuration files are read on the first request to a registry, and artifact types on first use.
    ///
    /// Errors: a malformed `SOURCE_DATE_EPOCH`.
    pub fn from_environment() -> Result<Self> {
        let credentials =
            AuthFiles { given: given_credentials(), ..AuthFiles::new(credential_files(), program_dirs()) };
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

/// Directories of `PATH`, for credential helpers and plug-in types.
pub fn program_dirs() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // A relative entry would run programs from the current directory.
    env::split_paths(&path).filter(|dir| dir.is_absolute()).collect()
}

/// The content of a credentials file in `DOCKER_AUTH_CONFIG`, as GitLab's CI sets it, with the variable's name; it comes
/// before all files.
pub fn given_credentials() -> Option<(String, String)> {
    const NAME: &str = "DOCKER_AUTH_CONFIG";
    let text = env::var(NAME).ok().filter(|text| !text.trim().is_empty())?;
    Some((NAME.to_owned(), text))
}

/// Credentials files in order of precedence: podman's, then Docker's (containers-auth.json(5)).
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

/// The file that `login` writes: `REGISTRY_AUTH_FILE`, else Docker's file, which every tool reads.
pub fn login_file() -> Result<PathBuf> {
    var("REGISTRY_AUTH_FILE")
        .or_else(|| credential_files().pop())
        .ok_or_else(|| Error::invalid("cannot store credentials: neither `DOCKER_CONFIG` nor `HOME` is set"))
}

/// Directories of artifact type definitions beyond the built-in types: the user's, then the project's.
fn type_dirs() -> Vec<PathBuf> {
    let user = config_home().map(|dir| dir.join("artifact/types"));
    user.into_iter().chain([PathBuf::from("artifact-types")]).filter(|dir| dir.is_dir()).collect()
}

/// `SOURCE_DATE_EPOCH`, in seconds since 1970 (reproducible-builds.org specification). Errors: it is not a number.
fn source_date_epoch() -> Result<Option<i64>> {
    let Some(value) = env::var_os("SOURCE_DATE_EPOCH").filter(|value| !value.is_empty()) else { return Ok(None) };
    let seconds = value.to_str().and_then(|text| text.parse().ok());
    seconds.map(Some).ok_or_else(|| Error::invalid("`SOURCE_DATE_EPOCH` must be a number of seconds"))
}

/// The file with the configuration of single hosts, if it exists.
fn hosts_file() -> Option<PathBuf> {
    config_home().map(|dir| dir.join("artifact/hosts.yaml")).filter(|file| file.exists())
}

/// Podman's registry configuration files, in order of precedence (containers-registries.conf(5), "FILES").
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

/// Directories with a subdirectory of certificates per host, as docker and podman use them; the first match wins.
fn certificate_dirs() -> Vec<PathBuf> {
    let user = config_home().map(|dir| dir.join("containers/certs.d"));
    user.into_iter().chain(["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from)).collect()
}

/// The proxies of `HTTP_PROXY`, `HTTPS_PROXY` and, for both, `ALL_PROXY`, and the exceptions of `NO_PROXY`; also in
/// lower case.
fn proxies() -> Proxies {
    let first = |names: [&str; 2]| names.into_iter().find_map(|name| env::var(name).ok().filter(|v| !v.is_empty()));
    let all = first(["ALL_PROXY", "all_proxy"]);
    // In a CGI script, a client sets `HTTP_PROXY` by sending a `Proxy` header.
    let http = if env::var_os("REQUEST_METHOD").is_some() { ["http_proxy"; 2] } else { ["HTTP_PROXY", "http_proxy"] };
    let (http, https) = (first(http), first(["HTTPS_PROXY", "https_proxy"]));
    let except = first(["NO_PROXY", "no_proxy"]).unwrap_or_default();
    Proxies::new(http.or(all.clone()).as_deref(), https.or(all).as_deref(), &except)
}

/// The certificate authorities that this system trusts: those in `SSL_CERT_FILE` and `SSL_CERT_DIR` if one of them is
/// set, else the system's own.
fn certificates() -> SystemCertificates {
    const FILE: &str = "SSL_CERT_FILE";
    const DIR: &str = "SSL_CERT_DIR";
    let dirs = env::var_os(DIR).unwrap_or_default();
    let dirs = env::split_paths(&dirs).filter(|dir| !dir.as_os_str().is_empty()).map(|dir| (DIR, dir));
    let named: Vec<_> = env::var_os(FILE).map(|file| (FILE, PathBuf::from(file))).into_iter().chain(dirs).collect();
    let mut all = SystemCertificates::default();
    if named.is_empty() {
        all.certificates = in_der(load_native_certs().certs);
        if all.certificates.is_empty() {
            all.flaws.push("this system has no certificates of authorities".into());
        }
    }
    for (name, path) in named {
        let found = if name == FILE {
            load_certs_from_paths(Some(&path), None)
        } else {
            load_certs_from_paths(None, Some(&path))
        };
        if found.certs.is_empty() {
            let why = match found.errors.first() {
                _ if !path.exists() => "which does not exist".into(),
                Some(error) => format!("which cannot be read: {error}"),
                None => "which holds no certificate".into(),
            };
            all.flaws.push(format!("`{name}` names `{}`, {why}", path.display()));
        }
        all.certificates.extend(in_der(found.certs));
    }
    all
}

fn in_der(certificates: Vec<CertificateDer<'_>>) -> Vec<Vec<u8>> {
    certificates.into_iter().map(|certificate| certificate.to_vec()).collect()
}
