use std::os::unix::fs::PermissionsExt as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::*;
use crate::stores::registry::{Protocol, auth::credentials::Secret, origins::quirks};

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
    let response = r#"read s; echo "{\"ServerURL\":\"$s\",\"Username\":\"u\",\"Secret\":\"NAME:$s\"}""#;
    helper(dir.path(), "own", &response.replace("NAME", "own").replace(r#"\"u\""#, r#"\"<token>\""#));
    helper(dir.path(), "all", &response.replace("NAME", "all"));
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
        assert_eq!(files.get(&origin("reg.test"), "x").await.is_ok(), ["", "absent"].contains(&name), "{name}");
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
    let huge = files(dir.path(), &" ".repeat((1 << 20) + 1));
    assert_eq!(huge.get(&origin("reg.test"), "x").await.err().unwrap().kind(), crate::error::Kind::Limit);
}

#[tokio::test]
async fn login_keeps_what_is_not_its_own_and_logout_takes_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let before = r#"{"HttpHeaders":{"x":"y"},"auths":{"https://reg.test/v1/":{"auth":"old"},"other.test":{}}}"#;
    let files = files(dir.path(), before);
    let reg = origin("reg.test");
    files.login(&Credential::password(&reg, "u", "new").unwrap(), "").await.unwrap();
    assert_eq!(found(&files, "reg.test", "x").await.as_deref(), Some("new"));
    let read = || std::fs::read_to_string(&files.files[0]).unwrap();
    let after: Value = serde_json::from_str(&read()).unwrap();
    let expected = json!({"HttpHeaders": {"x": "y"}, "auths": {"other.test": {}, "reg.test": {"auth": auth("new")}}});
    assert_eq!(after, expected);
    let mode = std::fs::metadata(&files.files[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(files.logout(&reg, "").await.unwrap());
    assert!(!files.logout(&reg, "").await.unwrap());
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
        files.login(&Credential::identity_token(&origin("docker.io"), "token"), "").await.unwrap();
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
    files.login(&Credential::password(&reg, "u", "secret").unwrap(), "").await.unwrap();
    assert!(files.logout(&reg, "").await.unwrap());
    let said = std::fs::read_to_string(log).unwrap();
    assert_eq!(said, "store {\"ServerURL\":\"reg.test\",\"Username\":\"u\",\"Secret\":\"secret\"}\nerase reg.test\n");
    assert_eq!(std::fs::read_to_string(&files.files[0]).unwrap(), r#"{"credsStore": "keep"}"#);
}

#[tokio::test]
async fn what_a_helper_says_when_it_fails_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path(), r#"{"credsStore": "x"}"#);
    for (script, words) in [
        ("echo; echo 'run `gcloud auth login`' >&2; exit 1", "docker-credential-x` failed: run `gcloud auth login`"),
        ("echo 'no session'; echo more; echo why >&2; exit 7", "failed: no session"),
        ("exit 3", "failed: no message (exit status: 3)"),
    ] {
        helper(dir.path(), "x", script);
        let error = files.get(&origin("reg.test"), "x").await.err().unwrap();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.code(), Some(Code::HelperFailed));
    }
    helper(dir.path(), "x", "read s; echo \"refused: $s\"; exit 1");
    let error = files.login(&Credential::password(&origin("reg.test"), "u", "canary").unwrap(), "").await.unwrap_err();
    assert!(
        error.to_string().contains("failed to store credentials: refused") && !error.to_string().contains("canary")
    );
}

#[tokio::test]
async fn an_answer_of_a_helper_is_read_as_others_read_it_and_is_for_this_host_only() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path(), r#"{"credsStore": "x"}"#);
    for (server, fits) in [
        ("reg.test:5000", true),
        ("reg.test", true),
        ("https://reg.test:5000/v2/", true),
        ("http://REG.test", true),
        ("", true),
        ("evil.test", false),
        ("reg.test.evil.test", false),
        ("reg.test@evil.test", false),
    ] {
        helper(dir.path(), "x", &format!(r#"echo '{{"serverurl":"{server}","username":"u","SECRET":"s"}}'"#));
        let found = files.get(&origin("reg.test:5000"), "x").await;
        assert_eq!(found.is_ok(), fits, "{server}");
        let words = "docker-credential-x`: answered for";
        assert!(found.err().is_none_or(|e| e.to_string().contains(words)), "{server}");
    }
}

#[tokio::test]
async fn without_its_helper_a_file_is_read_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let auths = json!({"credsStore": "gone", "auths": {"reg.test": {"auth": auth("kept")}, "other.test": {}}});
    let files = files(dir.path(), &auths.to_string());
    assert_eq!(found(&files, "reg.test", "x").await.as_deref(), Some("kept"));
    assert_eq!(found(&files, "other.test", "x").await, None);
    let missing = files.missing_helper(&origin("reg.test")).unwrap();
    assert!(missing.to_string().contains("`docker-credential-gone` is not installed"), "{missing}");
    assert_eq!(missing.code(), Some(Code::HelperMissing));
    let stored = files.login(&Credential::password(&origin("reg.test"), "u", "p").unwrap(), "").await;
    assert_eq!(stored.unwrap_err().code(), Some(Code::HelperMissing));
}

#[tokio::test]
async fn what_is_given_as_content_comes_before_all_files() {
    let dir = tempfile::tempdir().unwrap();
    let auths = |password| json!({"auths": {"reg.test": {"auth": auth(password)}}}).to_string();
    let files = AuthFiles {
        given: Some(("VARIABLE".into(), auths("given"))),
        ..files(dir.path(), &auths("file").replace("reg.test", "reg.test/a"))
    };
    assert_eq!(found(&files, "reg.test", "a").await.as_deref(), Some("given"));
    assert_eq!(files.get(&origin("reg.test"), "a").await.unwrap().unwrap().source(), Some("`VARIABLE`"));
    let broken = AuthFiles { given: Some(("VARIABLE".into(), "{canary".into())), ..files };
    let error = broken.get(&origin("reg.test"), "a").await.err().unwrap().to_string();
    assert!(error.contains("`VARIABLE`") && !error.contains("canary"), "{error}");
}

#[tokio::test]
async fn credentials_may_be_for_some_repositories() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path(), "{}");
    let login = async |password: &str, repositories: &str| {
        let credential = Credential::password(&origin("reg.test"), "u", password).unwrap();
        files.login(&credential, repositories).await.unwrap();
    };
    login("all", "").await;
    login("group", "group/a").await;
    login("again", "group/a").await;
    login("whole", "").await;
    for (repository, want) in [("group/a/b", "again"), ("group/ab", "whole"), ("", "whole")] {
        assert_eq!(found(&files, "reg.test", repository).await.as_deref(), Some(want), "{repository}");
    }
    assert!(files.logout(&origin("reg.test"), "group/a").await.unwrap());
    assert!(!files.logout(&origin("reg.test"), "group/a").await.unwrap());
    assert_eq!(found(&files, "reg.test", "group/a").await.as_deref(), Some("whole"));
}
