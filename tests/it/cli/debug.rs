//! The log says what happened and never a secret, whatever it is asked for. Every secret has the word `canary` in it, or is
//! made of one that has.

use std::{
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{Ran, World, ran};
use crate::support::{
    samples::Sample,
    scripted::{Scripted, reply},
};

/// With what base64 and URLs each write in another way.
const PASSWORD: &str = "canary p\u{e9}?/+&=";
const TOKEN: &str = "canary.token/7f20+==";
const IDENTITY: &str = "canary/identity+5b11==";
const SIGNATURE: &str = "canary/signature+c0de==";

/// How the log is asked for: by flags, by the variable, for people and for programs.
const WAYS: [(&str, &str); 5] = [
    ("--debug --log run.log", ""),
    ("--log run.log", "trace"),
    ("--debug --format json --log run.log", "trace"),
    ("", "trace"),
    ("--debug -v --log run.log", "artifact=trace,hyper=trace,h2=trace,rustls=trace"),
];

/// The secret in every way in which it may be written.
fn spellings(secret: &str) -> Vec<String> {
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let percent: String = secret.bytes().map(|b| format!("%{b:02x}")).collect();
    let login = format!("ann:{secret}");
    let encoded = [secret, login.as_str()].map(|text| BASE64_STANDARD.encode(text).trim_end_matches('=').to_owned());
    let json = serde_json::to_string(secret).unwrap().trim_matches('"').to_owned();
    let spaced = form.replace('+', "%20");
    let upper = percent.to_uppercase();
    [vec![secret.to_owned(), form, spaced, percent, upper, json], encoded.to_vec()].concat()
}

/// Runs a line in every way, and gives what was logged and printed each time; no spelling of a secret is in any of it.
fn logged(world: &World, line: &str, amend: impl Fn(&mut Command)) -> Vec<(Ran, String)> {
    WAYS.iter().map(|(flags, variable)| logged_by(world, &format!("{line} {flags}"), variable, &amend)).collect()
}

fn logged_by(world: &World, line: &str, variable: &str, amend: &impl Fn(&mut Command)) -> (Ran, String) {
    let _ = std::fs::remove_file(world.path().join("run.log"));
    let mut command = world.command(line);
    command.env("RUST_LOG", variable).stdin(Stdio::null());
    amend(&mut command);
    let ran = ran(command.output().unwrap());
    let log = std::fs::read_to_string(world.path().join("run.log")).unwrap_or_default();
    let all = format!("{}{}{log}", ran.stdout, ran.stderr);
    for secret in [PASSWORD, TOKEN, IDENTITY, SIGNATURE].iter().flat_map(|secret| spellings(secret)) {
        assert!(!all.contains(&secret), "{line}: {secret}: {all}");
    }
    assert!(!all.to_lowercase().contains("canary") && !all.contains("YW5uOmNhbmFy"), "{line}: {all}");
    if line.contains("--log") {
        let mode = std::fs::metadata(world.path().join("run.log")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{line}");
        assert!(!log.is_empty(), "{line}");
    }
    // Where there is no terminal, both have the same lines.
    if line.contains("--debug") && line.contains("--log") {
        assert!(log.lines().all(|line| ran.stderr.lines().any(|other| other == line)), "{line}: {all}");
    } else if line.contains("--log") {
        assert!(!ran.stderr.contains("artifact::registry"), "{line}: {all}");
    }
    let shown = if log.is_empty() { ran.stderr.clone() } else { log };
    (ran, shown)
}

/// Whether a line of the log says all of this, be it text or JSON.
fn says(log: &str, words: &[&str]) -> bool {
    let text = |line: &str| match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(object)) => {
            assert!(object["event"] != "log" || object["seconds"].is_number(), "{line}");
            let fields = object.get("fields").and_then(Value::as_object).cloned().unwrap_or_default();
            let field = |(name, value): (String, Value)| {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                if text.contains(' ') { format!("{name}={text:?}") } else { format!("{name}={text}") }
            };
            let fields: Vec<String> = fields.into_iter().map(field).collect();
            format!("{}: {} {}", object["level"], object["message"].as_str().unwrap_or_default(), fields.join(" "))
        }
        _ => line.to_owned(),
    };
    log.lines().map(text).any(|line| words.iter().all(|word| line.contains(word)))
}

fn assert_says(log: &str, words: &[&str]) {
    assert!(says(log, words), "{words:?} is not in: {log}");
}

