//! Deleting several tags: given, matching, all but the newest.

use serde_json::{Value, json};

use super::{Served, World};

/// Places with these tags, each another artifact.
fn places(world: &World, registry: &Served, tags: &[&str]) -> [String; 3] {
    let places = [format!("{}/app", registry.addr), "oci:app".into(), "oci-archive:app.tar".into()];
    for place in &places {
        for tag in tags {
            world.ok(&format!("push talk {place}:{tag} -a tag={tag}"));
        }
    }
    places
}

fn tags(world: &World, place: &str) -> String {
    world.ok(&format!("ls {place} --tags")).lines().collect::<Vec<_>>().join(" ")
}

#[test]
fn several_locations_are_deleted_and_what_is_not_there_is_told() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    for place in places(&world, &registry, &["a", "b", "c"]) {
        let ran = world.run(&format!("delete {place}:a {place}:none {place}:b {place}:a"));
        assert_eq!(ran.code, 4, "{}", ran.stderr);
        assert_eq!(tags(&world, &place), "c", "{}", ran.stderr);
        for said in [format!("deleted {place}:a\n"), format!("deleted {place}:b\n"), "1 of 3 artifacts failed".into()] {
            assert!(ran.stderr.contains(&said), "{said}: {}", ran.stderr);
        }
        let ran = world.run(&format!("rm {place}:c {place}:none --format json"));
        let json: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(json["artifacts"][0]["location"], format!("{place}:c"));
        assert_eq!((&json["failed"][0]["location"], ran.code), (&json!(format!("{place}:none")), 4));
    }
}

#[test]
fn a_manifest_is_deleted_with_its_tags_which_are_named() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    for place in places(&world, &registry, &["a", "b"]) {
        world.ok(&format!("tag {place}:a a2"));
        let digest = world.ok(&format!("resolve {place}:a")).trim().to_owned();
        let dry = world.run(&format!("delete {place}@{digest} -n"));
        assert!(dry.stderr.contains(&format!("would delete {place}@{digest}, and its tags a, a2")), "{}", dry.stderr);
        assert_eq!(tags(&world, &place), "a a2 b");
        let json = world.ok(&format!("delete {place}@{digest} {place}:a2 --format json"));
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["artifacts"][0]["tags"], json!(["a", "a2"]));
        assert_eq!(json["artifacts"][0]["reference"], format!("{place}@{digest}"));
        assert_eq!(tags(&world, &place), "b");
    }
}

#[test]
fn tags_that_match_are_deleted_and_the_newest_stay() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    let all = ["1.10.0", "1.9.0", "latest", "nightly-1", "nightly-2", "v1.8.0"];
    for place in places(&world, &registry, &all) {
        world.fails(&format!("delete {place} --keep 1 --yes"), 2, &["`1.10.0` is a version and `latest` is not"]);
        let dry = world.run(&format!("delete {place} --filter *.*.* --keep 2 -n"));
        assert!(dry.stderr.contains(&format!("would delete {place}:v1.8.0")), "{}", dry.stderr);
        assert!(dry.stderr.contains("2 tags kept, the newest by version"), "{}", dry.stderr);
        assert_eq!(tags(&world, &place), all.join(" "));
        world.ok(&format!("delete {place} --filter *.*.* --keep 2 --yes"));
        assert_eq!(tags(&world, &place), "1.10.0 1.9.0 latest nightly-1 nightly-2");
        let by_name = world.run(&format!("delete {place} --filter nightly-* --keep 1 --yes"));
        assert!(by_name.stderr.contains("1 tag kept, the newest by name"), "{}", by_name.stderr);
        assert_eq!(tags(&world, &place), "1.10.0 1.9.0 latest nightly-2");
        let none = world.run(&format!("delete {place} --filter none --yes"));
        assert!(none.code == 0 && none.stderr.contains("nothing to delete: no tag matches"), "{}", none.stderr);
        world.ok(&format!("delete {place} --filter {{latest,nightly*}} --yes"));
        assert_eq!(tags(&world, &place), "1.10.0 1.9.0");
    }
}

