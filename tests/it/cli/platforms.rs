//! Several platforms of an index in one copy.

use serde_json::{Value, json};

use super::{Served, World, listing::with_platforms};

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
        "copy oci:index:v1 {} --new-index --platform linux/amd64 --platform linux/arm64",
        "copy oci:index:v1 {} --new-index --platform linux/aarch64,linux/amd64",
        "pull oci:index:v1 {} --new-index --platform linux/amd64,linux/arm64 --referrers",
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
        let quiet = world.run(&format!("{line} --new-index --platform linux/amd64,linux/arm64"));
        assert!(quiet.code == 0 && !quiet.stderr.contains("stays behind"), "{line}: {}", quiet.stderr);
    }
}

#[test]
fn a_new_index_is_in_json_and_in_a_dry_run() {
    let world = with_three();
    let old = world.ok("inspect oci:index:v1 -q").trim().to_owned();
    for flags in ["-n", ""] {
        let line =
            format!("copy oci:index:v1 oci:to --new-index --platform linux/amd64,linux/s390x --format json {flags}");
        let json: Value = serde_json::from_str(&world.ok(&line)).unwrap();
        let made = &json["indexes"][0];
        assert_eq!((&made["from"], &made["to"]), (&json!(old), &json["digest"]));
        assert_eq!((&made["members"], &made["referrersLeft"]), (&json!(2), &json!(0)));
        assert_eq!(made["leftOut"][0]["platform"]["architecture"], "arm64");
        assert_eq!((&json["names"][0]["name"], &json["names"][0]["to"]), (&json!("v1"), &made["to"]));
    }
    let all = "copy oci:index:v1 oci:all --new-index --platform linux/amd64,linux/s390x,linux/arm64 --format json";
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
    for (flags, word) in [
        ("--platform linux/amd64,linux/arm64", "one platform"),
        ("--no-attestations", "does not apply to `--unpack`"),
        ("--platform linux/amd64 --new-index", "does not apply to `--unpack`"),
    ] {
        world.fails(&format!("pull oci:index:v1 files --unpack {flags}"), 2, &[word]);
    }
    assert!(!world.path().join("files").exists());
}

#[test]
fn platforms_of_every_tag_are_taken() {
    let world = with_three();
    world.ok("tag oci:index:v1 v2");
    world.ok("push talk oci:index:talk");
    world.ok("copy --all-tags oci:index oci:new --new-index --platform linux/amd64,linux/arm64");
    assert_eq!(world.ok("ls oci:new"), "talk\nv1\nv2\n");
    assert_eq!(platforms(&world, "oci:new:v2"), ["amd64", "arm64"]);
    world.write("list", "oci:index:v1 -> oci:one:a\noci:index:v2 -> oci:two:b\n");
    for (flags, key, other) in [("--new-index", "indexes", "partial"), ("", "partial", "indexes")] {
        let line = format!("copy --list list {flags} --platform linux/arm64,linux/amd64 --format json");
        let json: Value = serde_json::from_str(&world.ok(&line)).unwrap();
        assert_eq!((json[key].as_array().unwrap().len(), &json[other]), (1, &Value::Null), "one index for two names");
        assert_eq!(platforms(&world, "oci:one:a"), platforms(&world, "oci:two:b"));
    }
    world.ok("copy --all-tags oci:index oci:same --platform linux/amd64,linux/arm64");
    assert_eq!(world.ok("inspect oci:same:v2 -q"), world.ok("inspect oci:index:v1 -q"));
    world.ok("check oci:same");
}

#[test]
fn an_index_keeps_its_digest_and_what_refers_to_it_and_the_rest_is_told() {
    let world = with_three();
    world.ok("attach oci:index:v1 talk/1.png");
    let digest = world.ok("inspect oci:index:v1 -q");
    for (n, line) in ["copy oci:index:v1 {}", "pull oci:index:v1 {} --referrers"].into_iter().enumerate() {
        for to in [format!("oci:to{n}:v1"), format!("oci-archive:to{n}.tar:v1")] {
            let copied = world.run(&format!("{} --platform linux/amd64,linux/arm64", line.replace("{}", &to)));
            assert_eq!((copied.code, &copied.stdout), (0, &digest), "{}", copied.stderr);
            let told = format!("index {} keeps its digest, with 2 of 3 members; left out: linux/s390x", digest.trim());
            assert!(copied.stderr.contains(&told), "{}", copied.stderr);
            let json: Value = serde_json::from_str(&world.ok(&format!("inspect {to} --format json"))).unwrap();
            assert_eq!(
                (json["referrers"].as_array().unwrap().len(), &json["leftOut"][0]),
                (1, &json["children"][2]["digest"])
            );
            assert!(world.ok(&format!("inspect {to}")).contains("linux/s390x (left out)"));
            let checked = world.run(&format!("check {to}"));
            assert!(checked.code == 0 && checked.stdout.contains("`linux/s390x` was left out"), "{}", checked.stdout);
            let absent = ["no manifest for platform linux/s390x in", "available: linux/amd64, linux/arm64"];
            for line in [format!("pull {to} out --unpack"), format!("pull {to} oci:out"), format!("copy {to} oci:out")]
            {
                world.fails(&format!("{line} --platform linux/s390x"), 4, &absent);
            }
        }
    }
    let line = "copy oci:index:v1 oci:json --platform linux/amd64,linux/arm64 --format json";
    for (flags, dry) in [("-n", true), ("", false)] {
        let json: Value = serde_json::from_str(&world.ok(&format!("{line} {flags}"))).unwrap();
        let partial = &json["partial"][0];
        assert_eq!((&partial["digest"], &partial["members"]), (&json!(digest.trim()), &json!(2)));
        assert_eq!(partial["leftOut"][0]["platform"]["architecture"], "s390x");
        assert_eq!((&json["indexes"], world.path().join("json").exists()), (&Value::Null, !dry));
    }
}