fn auth_file(world: &World, host: &str, entry: &Value) {
    world.write("auth.json", &json!({ "auths": { host: entry } }).to_string());
}

fn password() -> Value {
    json!({ "auth": BASE64_STANDARD.encode(format!("ann:{PASSWORD}")) })
}

/// A registry whose blobs are in a storage with signed URLs, which fails once; `proof` is the header that it wants.
fn registry(challenge: &str, proof: String) -> (Scripted, Scripted) {
    let sample = Sample::of(&[b"content"]);
    let held = sample.clone();
    let storage = Scripted::start(move |request| {
        let found = held.all().find(|(desc, _)| request.line().contains(&desc.digest.hex())).cloned();
        found.map_or_else(|| reply(404, &[], b""), |(_, bytes)| reply(200, &[], &bytes))
    });
    let (desc, bytes) = sample.manifests[0].clone();
    let (place, challenge) = (storage.host().to_owned(), challenge.to_owned());
    let failed = std::sync::atomic::AtomicBool::new(false);
    let registry = Scripted::start(move |request| match request.line() {
        _ if request.header("authorization") != proof => reply(401, &[("www-authenticate", &challenge)], b""),
        line if line.contains("/manifests/v1") || line.contains("/manifests/sha256:") => {
            if !failed.fetch_xor(true, std::sync::atomic::Ordering::Relaxed) {
                return reply(503, &[("retry-after", "0")], b"");
            }
            let (digest, length) = (desc.digest.to_string(), desc.size.to_string());
            let headers = [
                ("content-type", desc.media_type.as_str()),
                ("content-length", length.as_str()),
                ("docker-content-digest", digest.as_str()),
            ];
            reply(200, &headers, if line.starts_with("HEAD") { b"" } else { &bytes })
        }
        line if line.contains("/blobs/") => {
            let digest = line.rsplit(':').next().unwrap_or_default();
            let signature: String = url::form_urlencoded::byte_serialize(SIGNATURE.as_bytes()).collect();
            let target = format!("http://{place}/{digest}?X-Sig={signature}&sig={SIGNATURE}#{SIGNATURE}");
            reply(307, &[("location", &target)], b"")
        }
        _ => reply(404, &[], b""),
    });
    (registry, storage)
}

#[test]
fn a_pull_is_told_request_by_request() {
    let world = World::new();
    let proof = format!("Basic {}", BASE64_STANDARD.encode(format!("ann:{PASSWORD}")));
    let (registry, storage) = registry("Basic", proof);
    auth_file(&world, registry.host(), &password());
    for (n, (ran, log)) in
        logged(&world, &format!("pull {}/a:v1 layout --auth-file auth.json", registry.host()), |_| {
            let _ = std::fs::remove_dir_all(world.path().join("layout"));
        })
        .into_iter()
        .enumerate()
    {
        assert_eq!(ran.code, 0, "{n}: {}", ran.stderr);
        let url = format!("url=http://{}/v2/a/manifests/v1", registry.host());
        assert_says(&log, &["request", "method=HEAD", &url]);
        assert_says(&log, &["request", "method=HEAD", &url, "credential=basic", "from=`auth.json`"]);
        assert_says(&log, &["response", "status=401", "ms=", "method=HEAD", &url, "version=HTTP/1.1"]);
        assert_says(&log, &["response", "status=200", "ms=", "bytes=", &url]);
        assert_says(&log, &["credentials found", "kind=basic", "user=ann", "from=`auth.json`", registry.host()]);
        assert_says(&log, &["retry", "why=", "503", "wait_ms="]);
        let to = format!("to=http://{}/", storage.host());
        assert_says(&log, &["redirect", "status=307", "from=http://", "/v2/a/blobs/sha256:", &to, "trust=trusted"]);
        let stored = format!("url=http://{}/", storage.host());
        let with_proof = says(&log, &["request", &stored, "credential="]);
        assert!(says(&log, &["request", "method=GET", &stored]) && !with_proof, "{log}");
    }
    assert!(storage.saw("canary"));
    let (_, log) = logged_by(&world, &format!("ls {}/a --log run.log", registry.host()), "", &|_: &mut Command| ());
    let first = log.lines().next().unwrap();
    assert!(first.starts_with("   0.0") && first.contains(" debug artifact: started version="), "{log}");
    assert_says(&log, &["no credentials found"]);
}

