//! Which entry of a file of credentials is for which registry, and what programs that keep them may do.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use artifact::{
    Kind,
    stores::registry::{AuthFiles, Credential, Credentials as _, Origin, Protocol},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::support::run;

fn origin(registry: &str) -> Origin {
    Origin::of_registry(registry, Protocol::Auto).unwrap()
}

/// A directory with this file of credentials and these helpers.
struct World(tempfile::TempDir);

impl World {
    fn new(config: &Value) -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        std::fs::write(world.file(), config.to_string()).unwrap();
        world
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("config.json")
    }

    fn files(&self) -> AuthFiles {
        AuthFiles::new(vec![self.file()], vec![self.0.path().to_owned()])
    }

    fn helper(self, script: &str) -> Self {
        program(&self.0.path().join("docker-credential-test"), script);
        self
    }
}

fn program(path: &Path, script: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

async fn knows(key: &str, registry: &Origin, repository: &str) -> bool {
    let world = World::new(&json!({"auths": {key: {"username": "u", "password": "canary"}}}));
    world.files().get(registry, repository).await.unwrap().is_some()
}

/// H30, H32: names that mean the same registry, and names that only look alike.
#[tokio::test]
async fn a_key_is_for_one_registry_however_it_is_written() {
    for (key, registry, repository) in [
        ("reg.test", "reg.test", "a"),
        ("REG.test", "reg.test", "a"),
        ("reg.test:443", "reg.test", "a"),
        ("reg.test", "reg.test:443", "a"),
        ("https://reg.test", "reg.test", "a"),
        ("https://reg.test/", "reg.test", "a"),
        ("https://reg.test/v1/", "reg.test", "a"),
        ("reg.test/", "reg.test", "a"),
        ("reg.test/a", "reg.test", "a"),
        ("reg.test/a/", "reg.test", "a/b"),
        ("docker.io", "index.docker.io", "library/x"),
        ("https://index.docker.io/v1/", "docker.io", "library/x"),
        ("127.0.0.1:80", "127.0.0.1", "a"),
    ] {
        assert!(knows(key, &origin(registry), repository).await, "{key} {registry}");
    }
    for (key, registry, repository) in [
        ("reg.test", "reg.test.evil.test", "a"),
        ("reg.test", "evil-reg.test", "a"),
        ("reg.test", "evilreg.test", "a"),
        ("test", "reg.test", "a"),
        ("*.test", "reg.test", "a"),
        (".test", "reg.test", "a"),
        ("", "reg.test", "a"),
        ("reg.test:5000", "reg.test", "a"),
        ("reg.test", "reg.test:5000", "a"),
        ("reg.test:443", "127.0.0.1", "a"),
        ("reg.test.", "reg.test", "a"),
        ("u@reg.test", "reg.test", "a"),
        ("https://u:p@reg.test", "reg.test", "a"),
        ("reg.test/a", "reg.test", "ab"),
        ("reg.test/a.git", "reg.test", "a"),
        ("reg.test/a", "reg.test", "a.git"),
        ("reg.test/A", "reg.test", "a"),
        ("reg.test/a/../b", "reg.test", "b"),
        ("docker.io", "docker.io.evil.test", "a"),
        ("azurecr.io", "evil.azurecr.io", "a"),
        ("x.azurecr.io", "x.azurecr.io.evil.test", "a"),
    ] {
        assert!(!knows(key, &origin(registry), repository).await, "{key} {registry}");
    }
}

/// H3, H30: a key that says https is not for plain http.
#[tokio::test]
async fn a_key_for_https_is_not_used_for_http() {
    let plain = Origin::of_registry("reg.test", Protocol::Http).unwrap();
    assert!(!knows("https://reg.test", &plain, "a").await);
    assert!(!knows("https://reg.test/v1/", &plain, "a").await);
    assert!(!knows("reg.test:443", &plain, "a").await);
    assert!(knows("http://reg.test", &plain, "a").await);
    assert!(knows("reg.test", &plain, "a").await);
}

const HELPED: &str = "test";

/// H31: a helper that means another server, says nonsense or too much, never ends, or leaves a child behind.
#[tokio::test]
async fn a_helper_is_believed_about_what_it_was_asked_and_within_limits() {
    let config = json!({"credsStore": HELPED});
    let answer = |server: &str| format!(r#"echo '{{"ServerURL":"{server}","Username":"u","Secret":"canary"}}'"#);
    for server in ["", "reg.test", "https://reg.test", "https://reg.test/v1/", "REG.TEST:443"] {
        let world = World::new(&config).helper(&answer(server));
        assert!(world.files().get(&origin("reg.test"), "a").await.unwrap().is_some(), "{server}");
    }
    for script in [
        answer("other.test"),
        answer("reg.test.evil.test"),
        answer("https://u@reg.test"),
        "cat; echo canary >&2; exit 1".into(),
        "echo '{\"Username\":\"canary\"}'".into(),
        "head -c 70000 /dev/zero | tr '\\0' ' '; echo '{\"ServerURL\":\"\",\"Username\":\"u\",\"Secret\":\"canary\"}'"
            .into(),
        "yes canary".into(),
        "exec sleep 600".into(),
        "(sleep 600 >&2 &) ; exec sleep 600".into(),
        "kill -9 $$".into(),
    ] {
        let world = World::new(&config).helper(&script);
        let files = AuthFiles { helper_timeout: Duration::from_millis(500), ..world.files() };
        let before = Instant::now();
        let error = files.get(&origin("reg.test"), "a").await.err().unwrap();
        assert!(!error.to_string().contains("canary"), "{error}");
        assert!(before.elapsed() < Duration::from_secs(60), "{script}");
    }
}

/// H33: names of helpers that mean a path or an option, and a helper in the current directory.
#[tokio::test]
async fn a_helper_is_a_program_of_a_known_directory() {
    for name in
        ["../test", "a/b", "/bin/sh", "-test", "--help", ".test", "te st", "te;st", "te\nst", "te\u{0}st", "tést"]
    {
        let world = World::new(&json!({"credsStore": name})).helper("touch ran");
        let error = world.files().get(&origin("reg.test"), "a").await.err().unwrap();
        assert_eq!(error.kind(), Kind::Invalid, "{name}: {error}");
    }
    let world = World::new(&json!({"credsStore": HELPED})).helper("touch ran");
    for dirs in [Vec::new(), vec![PathBuf::from(".")], vec![PathBuf::new()], vec![PathBuf::from("tests")]] {
        let files = AuthFiles::new(vec![world.file()], dirs);
        assert_eq!(files.missing_helper(&origin("reg.test")).unwrap().kind(), Kind::Unsupported);
        let _ = files.get(&origin("reg.test"), "a").await;
    }
    assert!(!world.0.path().join("ran").exists() && !Path::new("ran").exists());
}

/// H33: files of credentials that are links, too long, no JSON, or about nobody.
#[tokio::test]
async fn a_file_of_credentials_is_read_within_limits_and_not_repeated() {
    let basic = |text: &str| BASE64_STANDARD.encode(text);
    for (entry, want) in [
        (json!({"auth": basic("u:canary")}), Ok(true)),
        (json!({"auth": basic("u:can:ary")}), Ok(true)),
        (json!({"auth": basic("u:can\nary")}), Ok(true)),
        (json!({"auth": format!(" {}\n", basic("u:canary"))}), Ok(true)),
        (json!({}), Ok(false)),
        (json!({"auth": ""}), Ok(false)),
        (json!(null), Ok(false)),
        (json!({"auth": 5}), Ok(false)),
        (json!({"auth": "canary!"}), Err(Kind::Invalid)),
        (json!({"auth": basic("canary")}), Err(Kind::Invalid)),
        (json!({"auth": BASE64_STANDARD.encode([b'u', b':', 0xff])}), Err(Kind::Invalid)),
        (json!({"username": "u:v", "password": "canary"}), Err(Kind::Invalid)),
    ] {
        let world = World::new(&json!({"auths": {"reg.test": entry}}));
        let found = world.files().get(&origin("reg.test"), "a").await;
        match found {
            Ok(found) => assert_eq!(Ok(found.is_some()), want, "{entry}"),
            Err(e) => {
                assert_eq!(Err(e.kind()), want, "{entry}: {e}");
                assert!(!e.to_string().contains("canary"), "{e}");
            }
        }
    }
    let world = World::new(&json!({"auths": {"reg.test": {"username": "u", "password": "canary"}}}));
    let link = world.0.path().join("link.json");
    std::os::unix::fs::symlink(world.file(), &link).unwrap();
    assert!(AuthFiles::new(vec![link], Vec::new()).get(&origin("reg.test"), "a").await.unwrap().is_some());
    let fifo = world.0.path().join("fifo");
    run(Command::new("mkfifo").arg(&fifo));
    for path in [fifo, "/dev/zero".into(), world.0.path().to_owned()] {
        assert!(AuthFiles::new(vec![path], Vec::new()).get(&origin("reg.test"), "a").await.is_err());
    }
    std::fs::File::create(world.file()).unwrap().set_len(1 << 30).unwrap();
    assert_eq!(world.files().get(&origin("reg.test"), "a").await.err().unwrap().kind(), Kind::Limit);
}

/// H31, O5: what a helper is told and what it tells stands in no command line and in no environment.
#[tokio::test]
async fn a_helper_gets_its_secrets_through_its_standard_input_only() {
    let spy = r#"
cat > "$DIR/stdin-$1"
tr '\0' '\n' < /proc/$$/cmdline > "$DIR/cmdline-$1"
tr '\0' '\n' < /proc/$$/environ > "$DIR/environ-$1"
echo '{"ServerURL":"reg.test","Username":"u","Secret":"canary-kept"}'"#;
    let world = World::new(&json!({"credsStore": HELPED}));
    let dir = world.0.path().to_owned();
    let world = world.helper(&spy.replace("$DIR", dir.to_str().unwrap()));
    let credential = Credential::password(&origin("reg.test"), "u", "canary-given").unwrap();
    world.files().login(&credential, "").await.unwrap();
    world.files().get(&origin("reg.test"), "a").await.unwrap().unwrap();
    assert!(world.files().logout(&origin("reg.test"), "").await.unwrap());
    for verb in ["store", "get", "erase"] {
        for place in ["cmdline", "environ"] {
            let seen = std::fs::read_to_string(dir.join(format!("{place}-{verb}"))).unwrap();
            assert!(!seen.contains("canary") && (place != "cmdline" || seen.contains(verb)), "{place} {verb}: {seen}");
        }
    }
    assert!(std::fs::read_to_string(dir.join("stdin-store")).unwrap().contains("canary-given"));
    assert_eq!(std::fs::read_to_string(world.file()).unwrap(), json!({"credsStore": HELPED}).to_string());
}
