//! How registries are reached and who we are there: flags, the environment, files.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use super::{Ran, Served, World, ran};
use crate::support::scripted::{Scripted, reply};

fn with_stdin(mut command: Command, text: &str) -> Ran {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    ran(child.wait_with_output().unwrap())
}

#[test]
fn a_mirror_is_read_from_and_never_written_to() {
    let world = World::new();
    let (origin, mirror) = (Served::start(&world, "--writable"), Served::start(&world, "--writable"));
    let config = format!("\"{}\": {{mirrors: [{{location: \"{}/m\", names: true}}]}}", origin.addr, mirror.addr);
    world.write("hosts.yaml", &config);
    world.ok(&format!("push talk/slides.yaml {}/a:v1 --config hosts.yaml", origin.addr));
    assert_eq!(world.ok(&format!("ls {}", mirror.addr)), "");
    world.ok(&format!("push talk/slides.yaml {}/m/a:v2 --annotation x=y", mirror.addr));
    assert_eq!(world.ok(&format!("ls {}/a", origin.addr)), "v1\n");
    assert_eq!(world.ok(&format!("ls {}/a --config hosts.yaml", origin.addr)), "v2\n");
    world.ok(&format!("pull {}/a:v2 layout --config hosts.yaml", origin.addr));
    world.ok(&format!("pull {}/a:v1 layout --config hosts.yaml", origin.addr));
}

#[test]
fn a_credentials_file_that_is_named_must_be_there_unless_login_makes_it() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    world.fails(&format!("ls {}/a --auth-file gone.json", registry.addr), 2, &["`gone.json` does not exist"]);
    world.fails(&format!("copy {}/a oci:x --from-auth-file gone.json", registry.addr), 2, &["`gone.json`"]);
    let login = world.command(&format!("login {} -u ann --password-stdin --auth-file new.json", registry.addr));
    let login = with_stdin(login, "secret\n");
    assert_eq!(login.code, 0, "{}", login.stderr);
    assert!(world.path().join("new.json").is_file());
    world.ok(&format!("push talk/slides.yaml {}/a:v1 --auth-file new.json", registry.addr));
}

#[test]
fn a_user_that_is_named_is_sent_when_the_registry_asks_and_never_shown() {
    let world = World::new();
    let registry = Scripted::start(|request| match request.header("authorization") {
        "" => reply(401, &[("www-authenticate", "Basic")], b""),
        // `ann:secret-canary`
        "Basic YW5uOnNlY3JldC1jYW5hcnk=" => reply(200, &[], br#"{"name":"a","tags":["v1"]}"#),
        _ => reply(403, &[], b""),
    });
    let line = format!("ls {}/a -u ann --password-stdin", registry.host());
    let listed = with_stdin(world.command(&line), "secret-canary\n");
    assert_eq!((listed.code, listed.stdout.as_str()), (0, "v1\n"), "{}", listed.stderr);
    let refused = with_stdin(world.command(&line), "other-canary\n");
    assert!(refused.code == 5 && !refused.stderr.contains("canary"), "{}", refused.stderr);
    let asked = with_stdin(world.command(&format!("ls {}/a -u ann", registry.host())), "");
    assert!(asked.stderr.contains("--password-stdin"), "{}", asked.stderr);
    for line in [
        "ls x.test/a --password-stdin",
        "copy x.test/a y.test/a -u x --password-stdin --to-username y --to-password-stdin",
        "copy x.test/a y.test/a --from-username x --from-password-stdin --to-username y --to-password-stdin",
    ] {
        assert_eq!(world.run(line).code, 2, "{line}");
    }
}

#[test]
fn what_a_registry_refuses_for_good_ends_with_5_and_has_advice() {
    let world = World::new();
    for (on, status, code, advice) in [
        ("PUT manifest", 409, "TAG_IMMUTABLE", "choose another tag"),
        ("POST upload", 403, "DENIED", "artifact login"),
        ("PUT upload", 413, "QUOTA_EXCEEDED", "larger quota"),
    ] {
        let body = format!(r#"{{"errors":[{{"code":"{code}"}}]}}"#);
        let refuse = format!("{{status: {status}, body: '{body}'}}");
        world.write("day.yaml", &format!("faults: [{{on: {on}, nth: all, refuse: {refuse}}}]"));
        let registry = Served::start(&world, "--writable --faults day.yaml");
        let ran = world.run(&format!("push talk/slides.yaml {}/a:v1", registry.addr));
        assert!(ran.code == 5 && ran.stderr.contains(code) && ran.stderr.contains(advice), "{}", ran.stderr);
        assert!(!ran.stderr.contains("waiting"), "{}", ran.stderr);
    }
}

#[test]
fn the_proxy_of_the_environment_is_used_and_its_failures_have_advice() {
    let world = World::new();
    let proxy = Scripted::start(|_| reply(200, &[], br#"{"name":"a","tags":["v1"]}"#));
    let run = |line: &str, name: &str, value: &str| ran(world.command(line).env(name, value).output().unwrap());
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        let listed = run("ls registry.test:5000/a --plain-http", name, proxy.host());
        assert_eq!((listed.code, listed.stdout.as_str()), (0, "v1\n"), "{name}: {}", listed.stderr);
    }
    assert_eq!(proxy.lines()[0], "GET http://registry.test:5000/v2/a/tags/list?n=1000");
    for (value, words) in [
        (format!("http://ann:canary@{}", proxy.host()), ["answered in place of the host", "captive portal"]),
        ("socks5://ann:canary@x".into(), ["`socks5://`", "HTTP proxy"]),
    ] {
        let refused = run("ls registry.test/a --retries 0", "HTTPS_PROXY", &value);
        assert!(words.iter().all(|word| refused.stderr.contains(word)), "{}", refused.stderr);
        assert!(!refused.stderr.contains("canary"), "{}", refused.stderr);
    }
}