#[test]
fn tokens_are_told_of_with_the_service_and_the_scope() {
    for entry in [password(), json!({ "identitytoken": IDENTITY })] {
        let world = World::new();
        let body = json!({ "access_token": TOKEN, "expires_in": 300 }).to_string();
        let service = Scripted::start(move |_| reply(200, &[], body.as_bytes()));
        let challenge = format!("Bearer realm=\"http://{}/token?canary\",service=\"x\"", service.host());
        let (registry, _storage) = registry(&challenge, format!("Bearer {TOKEN}"));
        auth_file(&world, registry.host(), &entry);
        let kind = if entry["auth"].is_string() { "credential=basic" } else { "credential=\"identity token\"" };
        for (ran, log) in logged(&world, &format!("inspect {}/a:v1 --auth-file auth.json", registry.host()), |_| ()) {
            assert_eq!(ran.code, 0, "{}", ran.stderr);
            let realm = format!("realm=http://{}/…", service.host());
            assert_says(&log, &["token fetched", &realm, "scope=repository:a:pull", kind, "from=`auth.json`"]);
            assert_says(&log, &["request", "/manifests/v1", "credential=bearer", "from=`auth.json`"]);
        }
        // A service that refuses.
        let closed = Scripted::start(|_| reply(401, &[], b""));
        let challenge = format!("Bearer realm=\"http://{}/token\"", closed.host());
        let registry = Scripted::start(move |_| reply(401, &[("www-authenticate", &challenge)], b""));
        auth_file(&world, registry.host(), &entry);
        let (ran, log) = logged_by(
            &world,
            &format!("inspect {}/a:v1 --auth-file auth.json --log run.log", registry.host()),
            "",
            &|_: &mut Command| (),
        );
        assert!(
            ran.code == 5 && ran.stderr.contains("the credentials from `auth.json` were refused"),
            "{}",
            ran.stderr
        );
        assert_says(&log, &["response", "status=401", "/…"]);
    }
}

#[test]
fn credentials_that_are_refused_are_named_and_not_shown() {
    let world = World::new();
    let registry = Scripted::start(|request| {
        let echo = format!("{} {PASSWORD}", request.header("authorization"));
        reply(401, &[("www-authenticate", "Basic")], echo.as_bytes())
    });
    world.write("password", PASSWORD);
    for line in ["ls HOST/a -u ann --password-stdin", "login HOST -u ann --password-stdin"] {
        let line = line.replace("HOST", registry.host());
        let typed = |command: &mut Command| {
            command.stdin(std::fs::File::open(world.path().join("password")).unwrap());
        };
        for (ran, log) in logged(&world, &line, typed) {
            assert_eq!(ran.code, 5, "{}", ran.stderr);
            assert!(ran.stderr.contains("the credentials from the command line were refused"), "{}", ran.stderr);
            assert_says(&log, &["credentials found", "kind=basic", "user=ann", "from=\"the command line\""]);
            assert_says(&log, &["request", "credential=basic", "from=\"the command line\""]);
            assert_says(&log, &["response", "status=401"]);
        }
    }
}

