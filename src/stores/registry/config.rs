//! The files in which docker and podman keep credentials (docker's `config.json`; `auth.json` of
//! containers-auth.json(5)), read from the paths that the caller gives, and written by login and logout.

use std::{
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

use super::{
    credentials::{Credential, Credentials, Secret},
    helper::{Helper, Known},
    origin::Origin,
    quirks,
};
use crate::{
    blob::open_regular,
    error::{Context as _, Error, Kind, Result},
};

/// Largest file of credentials that is read, in bytes.
const MAX_CONFIG: u64 = 1 << 20;
/// The user name that stands for an identity token in a helper's answers.
const TOKEN_USER: &str = "<token>";
/// How long a helper may take.
const HELPER_TIMEOUT: Duration = Duration::from_secs(60);

/// Credentials from files, the first that knows a registry wins; login and logout write to the first file.
///
/// In each file: the helper of `credHelpers` for the registry, else the one of `credsStore`, else the entry of `auths`
/// whose key is the longest prefix of `host/repository`, at a slash.
#[derive(Debug, Clone)]
pub struct AuthFiles {
    /// The files, in order; those that do not exist are left out.
    pub files: Vec<PathBuf>,
    /// Where helper programs are looked for, absolute.
    pub helper_dirs: Vec<PathBuf>,
    /// How long a helper may take.
    pub helper_timeout: Duration,
}

#[async_trait]
impl Credentials for AuthFiles {
    async fn get(&self, origin: &Origin, repository: &str) -> Result<Option<Credential>> {
        for path in &self.files {
            let Some(config) = load(path)? else { continue };
            let found = self.look_up(&config, origin, repository).await;
            if let Some(found) = found.context(|| format!("credentials in `{}`", path.display()))? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

impl AuthFiles {
    /// Credentials from these files, helpers from these directories.
    #[must_use]
    pub fn new(files: Vec<PathBuf>, helper_dirs: Vec<PathBuf>) -> Self {
        Self { files, helper_dirs, helper_timeout: HELPER_TIMEOUT }
    }

    async fn look_up(
        &self,
        config: &Map<String, Value>,
        origin: &Origin,
        repository: &str,
    ) -> Result<Option<Credential>> {
        if let Some(helper) = self.helper(config, origin)?
            && let Some(known) = helper.get(&server(origin)).await?
        {
            return from_helper(origin, known).map(Some);
        }
        let Some(auths) = config.get("auths").and_then(Value::as_object) else { return Ok(None) };
        let best = auths
            .iter()
            .filter_map(|(key, entry)| Some((matching(key, origin, repository)?, entry)))
            .max_by_key(|(len, _)| *len);
        match best {
            Some((_, entry)) => from_entry(origin, entry),
            None => Ok(None),
        }
    }

    /// The helper that this file names for the registry.
    fn helper(&self, config: &Map<String, Value>, origin: &Origin) -> Result<Option<Helper>> {
        let own = config.get("credHelpers").and_then(Value::as_object).and_then(|helpers| {
            helpers.iter().find(|(key, _)| matching(key, origin, "").is_some()).map(|(_, name)| name)
        });
        let name = own.or_else(|| config.get("credsStore")).and_then(Value::as_str).filter(|name| !name.is_empty());
        name.map(|name| Helper::find(name, &self.helper_dirs, self.helper_timeout)).transpose()
    }

    /// Keeps a credential: with the helper that the first file names, else in that file, which is replaced in one step,
    /// readable by its owner only, all that is not about this registry unchanged.
    pub async fn login(&self, credential: &Credential) -> Result<()> {
        let (path, mut config, origin) = (self.first()?, self.config()?, credential.origin());
        if let Some(helper) = self.helper(&config, origin)? {
            return helper.store(&to_helper(credential)).await;
        }
        let auths = config.entry("auths").or_insert_with(|| json!({}));
        let Some(auths) = auths.as_object_mut() else {
            return Err(Error::invalid(format!("`{}`: `auths` is not an object", path.display())));
        };
        auths.retain(|key, _| key == &key_of(origin) || matching(key, origin, "").is_none());
        auths.insert(key_of(origin), to_entry(credential));
        save(path, config).await
    }

    /// Forgets the registry; whether anything was known.
    pub async fn logout(&self, origin: &Origin) -> Result<bool> {
        let (path, mut config) = (self.first()?, self.config()?);
        let mut known = false;
        if let Some(helper) = self.helper(&config, origin)? {
            known = helper.erase(&server(origin)).await?;
        }
        let Some(auths) = config.get_mut("auths").and_then(Value::as_object_mut) else { return Ok(known) };
        let before = auths.len();
        auths.retain(|key, _| matching(key, origin, "").is_none());
        if auths.len() == before {
            return Ok(known);
        }
        save(path, config).await?;
        Ok(true)
    }

    fn first(&self) -> Result<&Path> {
        self.files.first().map(PathBuf::as_path).ok_or_else(|| Error::invalid("no file to keep credentials in"))
    }

    fn config(&self) -> Result<Map<String, Value>> {
        Ok(load(self.first()?)?.unwrap_or_default())
    }
}

/// Reads a file of credentials; `None` when there is none. Messages never quote what is in it.
fn load(path: &Path) -> Result<Option<Map<String, Value>>> {
    let file = match open_regular(path) {
        Ok((file, _)) => file,
        Err(e) if e.kind() == Kind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut bytes = Vec::new();
    file.take(MAX_CONFIG + 1).read_to_end(&mut bytes).context(|| format!("cannot read `{}`", path.display()))?;
    if bytes.len() as u64 > MAX_CONFIG {
        return Err(Error::limit(format!("`{}` has more than {MAX_CONFIG} bytes", path.display())));
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Some(Map::new()));
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(config)) => Ok(Some(config)),
        Ok(_) => Err(Error::invalid(format!("`{}` is not a JSON object", path.display()))),
        Err(e) => {
            let place = format!("line {} column {}", e.line(), e.column());
            Err(Error::invalid(format!("`{}` is malformed JSON at {place}", path.display())))
        }
    }
}

/// Replaces a file in one step. A link stays a link: the file that it leads to is replaced.
async fn save(path: &Path, config: Map<String, Value>) -> Result<()> {
    let path = path.to_owned();
    let fail = format!("cannot write `{}`", path.display());
    let write = move || -> std::io::Result<()> {
        let path = std::fs::canonicalize(&path).unwrap_or(path);
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(dir)?;
        // Made readable by its owner only.
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        let mut json = serde_json::to_vec_pretty(&config)?;
        json.push(b'\n');
        file.write_all(&json)?;
        file.as_file().sync_all()?;
        file.persist(&path).map(drop).map_err(|e| e.error)
    };
    let joined = tokio::task::spawn_blocking(write).await;
    joined.map_err(|e| Error::caused(Kind::Internal, "a writing thread failed", e))?.context(|| fail)
}

/// How long a key of `auths` or `credHelpers` is if it is for this repository; an empty repository is the registry as
/// such. Keys may carry a scheme and, then, a path that means nothing (docker's older form).
fn matching(key: &str, origin: &Origin, repository: &str) -> Option<usize> {
    // A key that says https was never meant for plain http.
    let https = key.strip_prefix("https://").map(|bare| origin.is_secure().then_some(bare));
    let bare = https.unwrap_or_else(|| key.strip_prefix("http://"));
    let (host, path) = match (bare, key.split_once('/')) {
        (Some(bare), _) => (bare.split('/').next().unwrap_or(bare), ""),
        (None, Some((host, path))) => (host, path.trim_matches('/')),
        (None, None) => (key, ""),
    };
    if !is_host_of(host, origin) {
        return None;
    }
    let rest = repository.strip_prefix(path)?;
    (path.is_empty() || rest.is_empty() || rest.starts_with('/')).then_some(path.len())
}

fn is_host_of(host: &str, origin: &Origin) -> bool {
    let host = quirks::api_host(host).to_ascii_lowercase();
    let implied = if origin.is_secure() { ":443" } else { ":80" };
    host.strip_suffix(implied).unwrap_or(&host) == origin.authority()
}

/// The key of a registry in `auths`.
fn key_of(origin: &Origin) -> String {
    let host = origin.authority();
    if quirks::is_docker_hub(&host) { quirks::DOCKER_HUB_KEY.into() } else { host }
}

/// How helpers are asked for a registry.
fn server(origin: &Origin) -> String {
    key_of(origin)
}

fn from_helper(origin: &Origin, known: Known) -> Result<Credential> {
    // An answer about another server is an accident or an attack.
    if !known.server.is_empty() && matching(&known.server, origin, "").is_none() {
        return Err(Error::new(Kind::Unauthorized, "a credential helper answered for another server"));
    }
    if known.username == TOKEN_USER {
        return Ok(Credential::identity_token(origin, known.secret));
    }
    Credential::password(origin, known.username, known.secret)
}

fn to_helper(credential: &Credential) -> Known {
    let server = server(credential.origin());
    match credential.secret() {
        Secret::Password(user, password) => Known { server, username: user.clone(), secret: password.clone() },
        Secret::Identity(token) | Secret::Bearer(token) => {
            Known { server, username: TOKEN_USER.into(), secret: token.clone() }
        }
    }
}

/// Reads an entry of `auths`; `None` for the empty ones that docker leaves behind when a helper keeps the secret.
fn from_entry(origin: &Origin, entry: &Value) -> Result<Option<Credential>> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(token) = text("registrytoken") {
        return Ok(Some(Credential::bearer(origin, token)));
    }
    if let Some(token) = text("identitytoken") {
        return Ok(Some(Credential::identity_token(origin, token)));
    }
    if let Some(auth) = text("auth") {
        let decoded = BASE64_STANDARD.decode(auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
        let (user, password) = pair.ok_or_else(|| Error::invalid(format!("a malformed `auth` for {origin}")))?;
        return Credential::password(origin, user, password.trim_end_matches('\0')).map(Some);
    }
    match (text("username"), text("password")) {
        (Some(user), Some(password)) => Credential::password(origin, user, password).map(Some),
        _ => Ok(None),
    }
}

fn to_entry(credential: &Credential) -> Value {
    match credential.secret() {
        Secret::Password(user, password) => {
            json!({ "auth": BASE64_STANDARD.encode(format!("{user}:{password}")) })
        }
        Secret::Identity(token) => json!({ "identitytoken": token }),
        Secret::Bearer(token) => json!({ "registrytoken": token }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::stores::registry::Protocol;

    fn origin(host: &str) -> Origin {
        Origin::of_registry(host, Protocol::Auto).unwrap()
    }

    fn files(dir: &Path, json: &str) -> AuthFiles {
        std::fs::write(dir.join("config.json"), json).unwrap();
        AuthFiles::new(vec![dir.join("config.json")], vec![dir.to_owned()])
    }

    fn helper(dir: &Path, name: &str, script: &str) {
        let path = dir.join(format!("docker-credential-{name}"));
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn password(credential: &Credential) -> &str {
        match credential.secret() {
            Secret::Password(_, password) => password,
            Secret::Identity(token) | Secret::Bearer(token) => token,
        }
    }

    async fn found(files: &AuthFiles, host: &str, repository: &str) -> Option<String> {
        let credential = files.get(&origin(host), repository).await.unwrap();
        credential.map(|c| password(&c).to_owned())
    }

    fn auth(password: &str) -> String {
        BASE64_STANDARD.encode(format!("u:{password}"))
    }

    /// H30, H32.
    #[tokio::test]
    async fn the_longest_prefix_at_a_slash_wins() {
        let dir = tempfile::tempdir().unwrap();
        let json = format!(
            r#"{{"auths": {{"reg.test": {{"auth": "{}"}}, "reg.test/a": {{"auth": "{}"}}, "reg.test/a/b": {{"auth": "{}"}}}}}}"#,
            auth("host"),
            auth("a"),
            auth("ab")
        );
        let files = files(dir.path(), &json);
        for (repository, want) in
            [("a/b/c", "ab"), ("a/b", "ab"), ("a/bc", "a"), ("a", "a"), ("ab", "host"), ("x/a/b", "host"), ("", "host")]
        {
            assert_eq!(found(&files, "reg.test", repository).await.as_deref(), Some(want), "{repository}");
        }
        for other in ["reg.test.evil.test", "evil-reg.test", "reg.test:5000", "eg.test"] {
            assert_eq!(found(&files, other, "a").await, None, "{other}");
        }
    }

    #[tokio::test]
    async fn all_forms_of_keys_and_entries_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let json = format!(
            r#"{{"auths": {{
                "https://index.docker.io/v1/": {{"auth": "{}"}},
                "https://old.test/v2/": {{"auth": "{}"}},
                "tls.test:443": {{"username": "u", "password": "plain"}},
                "id.test": {{"auth": "{}", "identitytoken": "identity"}},
                "ready.test": {{"registrytoken": "ready"}},
                "empty.test": {{}}
            }}}}"#,
            auth("hub"),
            auth("with:colon"),
            auth("unused"),
        );
        let files = files(dir.path(), &json);
        for (host, want) in [
            ("docker.io", Some("hub")),
            ("registry-1.docker.io", Some("hub")),
            ("old.test", Some("with:colon")),
            ("tls.test", Some("plain")),
            ("id.test", Some("identity")),
            ("ready.test", Some("ready")),
            ("empty.test", None),
        ] {
            assert_eq!(found(&files, host, "x").await.as_deref(), want, "{host}");
        }
    }

    #[tokio::test]
    async fn the_first_file_that_knows_a_registry_wins() {
        let dir = tempfile::tempdir().unwrap();
        let one = dir.path().join("one.json");
        std::fs::write(&one, format!(r#"{{"auths": {{"a.test": {{"auth": "{}"}}}}}}"#, auth("one"))).unwrap();
        let mut files = files(
            dir.path(),
            &format!(r#"{{"auths": {{"a.test": {{"auth": "{0}"}}, "b.test": {{"auth": "{0}"}}}}}}"#, auth("two")),
        );
        files.files.splice(0..0, [dir.path().join("absent.json"), one]);
        assert_eq!(found(&files, "a.test", "").await.as_deref(), Some("one"));
        assert_eq!(found(&files, "b.test", "").await.as_deref(), Some("two"));
    }

    #[tokio::test]
    async fn helpers_are_asked_by_registry_and_then_by_default() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path(), r#"{"credsStore": "all", "credHelpers": {"own.test": "own"}}"#);
        let answer = r#"read s; echo "{\"ServerURL\":\"$s\",\"Username\":\"u\",\"Secret\":\"NAME:$s\"}""#;
        helper(dir.path(), "own", &answer.replace("NAME", "own").replace(r#"\"u\""#, r#"\"<token>\""#));
        helper(dir.path(), "all", &answer.replace("NAME", "all"));
        assert_eq!(found(&files, "own.test", "x").await.as_deref(), Some("own:own.test"));
        let identity = files.get(&origin("own.test"), "x").await.unwrap().unwrap();
        assert!(matches!(identity.secret(), Secret::Identity(_)));
        assert_eq!(found(&files, "b.test:5000", "x").await.as_deref(), Some("all:b.test:5000"));
        assert_eq!(found(&files, "docker.io", "x").await.as_deref(), Some("all:https://index.docker.io/v1/"));
        helper(dir.path(), "all", "echo 'credentials not found in native keychain'; exit 1");
        assert_eq!(found(&files, "b.test", "x").await, None);
    }

    #[tokio::test]
    async fn a_helper_that_misbehaves_is_an_error_without_its_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = files(dir.path(), r#"{"credsStore": "bad"}"#);
        files.helper_timeout = Duration::from_millis(300);
        for script in [
            "echo canary >&2; echo canary; exit 1",
            "echo canary",
            r#"echo '{"ServerURL":"other.test","Username":"u","Secret":"canary"}'"#,
            r#"echo '{"ServerURL":"x","Username":"u:v","Secret":"canary"}'"#,
            "yes canary",
            "exec sleep 30",
        ] {
            helper(dir.path(), "bad", script);
            let error = files.get(&origin("reg.test"), "x").await.err().unwrap();
            assert!(!error.to_string().contains("canary"), "{error}");
        }
        for name in ["../bad", "a/b", "-x", ".x", "a b", "a;b", "", "absent"] {
            let config = json!({ "credsStore": name }).to_string();
            std::fs::write(dir.path().join("config.json"), config).unwrap();
            assert_eq!(files.get(&origin("reg.test"), "x").await.is_ok(), name.is_empty(), "{name}");
        }
    }

    #[tokio::test]
    async fn malformed_files_are_errors_without_their_secrets() {
        let dir = tempfile::tempdir().unwrap();
        for json in [
            r#"{"auths": {"reg.test": {"auth": "canary"}}}"#,
            r#"{"auths": {"reg.test": {"auth": "Y2FuYXJ5"}}}"#,
            r#""canary""#,
            r#"{"canary"#,
            r#"{"auths": {"reg.test": {"username": "ca:nary", "password": "canary"}}}"#,
        ] {
            let error = files(dir.path(), json).get(&origin("reg.test"), "x").await.err().unwrap();
            assert!(!error.to_string().contains("canary"), "{error}");
        }
        let huge = files(dir.path(), &" ".repeat((MAX_CONFIG + 1) as usize));
        assert_eq!(huge.get(&origin("reg.test"), "x").await.err().unwrap().kind(), Kind::Limit);
    }

    #[tokio::test]
    async fn login_keeps_what_is_not_its_own_and_logout_takes_it_back() {
        let dir = tempfile::tempdir().unwrap();
        let before = r#"{"HttpHeaders":{"x":"y"},"auths":{"https://reg.test/v1/":{"auth":"old"},"other.test":{}}}"#;
        let files = files(dir.path(), before);
        let reg = origin("reg.test");
        files.login(&Credential::password(&reg, "u", "new").unwrap()).await.unwrap();
        assert_eq!(found(&files, "reg.test", "x").await.as_deref(), Some("new"));
        let read = || std::fs::read_to_string(&files.files[0]).unwrap();
        let after: Value = serde_json::from_str(&read()).unwrap();
        let expected =
            json!({"HttpHeaders": {"x": "y"}, "auths": {"other.test": {}, "reg.test": {"auth": auth("new")}}});
        assert_eq!(after, expected);
        let mode = std::fs::metadata(&files.files[0]).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(files.logout(&reg).await.unwrap());
        assert!(!files.logout(&reg).await.unwrap());
        assert!(read().contains("other.test") && !read().contains("reg.test"));
    }

    #[tokio::test]
    async fn login_creates_a_file_and_follows_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real.json");
        std::fs::write(&real, "{}").unwrap();
        let link = dir.path().join("link.json");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        for path in [link.clone(), dir.path().join("new/config.json")] {
            let files = AuthFiles::new(vec![path], Vec::new());
            files.login(&Credential::identity_token(&origin("docker.io"), "token")).await.unwrap();
            assert_eq!(found(&files, "docker.io", "x").await.as_deref(), Some("token"));
        }
        assert!(link.is_symlink());
        assert!(std::fs::read_to_string(real).unwrap().contains(quirks::DOCKER_HUB_KEY));
    }

    #[tokio::test]
    async fn a_helper_keeps_and_forgets_what_login_and_logout_say() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path(), r#"{"credsStore": "keep"}"#);
        let log = dir.path().join("log");
        helper(dir.path(), "keep", &format!("echo \"$1 $(cat)\" >> {}", log.display()));
        let reg = origin("reg.test");
        files.login(&Credential::password(&reg, "u", "secret").unwrap()).await.unwrap();
        assert!(files.logout(&reg).await.unwrap());
        let said = std::fs::read_to_string(log).unwrap();
        assert_eq!(
            said,
            "store {\"ServerURL\":\"reg.test\",\"Username\":\"u\",\"Secret\":\"secret\"}\nerase reg.test\n"
        );
        assert_eq!(std::fs::read_to_string(&files.files[0]).unwrap(), r#"{"credsStore": "keep"}"#);
    }
}