#[test]
fn whole_stores_are_not_emptied_without_being_asked_for() {
    let world = World::new();
    world.ok("push talk oci:app:v1");
    for flags in ["--filter *", "--keep 1"] {
        world.fails(&format!("delete oci:app {flags}"), 2, &["`--yes`", "`--dry-run`"]);
        world.fails(&format!("delete oci:app:v1 {flags} --yes"), 2, &["names one artifact"]);
    }
    world.fails("delete oci:app", 2, &["`--filter GLOB`"]);
    world.fails("delete oci:app --yes", 2, &["has no tag or digest"]);
    assert_ne!(world.run("delete oci:app --keep 0 --yes").code, 0);
    world.fails("delete oci:none --filter * --yes", 4, &["oci:none"]);
    assert_eq!(world.ok("ls oci:app"), "v1\n");
}

#[test]
fn tags_that_hold_referrers_do_not_match() {
    let world = World::new();
    let digest = world.ok("push talk oci:app:1.0.0 -q");
    let [signature, ..] = artifact::oci::Tag::companions_of(&digest.trim().parse().unwrap());
    world.ok(&format!("push talk/1.png oci:app:{signature}"));
    let ran = world.run("delete oci:app --keep 1 --yes");
    assert!(ran.code == 0 && ran.stderr.contains("no more tags match than are kept"), "{}", ran.stderr);
    world.ok("delete oci:app --filter * --yes");
    assert_eq!(tags(&world, "oci:app"), signature.to_string());
}

#[test]
fn a_list_of_which_a_part_cannot_be_read_decides_nothing() {
    let world = World::new();
    world.ok("push talk oci:app:1.0.0");
    super::listing::edit(&world, "app", |index| {
        index["manifests"].as_array_mut().unwrap().push(json!({"mediaType": "x"}));
    });
    world.fails(
        "delete oci:app --filter * --yes",
        1,
        &["cannot tell which tags to delete", "the list of oci:app is incomplete"],
    );
    world.fails("resolve oci:app:^1", 1, &["cannot tell which tag of oci:app is the newest"]);
    assert!(world.run("ls oci:app --tags").stdout.contains("1.0.0"));
}

#[test]
fn a_tag_that_the_registry_does_not_tell_about_is_warned_of() {
    let world = World::new();
    for tag in ["a", "b", "c"] {
        world.ok(&format!("push talk oci:stored:{tag} -q"));
    }
    let digest = world.ok("resolve oci:stored:a").trim().to_owned();
    world.write("silent.yaml", "faults: [{on: GET|HEAD /manifests/b, nth: all, refuse: {status: 403}}]");
    let registry = Served::start(&world, "stored --faults silent.yaml");
    let dry = world.run(&format!("delete {}/stored@{digest} -n --retries 0", registry.addr));
    assert!(dry.stderr.contains("and its tags a, c"), "{}", dry.stderr);
    assert!(dry.stderr.contains("warning: cannot tell whether b goes with"), "{}", dry.stderr);
}

#[test]
fn one_layout_under_two_spellings_is_one() {
    let world = World::new();
    for tag in ["1.0.0", "1.1.0"] {
        world.ok(&format!("push talk oci:d:{tag} -q"));
    }
    let deleted = world.run("delete oci:d:1.0.0 oci:./d:1.0.0");
    assert_eq!(deleted.code, 0, "{}", deleted.stderr);
    assert_eq!(world.ok("ls oci:d --tags"), "1.1.0\n");
}

/// The names of what cosign keeps about an artifact, and one of its own referrer.
struct Signed {
    image: String,
    kept: [String; 3],
    note: String,
}

