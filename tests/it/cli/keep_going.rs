//! Copies of many artifacts, of which some cannot be copied.

use serde_json::Value;

use super::{Served, World, listing::edit};

/// Layout `all` with tags `a` to `e`: of `b` a blob is missing, of `d` one is damaged.
fn broken() -> World {
    let world = World::new();
    for tag in ["a", "b", "c", "d", "e"] {
        world.write("file", &format!("content of {tag}"));
        world.ok(&format!("push file oci:all:{tag} --type file-bundle"));
    }
    let blob = |tag: &str| {
        let digest = artifact::oci::Digest::of(format!("content of {tag}").as_bytes());
        world.path().join("all/blobs/sha256").join(digest.to_string().trim_start_matches("sha256:"))
    };
    std::fs::remove_file(blob("b")).unwrap();
    std::fs::write(blob("d"), "content of D").unwrap();
    world
}

fn failed(json: &Value) -> Vec<(&str, &str)> {
    let text = |one: &'_ Value, key: &str| one[key].as_str().unwrap().to_owned().leak() as &str;
    json["failed"].as_array().unwrap().iter().map(|one| (text(one, "location"), text(one, "message"))).collect()
}

#[test]
fn what_can_be_copied_is_copied_and_what_failed_is_listed() {
    let world = broken();
    let registry = Served::start(&world, "--writable");
    for to in ["oci:to".to_owned(), "oci-archive:to.tar".into(), format!("{}/to", registry.addr)] {
        let copied = world.run(&format!("copy --all-tags --keep-going oci:all {to}"));
        assert_eq!(copied.code, 3, "a damaged blob: {}", copied.stderr);
        assert_eq!(copied.stdout.lines().count(), 3);
        assert_eq!(world.ok(&format!("ls {to}")), "a\nc\ne\n");
        world.ok(&format!("check {to}"));
        for (tag, why) in [("b", "is not in oci:all"), ("d", "has digest sha256:")] {
            let said = copied.stderr.lines().any(|line| line.contains(&format!("oci:all:{tag}")));
            assert!(said && copied.stderr.contains(why), "{tag}: {}", copied.stderr);
        }
        assert!(copied.stderr.ends_with("2 of 5 artifacts failed\n"), "{}", copied.stderr);
    }
    let copied = world.run("copy --all-tags --keep-going oci:all oci:json --format json");
    let json: Value = serde_json::from_str(&copied.stdout).unwrap();
    let failed = failed(&json);
    assert_eq!((failed[0].0, failed[1].0, failed.len()), ("oci:all:b", "oci:all:d", 2));
    assert!(failed[0].1.contains("is not in oci:all"), "{failed:?}");
    assert_eq!((json["names"].as_array().unwrap().len(), copied.code), (3, 3));
}

#[test]
fn without_the_flag_the_first_failure_ends_the_copy_and_the_flag_is_named() {
    let world = broken();
    let copied = world.run("copy --all-tags oci:all oci:to");
    assert!([1, 3].contains(&copied.code), "{}", copied.stderr);
    assert!(copied.stderr.contains("hint: `--keep-going` copies the other artifacts"), "{}", copied.stderr);
    assert_eq!(world.ok("ls oci:to"), "");
    let one = world.run("copy oci:all:b oci:one:b");
    assert_eq!(one.code, 1, "content that is named and not there: {}", one.stderr);
    assert!(!one.stderr.contains("--keep-going"), "{}", one.stderr);
    let alone = world.run("copy oci:all:a oci:one --keep-going");
    assert!(alone.code == 2 && alone.stderr.contains("--all-tags"), "{}", alone.stderr);
}

#[test]
fn a_manifest_that_is_gone_from_an_index_is_one_failure() {
    let world = super::listing::with_platforms();
    world.ok("push talk oci:index:talk");
    let one = world.ok("copy oci:index:v1 oci:gone --platform linux/arm64").trim().replace("sha256:", "");
    std::fs::remove_file(world.path().join("index/blobs/sha256").join(&one)).unwrap();
    let copied = world.run("copy --all-tags --keep-going oci:index oci:to");
    assert_eq!((copied.code, world.ok("ls oci:to").as_str()), (1, "talk\n"), "{}", copied.stderr);
    assert!(copied.stderr.contains("error: copy oci:index:v1: "), "{}", copied.stderr);
    // Where all is damaged, nothing is written.
    world.fails("copy oci:index:v1 oci:none", 1, &[&one]);
}

