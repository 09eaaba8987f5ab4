//! How registries are reached and who we are there: flags, the environment, files.

use std::{
    fs::Permissions,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;

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
fn where_helm_would_push_is_told_to_who_writes_as_for_helm() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    world.write("web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n");
    let push = |place: &str| {
        let pushed = world.run(&format!("push web {place}"));
        assert_eq!(pushed.code, 0, "{}", pushed.stderr);
        pushed.stderr
    };
    let place = format!("{}/charts", registry.addr);
    let told = push(&format!("oci://{place}/web"));
    assert!(told.contains(&format!("this goes to {place}/web; Helm would push it to {place}/web/web")), "{told}");
    for unasked in [format!("oci://{place}"), format!("{place}/web")] {
        assert!(!push(&unasked).contains("Helm would"), "{unasked}");
    }
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

/// A registry that wants a password and takes any.
fn with_any_password() -> Scripted {
    Scripted::start(|request| match request.header("authorization") {
        "" => reply(401, &[("www-authenticate", "Basic")], b""),
        _ => reply(200, &[], br#"{"name":"a","tags":["v1"]}"#),
    })
}

#[test]
fn of_many_logins_at_a_time_none_is_lost_and_what_others_keep_there_stays() {
    let world = World::new();
    world.write("auth.json", r#"{"auths":{"old.test":{"auth":"eDp5"}},"psFormat":"table"}"#);
    let registries: Vec<Scripted> = (0..8).map(|_| with_any_password()).collect();
    let logins = registries.iter().map(|registry| {
        let line = format!("login {} -u ann --password-stdin --auth-file auth.json", registry.host());
        let mut child =
            world.command(&line).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"secret").unwrap();
        child
    });
    for mut login in logins.collect::<Vec<_>>() {
        assert!(login.wait().unwrap().success());
    }
    let config: Value = serde_json::from_slice(&std::fs::read(world.path().join("auth.json")).unwrap()).unwrap();
    assert_eq!((config["auths"].as_object().unwrap().len(), &config["psFormat"]), (9, &"table".into()));
    for registry in &registries {
        assert_eq!(config["auths"][registry.host()]["auth"], "YW5uOnNlY3JldA==");
    }
}

#[test]
fn a_credentials_file_that_others_can_read_is_warned_of_once() {
    let world = World::new();
    let registry = with_any_password();
    world.write("auth.json", &format!(r#"{{"auths":{{"{}":{{"auth":"eDp5"}}}}}}"#, registry.host()));
    let path = world.path().join("auth.json");
    for (mode, warnings) in [(0o644, 1), (0o640, 1), (0o600, 0)] {
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let ran = world.run(&format!("ls {}/a --auth-file auth.json", registry.host()));
        let warned = ran.stderr.matches("warning: other users can read the credentials in `auth.json`").count();
        assert_eq!((ran.code, warned), (0, warnings), "{mode:o}: {}", ran.stderr);
    }
}

#[test]
fn while_a_password_is_held_nothing_of_it_can_land_in_a_core_dump_and_helpers_leave_no_children() {
    let world = World::new();
    let registry = with_any_password();
    world.write("auth.json", r#"{"credsStore":"test"}"#);
    let script = "#!/bin/sh\n/bin/cat /proc/$PPID/limits > limits\n/bin/sleep 300 & echo $! > child\n\
        echo '{\"ServerURL\":\"HOST\",\"Username\":\"u\",\"Secret\":\"s\"}'\n";
    world.write("bin/docker-credential-test", &script.replace("HOST", registry.host()));
    let helper = world.path().join("bin/docker-credential-test");
    std::fs::set_permissions(&helper, Permissions::from_mode(0o755)).unwrap();
    let mut command = world.command(&format!("ls {}/a --auth-file auth.json", registry.host()));
    let listed = ran(command.env("PATH", world.path().join("bin")).output().unwrap());
    assert_eq!(listed.code, 0, "{}", listed.stderr);
    let limits = std::fs::read_to_string(world.path().join("limits")).unwrap();
    let core: Vec<&str> =
        limits.lines().find(|line| line.starts_with("Max core")).unwrap().split_whitespace().collect();
    assert_eq!(core[..5], ["Max", "core", "file", "size", "0"]);
    let child = std::fs::read_to_string(world.path().join("child")).unwrap();
    let state = format!("/proc/{}/stat", child.trim());
    while std::fs::read_to_string(&state).is_ok_and(|stat| !stat.contains(") Z ")) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_helper_that_is_missing_is_warned_of_and_the_rest_is_tried() {
    let world = World::new();
    let registry = with_any_password();
    world.write("auth.json", r#"{"credsStore":"gone"}"#);
    let refused = world.run(&format!("ls {}/a --auth-file auth.json", registry.host()));
    let warning = "warning: credentials in `auth.json`: the credential helper `docker-credential-gone` is not installed; going on";
    assert!(refused.code == 5 && refused.stderr.contains(warning), "{}", refused.stderr);
    let entry = format!(r#"{{"credsStore":"gone","auths":{{"{}":{{"auth":"eDp5"}}}}}}"#, registry.host());
    world.write("auth.json", &entry);
    std::fs::set_permissions(world.path().join("auth.json"), Permissions::from_mode(0o600)).unwrap();
    let listed = world.run(&format!("ls {}/a --auth-file auth.json", registry.host()));
    assert_eq!((listed.code, listed.stderr.matches("warning: ").count()), (0, 1), "{}", listed.stderr);
}

#[test]
fn the_content_of_a_credentials_file_may_come_in_a_variable() {
    let world = World::new();
    let registry = with_any_password();
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"eDp5"}}}}}}"#, registry.host());
    let mut command = world.command(&format!("ls {}/a", registry.host()));
    let listed = ran(command.env("DOCKER_AUTH_CONFIG", config).output().unwrap());
    assert_eq!((listed.code, listed.stdout.as_str()), (0, "v1\n"), "{}", listed.stderr);
    assert_eq!(registry.seen().last().unwrap().header("authorization"), "Basic eDp5");
}

#[test]
fn a_login_takes_a_registry_as_documentation_writes_it() {
    let world = World::new();
    let registry = with_any_password();
    for (given, key) in [
        ("HOST/", "HOST"),
        ("oci://HOST", "HOST"),
        ("docker://HOST/", "HOST"),
        ("HOST/group/sub", "HOST/group/sub"),
        ("oci://HOST/group", "HOST/group"),
    ] {
        let (given, key) = (given.replace("HOST", registry.host()), key.replace("HOST", registry.host()));
        let login = world.command(&format!("login {given} -u ann --password-stdin --auth-file auth.json"));
        assert_eq!(with_stdin(login, "secret").code, 0, "{given}");
        let config: Value = serde_json::from_slice(&std::fs::read(world.path().join("auth.json")).unwrap()).unwrap();
        assert!(config["auths"].get(&key).is_some(), "{given}: {config}");
        world.ok(&format!("logout {given} --auth-file auth.json"));
    }
    let bad = world.run("login https://us-docker.pkg.dev/Group -u ann --password-stdin");
    assert!(bad.code == 2 && bad.stderr.contains("is not a repository name"), "{}", bad.stderr);
}