#[test]
fn a_copy_of_all_that_is_not_there_says_what_is() {
    let world = with_three();
    world.ok("copy oci:index:v1 oci:part:v1 --platform linux/amd64,linux/arm64");
    let ran = world.run("copy oci:part:v1 oci:on:v1");
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    for words in ["lacks members of sha256:", ": linux/s390x (sha256:", "); there are: linux/amd64,linux/arm64"] {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
    assert!(ran.stderr.contains("hint: `--platform linux/amd64,linux/arm64` copies what is there"), "{}", ran.stderr);
    world.ok("copy oci:part:v1 oci:on:v1 --platform linux/amd64,linux/arm64");
    let words = ["lacks members of", ": linux/s390x (sha256:", "); there are: linux/amd64,linux/arm64"];
    world.fails("copy oci:part:v1 oci:other:v1 --platform linux/amd64,linux/s390x", 4, &words);
    // What comes later is added, until it is whole.
    world.ok("copy oci:index:v1 oci:on:v1 --platform linux/amd64,linux/s390x");
    assert_eq!(world.run("check oci:on").stdout, world.run("check oci:index").stdout);
    world.ok("copy oci:on:v1 oci:whole:v1");
    world.ok("check oci:whole");
}

#[test]
fn a_new_index_needs_something_that_it_leaves_out() {
    let world = with_three();
    for line in ["copy oci:index:v1 oci:to", "pull oci:index:v1 to"] {
        let ran = world.run(&format!("{line} --new-index"));
        assert!(ran.code == 2 && ran.stderr.contains("--no-attestations"), "{}", ran.stderr);
    }
    for flags in ["--no-attestations", "--platform linux/arm64", "--platform linux/arm64,linux/amd64 --no-attestations"]
    {
        world.ok(&format!("copy oci:index:v1 oci:to --new-index {flags}"));
    }
}

#[test]
fn a_registry_that_refuses_an_index_in_part_is_named_before_any_name_moves() {
    let world = with_three();
    let digest = world.ok("inspect oci:index:v1 -q").trim().to_owned();
    // cosign keeps a signature under a tag, which comes before that of the index.
    world.ok(&format!("copy oci:index:v1 oci:index:{} --platform linux/amd64", digest.replace(':', "-") + ".sig"));
    let served = Served::start(&world, "--writable");
    world.ok(&format!("push talk {}/a:v1", served.addr));
    let before = world.ok(&format!("ls {}/a", served.addr));
    let line = format!("copy oci:index:v1 {}/a:v1 --platform linux/amd64,linux/arm64", served.addr);
    let ran = world.run(&line);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    for words in [&*format!("{}/a takes an index with all its members only", served.addr), "`--new-index`"] {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
    assert_eq!(world.ok(&format!("ls {}/a", served.addr)), before, "{}", ran.stderr);
    assert_ne!(world.ok(&format!("inspect {}/a:v1 -q", served.addr)).trim(), digest);
    world.ok(&format!("{line} --new-index"));
    assert_ne!(world.ok(&format!("inspect {}/a:v1 -q", served.addr)).trim(), digest);
    // Where the other members are, the index is taken as it is.
    world.ok(&format!("copy oci:index:v1 {}/a --platform linux/s390x", served.addr));
    world.ok(&line);
    assert_eq!(world.ok(&format!("inspect {}/a:v1 -q", served.addr)).trim(), digest);
}

#[test]
fn a_layout_serves_an_index_in_part() {
    let world = with_three();
    world.ok("attach oci:index:v1 talk/1.png");
    world.ok("copy oci:index:v1 oci:part:v1 --platform linux/amd64,linux/arm64");
    let served = Served::start(&world, "part");
    let from = format!("{}/part:v1", served.addr);
    assert_eq!(world.ok(&format!("inspect {from} -q")), world.ok("inspect oci:index:v1 -q"));
    world.ok(&format!("copy {from} oci:one:v1 --platform linux/arm64"));
    world.ok(&format!("copy {from} oci:on:v1 --platform linux/arm64,linux/amd64"));
    let json: Value = serde_json::from_str(&world.ok("inspect oci:on:v1 --format json")).unwrap();
    assert_eq!(json["referrers"].as_array().unwrap().len(), 1);
    let words = [": linux/s390x (sha256:", "); there are: linux/amd64,linux/arm64"];
    world.fails(&format!("copy {from} oci:all:v1"), 1, &words);
}