#[test]
fn of_a_list_what_is_not_there_is_a_failure_of_its_own() {
    let world = broken();
    world.write("list", "oci:all:a\noci:all:zz\noci:nowhere:v1\noci:all:c -> oci:other:c\n");
    let copied = world.run("copy --list list oci:to --keep-going --format json");
    let json: Value = serde_json::from_str(&copied.stdout).unwrap();
    let failed = failed(&json);
    assert_eq!((failed[0].0, failed[1].0, copied.code), ("oci:nowhere:v1", "oci:all:zz", 4), "{failed:?}");
    assert_eq!((world.ok("ls oci:to").as_str(), world.ok("ls oci:other").as_str()), ("a\n", "c\n"));
    let ended = world.run("copy --list list oci:third");
    assert!(ended.code == 4 && ended.stderr.contains("hint: `--keep-going` copies"), "{}", ended.stderr);
    world.write("list", "oci:all:zz\noci:nowhere:v1\n");
    let none = world.run("copy --list list oci:fourth --keep-going");
    assert_eq!((none.code, none.stdout.as_str()), (4, ""), "{}", none.stderr);
    assert!(none.stderr.ends_with("2 of 2 artifacts failed\n"), "{}", none.stderr);
    assert!(!world.path().join("third").exists() && !world.path().join("fourth").exists());
}

#[test]
fn a_list_that_is_incomplete_is_a_failure_beside_the_tags_that_can_be_read() {
    let world = World::new();
    world.ok("push talk oci:root/good:v1");
    world.ok("push talk oci:root/bad:v1");
    edit(&world, "root/bad", |index| {
        index["manifests"].as_array_mut().unwrap().push(serde_json::json!({"mediaType": "x"}))
    });
    let copied = world.run("copy --all-tags --keep-going oci:root/bad oci:to");
    assert_eq!((copied.code, world.ok("ls oci:to").as_str()), (1, "v1\n"), "{}", copied.stderr);
    assert!(
        copied.stderr.contains("error: copy oci:root/bad: the list of oci:root/bad is incomplete"),
        "{}",
        copied.stderr
    );
    let served = Served::start(&world, "root");
    let all = format!("copy --repositories {} oci:all --retries 0", served.addr);
    let copied = world.run(&format!("{all} --keep-going"));
    assert_eq!(copied.code, 1, "{}", copied.stderr);
    assert!(copied.stderr.contains(&format!("copy {}/bad", served.addr)), "{}", copied.stderr);
    assert_eq!(world.ok("ls oci:all"), format!("{}/good:v1\n", served.addr));
    let ended = world.run(&all);
    assert!(ended.code == 1 && ended.stderr.contains("`--keep-going`"), "{}", ended.stderr);
}

#[test]
fn a_dry_run_says_what_would_fail() {
    let world = super::listing::with_platforms();
    world.ok("push talk oci:index:talk");
    let one = world.ok("copy oci:index:v1 oci:gone --platform linux/arm64").trim().replace("sha256:", "");
    std::fs::remove_file(world.path().join("index/blobs/sha256").join(&one)).unwrap();
    let planned = world.run("copy --all-tags --keep-going -n oci:index oci:to");
    assert!(planned.code == 1 && planned.stderr.ends_with("1 of 2 artifacts would fail\n"), "{}", planned.stderr);
    assert!(!world.path().join("to").exists());
}

#[test]
fn a_signal_stops_a_copy_that_goes_on_after_failures() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    for tag in ["a", "b"] {
        world.write("large", &tag.repeat(3 << 20));
        world.ok(&format!("push large {}/x:{tag} --type file-bundle", registry.addr));
    }
    let line = format!("copy --all-tags --keep-going --limit-rate 200K {}/x oci:to", registry.addr);
    let mut copy = world.command(&line).stderr(std::process::Stdio::null()).spawn().unwrap();
    while !world.path().join("to/index.json").exists() {
        assert!(copy.try_wait().unwrap().is_none(), "the copy ended before it wrote");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let kill = std::process::Command::new("sh").args(["-c", &format!("kill -TERM {}", copy.id())]).status();
    assert!(kill.unwrap().success());
    assert_eq!(copy.wait().unwrap().code(), Some(128 + 15));
    assert_eq!(world.ok("ls oci:to"), "");
}

#[test]
fn a_destination_that_cannot_be_opened_is_a_failure_of_what_goes_there() {
    let world = World::new();
    world.ok("push talk oci:from:a -q");
    world.ok("push talk oci:from:b -q --annotation n=b");
    world.write("file", "no layout");
    world.write("list", "oci:from:a -> oci:file:a\noci:from:b -> oci:good:b\n");
    let ended = world.run("copy --list list");
    assert!(ended.code == 1 && !world.path().join("good").exists(), "{}", ended.stderr);
    let copied = world.run("copy --list list --keep-going --format json");
    let json: serde_json::Value = serde_json::from_str(&copied.stdout).unwrap();
    assert_eq!((copied.code, &json["failed"][0]["location"]), (1, &"oci:from:a".into()), "{}", copied.stderr);
    assert_eq!(world.ok("ls oci:good"), "b\n");
}
