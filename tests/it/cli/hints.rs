//! Advice is about what our own code found out: no text of a server or a file chooses it.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    process::Stdio,
};

use super::{Served, World, ran};
use crate::support::scripted::{Scripted, reply};

/// What errors say that advice is about, and what servers say of the same.
const TEXTS: [&str; 44] = [
    "the tag must be",
    "must end in",
    "must have the tag",
    "there is no artifact type",
    "several tags",
    "could be",
    "which is not its own",
    "log in to",
    "by the configuration",
    "immutable",
    "TAG_IMMUTABLE",
    "QUOTA_EXCEEDED",
    "quota",
    "Quota exceeded",
    "has an unsupported scheme: `socks5",
    "the proxy for http",
    "the proxy requires a user name and password",
    "through the proxy",
    "refused redirect from",
    "has no permitted address",
    "answers in plain http",
    "this machine's clock says",
    "not valid for name",
    "the certificate of",
    "Client sent an HTTP request to an HTTPS server",
    " http://x: 400 Bad Request",
    "405 Method Not Allowed",
    "the quota is exhausted",
    "the title",
    "are named",
    "different files exist",
    "the manifest has",
    "file-bundle layer of its own",
    "cannot remove single tags",
    "has no tags",
    "/manifests/",
    "/manifests/sha256:",
    "refused redirect from registry to https://x: its address is not public",
    "no artifact type fits",
    "is a program",
    "NAME_UNKNOWN",
    "UNAUTHORIZED",
    "DENIED",
    "UNSUPPORTED",
];

fn hint(stderr: &str) -> Option<String> {
    stderr.lines().find(|line| line.starts_with("hint: ")).map(str::to_owned)
}

#[test]
fn the_name_of_a_file_chooses_no_advice() {
    let world = World::new();
    for text in TEXTS {
        // As a source that is not there, as one that is no document, and as a layout that is none.
        let name = text.trim_matches('/').replace('/', "-");
        let missing = ran(world.command("push").arg(&name).arg("oci:out").output().unwrap());
        assert!(missing.code == 4 && missing.stderr.contains(&name), "{}", missing.stderr);
        assert_eq!(hint(&missing.stderr), None, "{text}: {}", missing.stderr);
        world.write(&format!("{name}.yaml"), "a: [");
        let faults = ran(world.command("serve --faults").arg(format!("{name}.yaml")).output().unwrap());
        assert!(faults.code == 2 && faults.stderr.contains(&name), "{}", faults.stderr);
        assert_eq!(hint(&faults.stderr), None, "{text}: {}", faults.stderr);
    }
}