/// An image with all that cosign keeps about one, the signature signed, and a note attached.
fn signed(world: &World, place: &str) -> Signed {
    let image = world.ok(&format!("push talk {place}:v1 -q")).trim().to_owned();
    let kept = artifact::oci::Tag::companions_of(&image.parse().unwrap()).map(|tag| tag.to_string());
    for tag in &kept {
        world.ok(&format!("push talk/1.png {place}:{tag} -a kept={tag}"));
    }
    let signature = world.ok(&format!("resolve {place}:{}", kept[0])).trim().replace(':', "-");
    world.ok(&format!("push talk/2.png {place}:{signature}.sig -a of=signature"));
    let note = world.ok(&format!("attach {place}:v1 talk/2.png -q")).trim().to_owned();
    Signed { image, kept, note }
}

#[test]
fn what_cosign_keeps_about_a_manifest_goes_with_it() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    for place in [format!("{}/app", registry.addr), "oci:app".into(), "oci-archive:app.tar".into()] {
        let Signed { image, kept, note } = signed(&world, &place);
        let before = tags(&world, &place);
        let dry = world.run(&format!("delete {place}@{image} -n"));
        for tag in &kept {
            let said = format!("would delete {place}:{tag}, which cosign keeps about it\n");
            assert!(dry.stderr.contains(&said), "{place}: {}", dry.stderr);
        }
        assert_eq!(tags(&world, &place), before);
        let json = world.ok(&format!("delete {place}@{image} --format json"));
        let json: Value = serde_json::from_str(&json).unwrap();
        // With the signature of the signature.
        assert_eq!(json["related"].as_array().unwrap().len(), 4, "{json}");
        assert_eq!(json["left"], json!([format!("{place}@{note}")]), "{place}");
        assert_eq!(world.run(&format!("ls {place} --tags")).stdout, "");
    }
}

/// A registry that removes manifests by their digests only, as docker-registry does.
#[test]
fn where_tags_cannot_be_removed_the_tag_that_stays_is_told() {
    let world = World::new();
    world.write("no-tags.yaml", "faults: [{on: DELETE /manifests/sha256-, nth: all, refuse: {status: 405}}]");
    let registry = Served::start(&world, "--writable --faults no-tags.yaml");
    let place = format!("{}/app", registry.addr);
    let Signed { image, kept, .. } = signed(&world, &place);
    // Of the signature, the tag would go alone: its manifest has another name.
    world.ok(&format!("tag {place}:{} mine", kept[0]));
    let deleted = world.run(&format!("delete {place}@{image}"));
    assert_eq!(deleted.code, 1, "{}", deleted.stderr);
    assert!(deleted.stderr.contains(&format!("deleted {place}@{image}, and its tag v1")), "{}", deleted.stderr);
    assert!(deleted.stderr.contains(&format!("in: delete {place}:{}\n", kept[0])), "{}", deleted.stderr);
    assert!(deleted.stderr.contains("cannot remove single tags"), "{}", deleted.stderr);
    // The signature that stays keeps its own.
    let left = tags(&world, &place);
    assert_eq!(left.split(' ').count(), 3, "{left}");
    assert!(left.starts_with("mine ") && left.contains(&kept[0]) && !left.contains(&kept[1]), "{left}");
}

#[test]
fn referrers_that_cannot_be_listed_do_not_keep_what_cosign_keeps() {
    let world = World::new();
    world.write("no-list.yaml", "faults: [{on: GET referrers, nth: all, refuse: {status: 500}}]");
    let registry = Served::start(&world, "--writable --faults no-list.yaml");
    let place = format!("{}/app", registry.addr);
    let image = world.ok(&format!("push talk {place}:v1 -q")).trim().to_owned();
    let [signature, ..] = artifact::oci::Tag::companions_of(&image.parse().unwrap());
    world.ok(&format!("push talk/1.png {place}:{signature}"));
    let deleted = world.run(&format!("delete {place}@{image} --retries 0"));
    assert!(deleted.stderr.contains("warning: cannot list the remaining referrers"), "{}", deleted.stderr);
    assert!(deleted.stderr.contains(&format!("deleted {place}:{signature}")), "{}", deleted.stderr);
}