#[test]
fn a_helper_is_named_as_the_source() {
    let world = World::new();
    let registry = Scripted::start(|request| match request.header("authorization") {
        "" => reply(401, &[("www-authenticate", "Basic")], b""),
        _ => reply(200, &[], br#"{"name":"a","tags":["v1"]}"#),
    });
    let known = json!({ "Username": "ann", "Secret": PASSWORD }).to_string();
    world.write("bin/docker-credential-safe", &format!("#!/bin/sh\necho '{known}'\n"));
    let program = world.path().join("bin/docker-credential-safe");
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
    world.write("auth.json", r#"{"credsStore":"safe"}"#);
    let bin = world.path().join("bin");
    let line = format!("ls {}/a --auth-file auth.json", registry.host());
    for (ran, log) in logged(&world, &line, |command| {
        command.env("PATH", &bin);
    }) {
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_says(&log, &["credentials found", "from=\"the credential helper `docker-credential-safe`\""]);
    }
}

#[test]
fn a_proxy_is_named_without_its_password() {
    let world = World::new();
    let proxy = Scripted::start(|request| match request.header("proxy-authorization") {
        "" => reply(407, &[], b""),
        given => reply(403, &[], given.as_bytes()),
    });
    let encoded: String = url::form_urlencoded::byte_serialize(PASSWORD.as_bytes()).collect();
    let url = format!("http://ann:{}@{}", encoded.replace('+', "%20"), proxy.host());
    let through = |command: &mut Command| {
        command.env("HTTP_PROXY", &url).env("HTTPS_PROXY", &url);
    };
    for (ran, log) in logged(&world, "ls registry.test/a --plain-http --retries 0", through) {
        assert_eq!(ran.code, 5, "{}", ran.stderr);
        let place = format!("proxy=http://{}", proxy.host());
        assert_says(&log, &["request", "url=http://registry.test/v2/a/tags/list", &place]);
        assert_says(&log, &["response", "status=403", &place]);
    }
    for (ran, log) in logged(&world, "ls registry.test/a --retries 0", through) {
        assert_ne!(ran.code, 0);
        assert_says(&log, &["no answer", "method=GET", "ms=", "why="]);
    }
    assert!(proxy.seen().iter().any(|request| !request.header("proxy-authorization").is_empty()));
}

#[test]
fn uploads_are_told_of() {
    let world = World::new();
    let registry = super::Served::start(&world, "--writable");
    let line = format!("push talk {}/talk:v1 --log run.log", registry.addr);
    let (ran, log) = logged_by(&world, &line, "", &|_: &mut Command| ());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let place = format!("url=http://{}/v2/talk/blobs/uploads/", registry.addr);
    assert_says(&log, &["upload opened", &place]);
    assert_says(&log, &["upload stored", &place]);
    assert_says(&log, &["request", "method=PUT", "bytes="]);
}

#[test]
fn a_mirror_that_is_asked_is_named() {
    let world = World::new();
    let (origin, gone) = (super::Served::start(&world, "--writable"), "127.0.0.1:1");
    world.ok(&format!("push talk {}/talk:v1", origin.addr));
    let config = format!("\"{}\": {{mirrors: [{{location: \"{gone}/m\", names: true}}]}}", origin.addr);
    world.write("hosts.yaml", &config);
    let line = format!("ls {}/talk --config hosts.yaml --retries 0 --log run.log", origin.addr);
    let (ran, log) = logged_by(&world, &line, "", &|_: &mut Command| ());
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "v1\n"), "{}", ran.stderr);
    assert_says(&log, &["ask a mirror", "mirror=127.0.0.1:1/m/talk"]);
    assert_says(&log, &["the mirror failed", "mirror=127.0.0.1:1/m/talk", "why="]);
}

#[test]
fn what_the_variable_says_decides_and_a_log_that_cannot_be_written_is_an_error() {
    let world = World::new();
    let registry = super::Served::start(&world, "--writable");
    world.ok(&format!("push talk {}/talk:v1", registry.addr));
    let run = |flags: &str, variable: &str| {
        let mut command = world.command(&format!("ls {}/talk {flags}", registry.addr));
        ran(command.env("RUST_LOG", variable).output().unwrap())
    };
    for (flags, variable, shown) in [
        ("", "", false),
        ("", "info", false),
        ("", "h2=trace,hyper_util=trace", false),
        ("", "artifact=debug", true),
        ("--debug", "", true),
        ("--debug -q", "", true),
        ("--debug", "artifact=off", false),
    ] {
        let ran = run(flags, variable);
        assert_eq!((ran.code, ran.stdout.as_str()), (0, "v1\n"), "{flags} {variable}: {}", ran.stderr);
        assert_eq!(ran.stderr.contains("artifact::registry: request"), shown, "{flags} {variable}: {}", ran.stderr);
        assert!(shown || ran.stderr.is_empty(), "{flags} {variable}: {}", ran.stderr);
    }
    let unclear = run("--debug", "artifact=debgu");
    assert!(unclear.stderr.contains("warning: `RUST_LOG`: `artifact=debgu` is neither"), "{}", unclear.stderr);
    assert_eq!(run("", "x[span]=debug").stderr, "");
    world.fails(&format!("ls {}/talk --log no/such/file", registry.addr), 2, &["cannot write `no/such/file`"]);
    // A log is added to.
    run("--log run.log", "");
    let before = std::fs::read_to_string(world.path().join("run.log")).unwrap();
    run("--log run.log", "");
    let after = std::fs::read_to_string(world.path().join("run.log")).unwrap();
    assert!(after.starts_with(&before) && after.len() > before.len(), "{after}");
}
