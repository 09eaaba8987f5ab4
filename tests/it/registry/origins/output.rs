//! What the program prints and leaves behind while somebody tries to make it repeat a secret (O1 to O5). Every secret
//! has the word `canary` in it.

use std::{
    io::Write as _,
    path::Path,
    process::{Output, Stdio},
};

use artifact::oci::{Digest, media_type};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::json;

use crate::support::{
    program::World,
    samples::Sample,
    scripted::{Request, Scripted, reply},
};

/// With what JSON, URLs and HTML each write in another way.
const PASSWORD: &str = "canary \"p\\w\"/+&<é>=%7E";
const IDENTITY: &str = "canary/identity+5b11==";
const TOKEN: &str = "canary.token/7f20+==";
const SIGNATURE: &str = "canary/signature+c0de==";

/// `ann:canary` in base64, as far as it does not depend on what follows.
const BASIC: &str = "YW5uOmNhbmFy";

fn clean(text: &str) -> bool {
    !text.to_lowercase().contains("canary") && !text.contains(BASIC)
}

/// Every command that talks to a registry.
const COMMANDS: [&str; 13] = [
    "push talk/slides.yaml HOST/a:v1",
    "pull HOST/a:v1 layout",
    "pull HOST/a:v1 files --unpack",
    "copy HOST/a:v1 oci:copied",
    "copy HOST/a oci-archive:copied.tar --all-tags",
    "copy oci:kept HOST/a:v1",
    "inspect HOST/a:v1",
    "ls HOST/a",
    "ls HOST",
    "tag HOST/a:v1 v2",
    "delete HOST/a:v1",
    "cat HOST/a:v1 0",
    "check HOST/a",
];

/// A world with something to push, and with credentials for this host in this form.
fn world(host: &str, entry: &serde_json::Value) -> World {
    let world = World::new();
    std::fs::create_dir(world.path().join("tmp")).unwrap();
    let made = world.command("push talk/slides.yaml oci:kept:v1").output().unwrap();
    assert!(made.status.success(), "{made:?}");
    std::fs::write(world.path().join("auth.json"), json!({"auths": {host: entry}}).to_string()).unwrap();
    world
}

fn password() -> serde_json::Value {
    json!({"auth": BASE64_STANDARD.encode(format!("ann:{PASSWORD}"))})
}

/// Runs a command with words to say, and gives all it printed.
fn run(world: &World, line: &str, more: &str, stdin: &str) -> Output {
    run_with(world, line, more, stdin, "")
}

/// The same through a proxy, if there is one.
fn run_with(world: &World, line: &str, more: &str, stdin: &str, proxy: &str) -> Output {
    let line = format!("{line} {more} --retries 0 --timeout 5");
    let mut command = world.command(&line);
    command.env("TMPDIR", world.path().join("tmp")).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
    command.env("HTTP_PROXY", proxy).env("HTTPS_PROXY", proxy);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Who does not ask does not listen.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

/// All files below a directory but the one that credentials are kept in: their names and their content.
fn files(dir: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        all.push(path.display().to_string());
        if path.is_dir() {
            all.extend(files(&path));
        } else if path.file_name().is_some_and(|name| name != "auth.json") {
            all.push(String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned());
        }
    }
    all
}

