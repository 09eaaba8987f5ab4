//! What is said while a command works, and at its end.

use serde_json::{Value, json};

use super::{Ran, Served, World};

/// What stderr holds with `--format json`: one object a line, and nothing that a terminal acts on.
fn events(ran: &Ran) -> Vec<Value> {
    assert!(!ran.stderr.chars().any(|c| c.is_control() && c != '\n'), "{:?}", ran.stderr);
    ran.stderr.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn of<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

#[test]
fn short_work_without_a_terminal_is_told_in_one_line() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    for line in [
        format!("push talk {}/talk:v1", registry.addr),
        format!("pull {}/talk:v1 out", registry.addr),
        "copy oci:out oci:other".into(),
        "pull oci:out files --unpack".into(),
    ] {
        let ran = world.run(&line);
        // What the source was taken for comes before, and how to get files instead of a layout.
        let before = ["slideshow (directory): ", "this is an OCI layout; with `--unpack`"];
        let taken = ran.stderr.lines().filter(|line| before.iter().any(|start| line.starts_with(start))).count();
        let wanted = line.starts_with("push") || line.starts_with("pull") && !line.contains("--unpack");
        assert_eq!(taken, usize::from(wanted), "{line}: {}", ran.stderr);
        assert_eq!((ran.code, ran.stderr.lines().count()), (0, taken + 1), "{line}: {}", ran.stderr);
        // How long it took, and behind that a rate if it took long.
        assert!(ran.stderr.contains(" in ") && ran.stderr.contains(" s"), "{line}: {}", ran.stderr);
    }
}

#[test]
fn with_json_every_event_is_an_object_on_stderr_and_stdout_is_one_document() {
    let world = World::new();
    world.write("talk/slides.yaml", "title: x\nimages:\n- \"1.png\"\n- 2.png\n");
    let ran = world.run("push talk oci:out:v1 --format json");
    let events = events(&ran);
    assert_eq!(of(&events, "packing").len(), 1);
    let planned = of(&events, "planned")[0];
    let done = of(&events, "done");
    assert_eq!(planned["items"], done.len());
    assert_eq!(planned["bytes"], done.iter().map(|event| event["size"].as_u64().unwrap()).sum::<u64>());
    assert!(done.iter().all(|event| event["outcome"] == "moved"));
    let titles: Vec<&Value> = of(&events, "started").iter().map(|event| &event["title"]).collect();
    assert!(titles.contains(&&Value::from("2.png")), "{titles:?}");
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&document["resumed"], &document["retried"]), (&0.into(), &0.into()));
    assert!(document["seconds"].is_f64());
}

#[test]
fn names_in_events_are_data_and_do_not_talk_to_terminals() {
    let world = World::new();
    world.ok("push talk oci:out:v1");
    let hostile = "red\u{1b}[31m\u{9b}2J\u{202e}";
    let mut manifest: Value = serde_json::from_str(&world.ok("cat oci:out:v1")).unwrap();
    manifest["layers"][0]["annotations"]["org.opencontainers.image.title"] = hostile.into();
    let (manifest, media_type) = (manifest.to_string(), "application/vnd.oci.image.manifest.v1+json");
    let digest = artifact::oci::Digest::of(manifest.as_bytes());
    world.write(&format!("out/blobs/sha256/{}", digest.hex()), &manifest);
    let listed = json!({ "mediaType": media_type, "digest": digest, "size": manifest.len() });
    world.write("out/index.json", &json!({ "schemaVersion": 2, "manifests": [listed] }).to_string());
    let ran = world.run(&format!("copy oci:out@{digest} oci:a:v1 --format json"));
    let titles: Vec<Value> = of(&events(&ran), "started").iter().map(|event| event["title"].clone()).collect();
    assert!(titles.contains(&hostile.into()), "{titles:?}");
    let ran = world.run(&format!("copy oci:out@{digest} oci:b:v1 --verbose"));
    assert!(ran.stderr.contains("red\\u{1b}[31m\\u{9b}2J\\u{202e}"), "{}", ran.stderr);
    assert!(!ran.stderr.chars().any(|c| c.is_control() && c != '\n'), "{:?}", ran.stderr);
}

#[test]
fn waits_are_told_to_people_and_programs_and_counted_and_to_nobody_with_quiet() {
    let world = World::new();
    world.ok("push talk oci:stored:v1");
    world.write("busy.yaml", "faults: [{on: HEAD manifest, refuse: {status: 503, headers: {Retry-After: '1'}}}]");
    let busy = || Served::start(&world, "stored --faults busy.yaml");
    let registry = busy();
    let ran = world.run(&format!("pull {}/stored:v1 a", registry.addr));
    let (wait, told) = ran.stderr.trim_end().split_once('\n').unwrap();
    let (_, summary) = told.split_once('\n').unwrap();
    assert!(wait.starts_with("waiting 1 s: HEAD http://"), "{wait}");
    assert!(summary.contains(", 1 retry in "), "{summary}");

    let registry = busy();
    let ran = world.run(&format!("pull {}/stored:v1 b --format json", registry.addr));
    let events = events(&ran);
    assert_eq!(of(&events, "waiting")[0]["seconds"], 1.0);
    assert!(of(&events, "retry")[0]["why"].as_str().unwrap().contains("503"));
    assert_eq!(serde_json::from_str::<Value>(&ran.stdout).unwrap()["retried"], 1);

    let registry = busy();
    let ran = world.run(&format!("pull {}/stored:v1 c --quiet", registry.addr));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[test]
fn a_limit_holds_in_both_directions() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    world.write("big/blob", &"0123456789abcdef".repeat(6400));
    for line in [
        format!("push big {}/big:v1 --set layout=files", registry.addr),
        format!("pull {}/big:v1 out", registry.addr),
        format!("pull {}/big:v1 files --unpack", registry.addr),
    ] {
        let document: Value =
            serde_json::from_str(&world.ok(&format!("{line} --limit-rate 0.1M --format json"))).unwrap();
        // A quarter of a second may be made up for.
        assert!(document["seconds"].as_f64().unwrap() > 0.7, "{line}: {document}");
    }
}
