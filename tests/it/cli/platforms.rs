//! Several platforms of an index in one copy.

use serde_json::{Value, json};

use super::{World, listing::with_platforms};

/// An index of three platforms under `oci:index:v1`.
fn with_three() -> World {
    let world = with_platforms();
    world.write("programs/linux-s390x/tool", "for s390x");
    world.ok("push programs oci:index:v1 --type multi-platform");
    world
}

fn platforms(world: &World, location: &str) -> Vec<String> {
    let json: Value = serde_json::from_str(&world.ok(&format!("inspect {location} --format json"))).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let platform = |child: &Value| text(&child["platform"]["architecture"]);
    json["children"].as_array().unwrap().iter().map(platform).collect()
}

#[test]
fn platforms_are_repeated_or_separated_by_commas_and_the_new_index_is_told() {
    let world = with_three();
    let old = world.ok("inspect oci:index:v1 -q").trim().to_owned();
    world.ok("attach oci:index:v1 talk/1.png");
    let mut new = std::collections::BTreeSet::new();
    for (n, line) in [
        "copy oci:index:v1 {} --platform linux/amd64 --platform linux/arm64",
        "copy oci:index:v1 {} --platform linux/aarch64,linux/amd64",
        "pull oci:index:v1 {} --platform linux/amd64,linux/arm64 --referrers",
    ]
    .into_iter()
    .enumerate()
    {
        let to = format!("oci:to{n}:v1");
        let copied = world.run(&line.replace("{}", &to));
        assert_eq!(copied.code, 0, "{}", copied.stderr);
        let digest = copied.stdout.trim().to_owned();
        let becomes = format!("index {old} becomes {digest} with 2 members; left out: linux/s390x");
        assert!(copied.stderr.contains(&becomes), "{}", copied.stderr);
        let stays = format!("warning: 1 referrer of {old} stays behind: it does not apply to {digest}");
        assert!(copied.stderr.contains(&stays), "{}", copied.stderr);
        assert_eq!(platforms(&world, &to), ["amd64", "arm64"]);
        assert_eq!(world.ok(&format!("inspect {to} -q")).trim(), digest);
        world.ok(&format!("check {to}"));
        new.insert(digest);
    }
    assert_eq!(new.len(), 1, "{new:?}");
    for line in ["copy oci:index:v1 oci:quiet:v1 --no-referrers", "pull oci:index:v1 without"] {
        let quiet = world.run(&format!("{line} --platform linux/amd64,linux/arm64"));
        assert!(quiet.code == 0 && !quiet.stderr.contains("stays behind"), "{line}: {}", quiet.stderr);
    }
}

#[test]
fn a_new_index_is_in_json_and_in_a_dry_run() {
    let world = with_three();
    let old = world.ok("inspect oci:index:v1 -q").trim().to_owned();
    for flags in ["-n", ""] {
        let line = format!("copy oci:index:v1 oci:to --platform linux/amd64,linux/s390x --format json {flags}");
        let json: Value = serde_json::from_str(&world.ok(&line)).unwrap();
        let made = &json["indexes"][0];
        assert_eq!((&made["from"], &made["to"]), (&json!(old), &json["digest"]));
        assert_eq!((&made["members"], &made["referrersLeft"]), (&json!(2), &json!(0)));
        assert_eq!(made["leftOut"][0]["platform"]["architecture"], "arm64");
        assert_eq!((&json["names"][0]["name"], &json["names"][0]["to"]), (&json!("v1"), &made["to"]));
    }
    let all = "copy oci:index:v1 oci:all --platform linux/amd64,linux/s390x,linux/arm64 --format json";
    let json: Value = serde_json::from_str(&world.ok(all)).unwrap();
    assert_eq!((&json["digest"], &json["indexes"]), (&json!(old), &Value::Null));
}

#[test]
fn a_platform_that_is_not_there_ends_the_copy_before_anything_is_written() {
    let world = with_three();
    let words = ["no manifest for platform windows/amd64 in", "linux/amd64, linux/arm64, linux/s390x"];
    for line in ["copy oci:index:v1 oci:to", "pull oci:index:v1 to"] {
        world.fails(&format!("{line} --platform linux/amd64,windows/amd64"), 4, &words);
    }
    assert!(!world.path().join("to").exists());
    for (flags, word) in
        [("--platform linux/amd64,linux/arm64", "one platform"), ("--no-attestations", "does not apply to `--unpack`")]
    {
        world.fails(&format!("pull oci:index:v1 files --unpack {flags}"), 2, &[word]);
    }
    assert!(!world.path().join("files").exists());
}

#[test]
fn platforms_of_every_tag_are_taken() {
    let world = with_three();
    world.ok("tag oci:index:v1 v2");
    world.ok("push talk oci:index:talk");
    world.ok("copy --all-tags oci:index oci:to --platform linux/amd64,linux/arm64");
    assert_eq!(world.ok("ls oci:to"), "talk\nv1\nv2\n");
    assert_eq!(platforms(&world, "oci:to:v2"), ["amd64", "arm64"]);
    world.write("list", "oci:index:v1 -> oci:one:a\noci:index:v2 -> oci:two:b\n");
    let json: Value =
        serde_json::from_str(&world.ok("copy --list list --platform linux/arm64,linux/amd64 --format json")).unwrap();
    assert_eq!(json["indexes"].as_array().unwrap().len(), 1, "one index for two names");
    assert_eq!(platforms(&world, "oci:one:a"), platforms(&world, "oci:two:b"));
}
