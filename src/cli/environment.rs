//! The only place that reads the environment: what the library is told instead of looking for itself.

use std::{env, ffi::OsString, path::PathBuf};

use artifact::{Error, Result, stores::registry::Proxies};

fn var(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn config_home() -> Option<PathBuf> {
    var("XDG_CONFIG_HOME").or_else(|| Some(var("HOME")?.join(".config")))
}

/// Whether the terminal knows how to draw: `TERM` names one that is not `dumb`.
pub(crate) fn can_draw() -> bool {
    env::var_os("TERM").is_some_and(|name| !name.is_empty() && name != "dumb")
}

/// The command line.
pub(crate) fn arguments() -> Vec<OsString> {
    env::args_os().collect()
}

/// Where temporary files go: `TMPDIR`, else the system's place.
pub(crate) fn scratch() -> PathBuf {
    env::temp_dir()
}

/// Directories of programs, for credential helpers and plug-in types.
pub(crate) fn program_dirs() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // A relative entry would run whatever lies in the current directory.
    env::split_paths(&path).filter(|dir| dir.is_absolute()).collect()
}

/// Files with credentials, the most particular first: podman's, then Docker's (containers-auth.json(5)).
pub(crate) fn credential_files() -> Vec<PathBuf> {
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
pub(crate) fn login_file() -> Result<PathBuf> {
    var("REGISTRY_AUTH_FILE")
        .or_else(|| credential_files().pop())
        .ok_or_else(|| Error::not_found("no place for credentials: neither `DOCKER_CONFIG` nor `HOME` is set"))
}

/// Directories of artifact type definitions beyond the built-in ones: the user's, then the project's.
pub(crate) fn type_dirs() -> Vec<PathBuf> {
    let user = config_home().map(|dir| dir.join("artifact/types"));
    user.into_iter().chain([PathBuf::from("artifact-types")]).filter(|dir| dir.is_dir()).collect()
}

/// `SOURCE_DATE_EPOCH`, in seconds since 1970 (reproducible-builds.org specification). Errors: not a number.
pub(crate) fn source_date_epoch() -> Result<Option<i64>> {
    let Some(value) = env::var_os("SOURCE_DATE_EPOCH").filter(|value| !value.is_empty()) else { return Ok(None) };
    let seconds = value.to_str().and_then(|text| text.parse().ok());
    seconds.map(Some).ok_or_else(|| Error::invalid("`SOURCE_DATE_EPOCH` is not a number of seconds"))
}

/// The file with what is configured per host, if there is one.
pub(crate) fn hosts_file() -> Option<PathBuf> {
    config_home().map(|dir| dir.join("artifact/hosts.yaml")).filter(|file| file.exists())
}

/// Where podman's configuration of registries is, in the order of weight (containers-registries.conf(5), "FILES").
pub(crate) fn registries_conf() -> Vec<PathBuf> {
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
pub(crate) fn certificate_dirs() -> Vec<PathBuf> {
    let user = config_home().map(|dir| dir.join("containers/certs.d"));
    user.into_iter().chain(["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from)).collect()
}

/// The proxies of `HTTP_PROXY`, `HTTPS_PROXY` and, for both, `ALL_PROXY`, and what `NO_PROXY` says; lower case, too.
pub(crate) fn proxies() -> Proxies {
    let first = |names: [&str; 2]| names.into_iter().find_map(|name| env::var(name).ok().filter(|v| !v.is_empty()));
    let all = first(["ALL_PROXY", "all_proxy"]);
    // A CGI script has `HTTP_PROXY` from whoever sends a `Proxy` header.
    let http = if env::var_os("REQUEST_METHOD").is_some() { ["http_proxy"; 2] } else { ["HTTP_PROXY", "http_proxy"] };
    let (http, https) = (first(http), first(["HTTPS_PROXY", "https_proxy"]));
    let except = first(["NO_PROXY", "no_proxy"]).unwrap_or_default();
    Proxies::new(http.or(all.clone()).as_deref(), https.or(all).as_deref(), &except)
}

/// The certificate authorities that this system trusts, in DER; none when it has no such list.
pub(crate) fn certificates() -> Vec<Vec<u8>> {
    let found = rustls_native_certs::load_native_certs();
    found.certs.into_iter().map(|certificate| certificate.to_vec()).collect()
}

/// Whether whoever started us wants this signal ignored, as far as the system tells (proc(5), `SigIgn`). Where it does
/// not, SIGHUP alone counts as ignored: a command under `nohup` must go on.
pub(crate) fn ignores(signal: i32) -> bool {
    const SIGHUP: i32 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    match mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()) {
        Some(mask) => mask >> (signal - 1) & 1 == 1,
        None => signal == SIGHUP,
    }
}