#[test]
fn what_a_registry_says_chooses_no_advice() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (ask, answers) = std::sync::mpsc::channel::<(u16, String)>();
    let (served, done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut answer = (0, String::new());
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            answer = answers.try_iter().last().unwrap_or(answer);
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let (status, body) = &answer;
            let head = format!(
                "HTTP/1.1 {status} Whatever\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let _ = served.send(());
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    let advice = |status: u16, body: &str| {
        ask.send((status, body.to_owned())).unwrap();
        let ran = world.run(&format!("ls {addr}/talk --retries 0"));
        assert!(done.try_iter().count() > 0, "{}", ran.stderr);
        (hint(&ran.stderr), ran.stderr)
    };
    let errors =
        |code: &str, message: &str| serde_json::json!({ "errors": [{ "code": code, "message": message }] }).to_string();
    let all = TEXTS.join(" ");
    for status in [400, 401, 403, 404, 405, 409, 412, 413, 418, 429, 500, 503] {
        for (plain, wicked) in [
            (errors("X", "hello"), vec![errors("X", &all)]),
            ("hello".to_owned(), vec![all.clone(), "has no tags".into(), "http://x: 400 Bad Request".into()]),
        ] {
            let (expected, _) = advice(status, &plain);
            for body in wicked {
                let (given, said) = advice(status, &body);
                assert_eq!(given, expected, "{status}: {said}");
            }
        }
    }
    let (given, said) = advice(400, &errors("X", "refused redirect from registry to https://evil.test"));
    assert!(given.is_none() && said.contains("refused redirect from"), "{said}");
}

/// A registry that answers everything with this.
fn answering(status: u16, header: Option<(&'static str, &'static str)>, body: &str) -> Scripted {
    let body = body.to_owned();
    Scripted::start(move |_| reply(status, header.as_slice(), body.as_bytes()))
}

fn given(world: &World, line: &str, environment: &[(&str, &str)]) -> String {
    let ran = ran(world.command(line).envs(environment.iter().copied()).output().unwrap());
    assert_ne!(ran.code, 0, "{line}");
    hint(&ran.stderr).unwrap_or_else(|| format!("none: {}", ran.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn advice_about_a_registry_fits_what_it_did() {
    let world = World::new();
    let json = |code: &str| format!(r#"{{"errors":[{{"code":"{code}"}}]}}"#);
    let elsewhere = ("www-authenticate", r#"Bearer realm="http://elsewhere.test/token""#);
    let immutable = r#"{"errors":[{"code":"PRECONDITION","message":"immutable"}]}"#.to_owned();
    for (status, header, body, advice) in [
        (400, None, "Client sent an HTTP request to an HTTPS server.".to_owned(), "uses HTTPS"),
        (409, None, json("TAG_IMMUTABLE"), "choose another tag"),
        (405, None, json("UNSUPPORTED"), "does not support the operation"),
        (507, None, json("UNKNOWN"), "delete artifacts"),
        (429, Some(("ratelimit-remaining", "0;w=21600")), json("TOOMANYREQUESTS"), "may raise the limit"),
        (401, Some(elsewhere), json("UNAUTHORIZED"), "if you trust it, list its host"),
        (307, Some(("location", "http://elsewhere.test/x")), String::new(), "if you trust that host"),
        (401, None, json("UNAUTHORIZED"), "stores credentials for it"),
        (403, None, json("DENIED"), "this user lacks the permission"),
        (412, None, immutable, "none: "),
    ] {
        let registry = answering(status, header, &body);
        let said = given(&world, &format!("ls {}/a --retries 0", registry.host()), &[]);
        assert!(said.contains(advice), "{advice}: {said}");
    }
    let closed = answering(401, Some(("www-authenticate", "Basic")), &json("UNAUTHORIZED"));
    let mut login = world.command(&format!("login {} -u ann --password-stdin", closed.host()));
    let mut login = login.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    login.stdin.take().unwrap().write_all(b"secret\n").unwrap();
    let login = ran(login.wait_with_output().unwrap());
    assert!(login.code == 5 && login.stderr.contains("hint: check user name and password"), "{}", login.stderr);
    let lossy = Scripted::start(|request| match request.line() {
        line if line.starts_with("POST") => reply(202, &[("location", "/upload")], b""),
        line if line.starts_with("PUT /upload") => reply(201, &[], b""),
        line if line.starts_with("PUT") => reply(400, &[], br#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}"#),
        _ => reply(404, &[], b""),
    });
    let said = given(&world, &format!("push talk {}/a:v1", lossy.host()), &[]);
    assert!(said.contains("lost content"), "{said}");
    let plain = answering(200, None, "{}");
    assert!(
        given(&world, &format!("ls {}/a --plain-http=false", plain.host()), &[]).contains("`--plain-http` uses HTTP")
    );
    let empty = answering(200, None, r#"{"name":"a","tags":[]}"#);
    assert!(given(&world, &format!("ls {}/a", empty.host()), &[]).contains("LOCATION@DIGEST"));
    let blocked = "[[registry]]\nlocation = \"registry.test\"\nblocked = true";
    world.write(".config/containers/registries.conf", blocked);
    assert!(given(&world, "ls registry.test/a", &[]).contains("registries.conf"));
}

#[test]
fn advice_about_a_proxy_fits_what_is_wrong_with_it() {
    let world = World::new();
    let wants = answering(407, None, "");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (proxy, advice) in [
        ("socks5://127.0.0.1:1", "set an HTTP proxy"),
        ("ftp://127.0.0.1:1", "set `HTTPS_PROXY`, `HTTP_PROXY`"),
        ("http://[", "set `HTTPS_PROXY`, `HTTP_PROXY`"),
        (wants.host(), "to the proxy's URL"),
        (free.as_str(), "check the proxy"),
    ] {
        let said = given(&world, "ls registry.test/a --retries 0", &[("HTTPS_PROXY", proxy)]);
        assert!(said.contains(advice), "{proxy}: {said}");
    }
}

#[test]
fn advice_about_names_fits_what_was_named() {
    let world = World::new();
    world.ok("push talk oci:two:a");
    world.ok("tag oci:two:a b");
    assert!(given(&world, "inspect oci:two", &[]).contains("--all-tags"));
    world.ok("delete oci:two:a");
    world.ok("delete oci:two:b");
    assert_eq!(world.run("inspect oci:two").code, 0, "it holds one artifact only");
    world.ok("push talk/1.png oci:two:a");
    world.ok("delete oci:two:a");
    assert!(given(&world, "inspect oci:two", &[]).contains("LOCATION@DIGEST"));
    assert!(given(&world, "copy oci:two oci:other --all-tags", &[]).contains("LOCATION@DIGEST"));
    assert!(given(&world, "push talk oci:two --type nosuch", &[]).contains("types list` shows the types"));
    world.write("chart/Chart.yaml", "name: web\nversion: 1.0.0\n");
    assert!(given(&world, "push chart oci:two:v9", &[]).contains("strict=false"));
    assert!(given(&world, "push chart localhost:1/web:v9", &[]).contains("strict=false"));
    let twin = world.ok("types show helm-chart --raw").replace("name: helm-chart", "name: twin");
    world.write("twin.yaml", &twin.replace("aliases: [helm, chart]", "aliases: []"));
    assert!(given(&world, "push chart oci:two --type-file twin.yaml", &[]).contains("select one with `--type NAME`"));
}

/// Runs the command that a hint has between its first backquotes.
fn pasted(world: &World, hint: &str) -> (String, i32) {
    let line = hint.split('`').nth(1).unwrap().strip_prefix("artifact ").unwrap().to_owned();
    let code = world.run(&line).code;
    (line, code)
}

#[test]
fn advice_names_the_registry_and_the_repository_and_can_be_pasted() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    let addr = &registry.addr;
    world.ok(&format!("push talk {addr}/team/talk:v1"));
    for line in [
        format!("inspect {addr}/team/talk:v2"),
        format!("pull {addr}/team/talk:v2 out"),
        format!("copy {addr}/team/talk:v2 oci:out"),
        format!("delete {addr}/team/talk:v2"),
        format!("cat {addr}/team/talk:v2"),
    ] {
        let (pasted, code) = pasted(&world, &given(&world, &line, &[]));
        assert_eq!((pasted, code), (format!("ls {addr}/team/talk"), 0), "{line}");
    }
    let closed = Scripted::start(|_| reply(401, &[("www-authenticate", "Basic")], b""));
    for line in ["ls HOST/a", "ls HOST", "inspect HOST/a:v1", "push talk HOST/a:v1", "copy oci:kept HOST/a:v1"] {
        world.ok("push talk oci:kept:v1");
        let said = given(&world, &line.replace("HOST", closed.host()), &[]);
        assert!(said.contains(&format!("`artifact login {}` stores credentials", closed.host())), "{line}: {said}");
    }
    // A token that everybody gets is no credential that could be refused.
    let service = answering(200, None, r#"{"token":"for-everybody"}"#);
    let challenge = format!("Bearer realm=\"http://{}/token\"", service.host());
    let closed = Scripted::start(move |_| reply(401, &[("www-authenticate", &challenge)], b""));
    let said = given(&world, &format!("ls {}/a", closed.host()), &[]);
    assert!(said.contains(&format!("`artifact login {}` stores credentials for it", closed.host())), "{said}");
}

#[test]
fn what_an_error_of_a_registry_is_about_is_told_to_programs() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    world.ok(&format!("push talk {}/team/talk:v1", registry.addr));
    let ran = world.run(&format!("inspect {}/team/talk:v2 --format json", registry.addr));
    let error: serde_json::Value = serde_json::from_str(ran.stderr.lines().last().unwrap()).unwrap();
    let error = &error["error"];
    let repository = format!("{}/team/talk", registry.addr);
    let facts = serde_json::json!({
        "registry": registry.addr, "repository": repository, "name": "v2", "status": 404,
        "serverCodes": ["MANIFEST_UNKNOWN"],
    });
    assert_eq!(error["facts"], facts);
    let closed = Scripted::start(|_| reply(401, &[("www-authenticate", "Basic")], b""));
    let auth = serde_json::json!({ "auths": { closed.host(): { "auth": "YW5uOmNhbmFyeQ==" } } });
    world.write("auth.json", &auth.to_string());
    let ran = world.run(&format!("ls {}/a --auth-file auth.json --format json", closed.host()));
    let error: serde_json::Value = serde_json::from_str(ran.stderr.lines().last().unwrap()).unwrap();
    let error = &error["error"];
    assert_eq!(
        (&error["code"], &error["facts"]["credentials"]),
        (&"credentials-refused".into(), &"`auth.json`".into())
    );
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("the credentials from `auth.json` were refused: GET http://"), "{message}");
}