/// Runs every command against this registry, as people and as programs do; nothing may show a secret.
fn nothing_shows(registry: &Scripted, entry: &serde_json::Value) {
    let world = world(registry.host(), entry);
    for (n, line) in COMMANDS.iter().enumerate() {
        let line = line.replace("HOST", registry.host());
        let more = ["--auth-file auth.json -v", "--auth-file auth.json -v --format json"][n % 2];
        let out = run(&world, &line, more, "");
        let printed = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(clean(&printed), "{line}: {printed}");
    }
    assert!(registry.seen().len() >= COMMANDS.len(), "{:?}", registry.lines());
    let left: Vec<String> = files(world.path()).into_iter().filter(|text| !clean(text)).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A text in all the ways in which an answer may write it.
fn spelled(text: &str) -> String {
    let url: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let json = serde_json::to_string(text).unwrap();
    let go = text.chars().map(|c| if c.is_alphanumeric() { c.to_string() } else { format!("\\u{:04x}", c as u32) });
    let percent = text.bytes().map(|b| format!("%{b:02x}"));
    let html = text.replace('&', "&amp;").replace('"', "&#34;").replace('+', "&#43;").replace('<', "&lt;");
    let parts = [text.to_owned(), url, json, go.collect(), percent.collect(), html];
    parts.join(" ")
}

/// What was sent, and this, in all the ways in which an answer may write it, one after another on one line.
fn echo(request: &Request, more: &str) -> String {
    let given = request.header("authorization").to_owned();
    let body = String::from_utf8_lossy(&request.body[..request.body.len().min(2000)]).into_owned();
    let query = request.line().split_once('?').map_or("", |(_, query)| query).to_owned();
    [given.as_str(), more, &body, &query].map(spelled).join(" ").replace('\n', " ")
}

/// How an answer may put it: plain, as the specification's errors, as a page; refusing, or as if nothing were wrong.
fn shapes(text: &str) -> [Vec<u8>; 8] {
    let errors = json!({"errors": [{"code": "DENIED", "message": text, "detail": text}]}).to_string();
    let page = format!("<html><title>{text}</title>");
    let html = [("content-type", "text/html")];
    // A header has no letters but those of ASCII, and no space that would end a secret.
    let header = text.split_whitespace().find(|word| word.contains(BASIC) || *word == TOKEN).unwrap_or("1");
    [
        reply(403, &[], text.as_bytes()),
        reply(400, &[("content-type", "application/json")], errors.as_bytes()),
        reply(404, &html, page.as_bytes()),
        reply(503, &[("retry-after", "1")], text.as_bytes()),
        reply(200, &html, page.as_bytes()),
        reply(
            200,
            &[("content-type", "application/json")],
            json!({"tags": text, "repositories": text}).to_string().as_bytes(),
        ),
        reply(403, &[], json!({"errors": [{"code": text}, {"code": 7}, {"detail": text}]}).to_string().as_bytes()),
        reply(429, &[("retry-after", header), ("content-type", header), ("ratelimit-remaining", "0")], b""),
    ]
}

/// A registry that asks for a password, or for a token of this service, and answers what it gets with an echo.
fn parrot(challenge: String, shape: usize) -> Scripted {
    Scripted::start(move |request| match request.header("authorization") {
        "" => reply(401, &[("www-authenticate", &challenge)], b""),
        _ => shapes(&echo(request, PASSWORD))[shape].clone(),
    })
}

/// O1, O4: a registry that repeats the password, in every command.
#[test]
fn a_password_that_is_echoed_is_not_shown() {
    for shape in 0..8 {
        nothing_shows(&parrot("Basic realm=\"x\"".into(), shape), &password());
    }
}

/// O1, O2, O4: a registry that repeats a token, a token service that repeats what it was asked with.
#[test]
fn tokens_that_are_echoed_are_not_shown() {
    for (shape, entry) in [password(), json!({"identitytoken": IDENTITY})].into_iter().enumerate() {
        let body = json!({"access_token": TOKEN, "expires_in": 300, "Refresh_Token": "canary"}).to_string();
        let service = Scripted::start(move |_| reply(200, &[], body.as_bytes()));
        let challenge = format!("Bearer realm=\"http://{}/token\",service=\"x\"", service.host());
        let registry = Scripted::start(move |request| match request.header("authorization") {
            "" => reply(401, &[("www-authenticate", &challenge)], b""),
            given => shapes(&spelled(given.trim_start_matches("Bearer ")))[shape + 1].clone(),
        });
        nothing_shows(&registry, &entry);
        for shape in [0, 1, 4] {
            let service = Scripted::start(move |request| shapes(&echo(request, ""))[shape].clone());
            nothing_shows(&parrot(format!("Bearer realm=\"http://{}/token\"", service.host()), 0), &entry);
        }
    }
}

/// O1, O3, O4: a proxy that repeats who we are to it, in its answers to all kinds of requests.
#[test]
fn the_login_of_a_proxy_that_is_echoed_is_not_shown() {
    let password: String = url::form_urlencoded::byte_serialize(PASSWORD.as_bytes()).collect();
    let world = World::new();
    for shape in [0, 1, 2, 4] {
        let proxy = Scripted::start(move |request| match request.header("proxy-authorization") {
            given if request.line().starts_with("CONNECT") => format!("HTTP/1.1 403 {given}\r\n\r\n").into_bytes(),
            given => shapes(&[given, PASSWORD].map(spelled).join(" "))[shape].clone(),
        });
        let url = format!("http://ann:{}@{}", password.replace('+', "%20"), proxy.host());
        for line in ["ls registry.test/a --plain-http", "ls registry.test/a", "inspect registry.test/a:v1 --plain-http"]
        {
            let out = run_with(&world, line, "-v", "", &url);
            assert!(clean(&format!("{out:?}")) && !out.status.success(), "{line}: {out:?}");
        }
        assert!(proxy.saw(BASIC) && proxy.seen().len() >= 3, "{:?}", proxy.lines());
    }
    for url in ["http://ann:canary@[", "socks5://ann:canary@127.0.0.1:1", "ann:canary@127.0.0.1:1", "canary"] {
        let out = run_with(&world, "ls registry.test/a", "-v", "", url);
        assert!(!out.status.success(), "{out:?}");
        assert!(url == "canary" || clean(&format!("{out:?}")), "{out:?}");
    }
}

/// O1: what is secret in the address that a registry sends us to, which storage repeats when it refuses.
#[test]
fn secrets_of_an_address_are_not_shown() {
    let signature: String = url::form_urlencoded::byte_serialize(SIGNATURE.as_bytes()).collect();
    for shape in [0, 1, 2] {
        let storage = Scripted::start(move |request| {
            let query = request.line().split_once('?').map_or("", |(_, query)| query);
            shapes(&format!("{query} {}", spelled(SIGNATURE)))[shape].clone()
        });
        let query = format!("X-Amz-Signature={signature}&sig={SIGNATURE}");
        let target = format!("http://{}/bucket/x?{query}#{SIGNATURE}", storage.host());
        let registry = Scripted::start(move |request| match request.line() {
            line if line.starts_with("POST") => reply(202, &[("location", &target)], b""),
            _ => reply(307, &[("location", &target)], b""),
        });
        nothing_shows(&registry, &password());
    }
}

/// O1, O3: addresses that cannot be used, in every place that an answer has for one.
#[test]
fn addresses_that_cannot_be_used_are_not_shown_with_their_secrets() {
    for target in [
        "https://u:canary@evil.test/x?canary#canary",
        "http://169.254.169.254/x?canary",
        "ftp://u:canary@evil.test/?canary",
        "https://u:canary@[/x",
        "http://u:canary@127.0.0.1/",
    ] {
        let link = format!("<{target}>; rel=\"next\"");
        let challenge = format!("Bearer realm=\"{target}\"");
        let redirecting = Scripted::start(move |_| reply(307, &[("location", target)], b""));
        let continuing = Scripted::start(move |request| match request.line() {
            line if line.starts_with("POST") => reply(202, &[("location", target)], b""),
            _ => reply(200, &[("link", &link)], br#"{"tags":["v1"],"repositories":["a"]}"#),
        });
        let asking = Scripted::start(move |_| reply(401, &[("www-authenticate", &challenge)], b""));
        for registry in [redirecting, continuing, asking] {
            nothing_shows(&registry, &password());
        }
    }
}

/// O1: a registry that puts the password which it was sent into the addresses that it chooses.
#[test]
fn a_password_in_an_address_that_a_server_chose_is_not_shown() {
    let password = "CanaryPW9";
    let nested = (0..6).fold(password.replace('P', "%50"), |text, _| text.replace('%', "%25"));
    for target in [
        format!("http://127.0.0.1:1/{password}"),
        format!("http://127.0.0.1:1/{nested}"),
        format!("/v2/a/blobs/uploads/{password}"),
        format!("http://{password}.test/"),
        "https://canary.pw9.test:1/".to_owned(),
        format!("{password}:x"),
    ] {
        let link = format!("<{target}>; rel=\"next\"");
        let challenge = format!("Bearer realm=\"{target}\"");
        let limit = [("ratelimit-limit", password), ("ratelimit-remaining", "0")];
        let challenged = |answer: Vec<u8>| {
            Scripted::start(move |request| match request.header("authorization") {
                "" => reply(401, &[("www-authenticate", "Basic")], b""),
                _ => answer.clone(),
            })
        };
        let tags = br#"{"tags":["v1"],"repositories":["a"]}"#;
        for registry in [
            challenged(reply(307, &[("location", &target)], b"")),
            challenged(reply(202, &[("location", &target)], b"")),
            challenged(reply(200, &[("link", &link)], tags)),
            challenged(reply(401, &[("www-authenticate", &challenge)], b"")),
            challenged(reply(429, &limit, b"")),
        ] {
            nothing_shows(&registry, &json!({"auth": BASE64_STANDARD.encode(format!("ann:{password}"))}));
        }
    }
}

/// O1: a registry that puts the password which it was sent into what it says that an artifact is.
#[test]
fn a_password_in_a_manifest_is_not_shown_by_the_errors_about_it() {
    let password = "CanaryPW9";
    let basic = BASE64_STANDARD.encode(format!("ann:{password}"));
    let config = json!({"mediaType": "a/b", "digest": Digest::of(b"{}"), "size": 2});
    let index = media_type::INDEX;
    for secret in [password, &basic] {
        let member = |platform: &str, digest: &str| json!({"mediaType": "a/b", "size": 2, "digest": digest, "platform": {"os": platform, "architecture": "x"}});
        let digest = Digest::of(b"{}").to_string();
        for (kind, manifest) in [
            (media_type::MANIFEST, json!({"schemaVersion": 2, "mediaType": secret, "config": config, "layers": []})),
            (
                media_type::MANIFEST,
                json!({"schemaVersion": 2, "config": {"mediaType": "a/b", "digest": secret, "size": 2}}),
            ),
            (
                media_type::MANIFEST,
                json!({"schemaVersion": 2, secret: {}, secret.to_uppercase(): {}, "config": config}),
            ),
            (index, json!({"schemaVersion": 2, "manifests": [member(secret, &digest), member("y", &digest)]})),
        ] {
            let manifest = manifest.to_string();
            let registry = Scripted::start(move |request| match (request.header("authorization"), request.line()) {
                ("", _) => reply(401, &[("www-authenticate", "Basic")], b""),
                (_, line) if line.contains("/manifests/") => reply(200, &[("content-type", kind)], manifest.as_bytes()),
                _ => reply(404, &[], b""),
            });
            let world = world(registry.host(), &json!({"auth": basic}));
            for line in
                ["pull HOST/a:v1 layout", "pull HOST/a:v1 files --unpack", "copy HOST/a:v1 oci:c --platform a/b"]
            {
                for more in ["--auth-file auth.json -v", "--auth-file auth.json --format json"] {
                    let out = run(&world, &line.replace("HOST", registry.host()), more, "");
                    let said = String::from_utf8_lossy(&out.stderr);
                    assert!(clean(&said) && !said.to_lowercase().contains(&basic.to_lowercase()), "{line}: {said}");
                }
            }
        }
    }
}

/// O3: what somebody typed, or pasted, into a place for a name.
#[test]
fn a_password_in_a_name_is_not_repeated() {
    let world = World::new();
    for name in [
        "ann:canary@127.0.0.1:1",
        "https://ann:canary@127.0.0.1:1",
        "https://ann:can/canary@127.0.0.1:1",
        "http://canary@127.0.0.1:1",
        "ghp_canary@127.0.0.1:1",
        "oci://ann:canary@127.0.0.1:1",
        "docker://canary@127.0.0.1:1",
    ] {
        for line in COMMANDS.iter().copied().chain(["login HOST -u ann --password-stdin", "logout HOST"]) {
            let line = line.replace("HOST", name);
            let out = run(&world, &line, "-v", "canary");
            let printed = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
            assert!(clean(&printed), "{line}: {printed}");
            assert!(printed.contains("***@127.0.0.1"), "{line}: {printed}");
            assert!(matches!(out.status.code(), Some(1 | 2)), "{line}: {printed}");
        }
    }
    let out = run(&world, "login 127.0.0.1:1 -u ann --password=canary", "", "");
    assert!(clean(&String::from_utf8_lossy(&out.stderr)), "{out:?}");
}

/// O1: passwords that are read from standard input, proved in vain or with success, and then asked of a helper.
#[test]
fn a_password_is_kept_where_it_is_meant_to_be_and_nowhere_else() {
    let line = |host: &str| format!("login {host} -u ann --password-stdin --auth-file auth.json");
    for shape in 0..8 {
        let registry = parrot("Basic".into(), shape);
        let world = World::new();
        let out = run(&world, &line(registry.host()), "-v", PASSWORD);
        assert!(registry.saw("uthorization"));
        assert!(clean(&format!("{out:?}")), "{out:?}");
        assert!(files(world.path()).iter().all(|text| clean(text)));
        assert_eq!(out.status.success(), world.path().join("auth.json").exists(), "{out:?}");
    }
    let registry = Scripted::start(|request| match request.header("authorization") {
        "" => reply(401, &[("www-authenticate", "Basic")], b""),
        _ => reply(200, &[], b"{}"),
    });
    let world = World::new();
    let out = run(&world, &line(registry.host()), "-v --format json", &format!("{PASSWORD}\n"));
    assert!(out.status.success() && clean(&format!("{out:?}")), "{out:?}");
    assert!(files(world.path()).iter().all(|text| clean(text)));
    assert!(std::fs::read_to_string(world.path().join("auth.json")).unwrap().contains(BASIC));
}

/// A password is read whole or not at all: one that was cut would be kept, and never work.
#[test]
fn a_password_may_have_64_kibibytes() {
    let registry = Scripted::start(|request| match request.header("authorization") {
        "" => reply(401, &[("www-authenticate", "Basic")], b""),
        _ => reply(200, &[], b"{}"),
    });
    let world = World::new();
    for (len, fits) in [(40 << 10, true), ((64 << 10) + 1, false)] {
        let line = format!("login {} -u ann --password-stdin --auth-file auth.json", registry.host());
        let out = run(&world, &line, "", &"canary-".repeat(len).chars().take(len).collect::<String>());
        assert_eq!(out.status.success(), fits, "{out:?}");
        assert!(clean(&format!("{out:?}")) && (fits || format!("{out:?}").contains("65536 bytes")), "{out:?}");
    }
}

/// O1: a pull that succeeds, through storage with a secret in its address: nothing of it is in what was pulled.
#[test]
fn what_was_pulled_holds_no_secret_of_the_way() {
    let sample = Sample::of(&[b"content"]);
    let held = sample.clone();
    let storage = Scripted::start(move |request| {
        let found = held.all().find(|(desc, _)| request.line().contains(&desc.digest.hex())).cloned();
        found.map_or_else(|| reply(404, &[], b""), |(_, bytes)| reply(200, &[("set-cookie", "c=canary")], &bytes))
    });
    let (desc, bytes) = sample.manifests[0].clone();
    let place = storage.host().to_owned();
    let registry = Scripted::start(move |request| match (request.header("authorization"), request.line()) {
        ("", _) => reply(401, &[("www-authenticate", "Basic")], b""),
        (_, line) if line.contains("/manifests/") => {
            let (digest, length) = (desc.digest.to_string(), desc.size.to_string());
            let headers = [
                ("content-type", desc.media_type.as_str()),
                ("content-length", length.as_str()),
                ("docker-content-digest", digest.as_str()),
                ("warning", "299 - \"canary\""),
            ];
            reply(200, &headers, if line.starts_with("HEAD") { b"" } else { &bytes })
        }
        (_, line) => {
            let digest = line.rsplit(':').next().unwrap_or_default();
            reply(307, &[("location", &format!("http://{place}/{digest}?sig={SIGNATURE}"))], b"")
        }
    });
    let world = world(registry.host(), &password());
    for to in ["layout", "archive.tar"] {
        let out = run(&world, &format!("pull {}/a:v1 {to}", registry.host()), "--auth-file auth.json -v", "");
        assert!(out.status.success() && clean(&format!("{out:?}")), "{out:?}");
    }
    assert!(storage.saw("canary"));
    assert!(files(world.path()).iter().all(|text| clean(text)));
}
