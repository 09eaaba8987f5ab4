//! Ranges of versions in place of a tag: where they are read, and where they are refused.

use serde_json::Value;

use super::{Served, World};

/// The places that hold the same artifacts under the tags 1.2.0, v1.4.0, 2.0.0-rc.1 and latest, each tag another one.
fn places(world: &World, registry: &Served) -> [String; 3] {
    let places = [format!("{}/app", registry.addr), "oci:app".into(), "oci-archive:app.tar".into()];
    for (n, tag) in ["1.2.0", "v1.4.0", "2.0.0-rc.1", "latest"].into_iter().enumerate() {
        for place in &places {
            world.ok(&format!("push talk {place}:{tag} -a n={n} -q"));
        }
    }
    places
}

#[test]
fn every_command_that_reads_takes_a_range_and_says_which_tag_it_is() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    for (n, place) in places(&world, &registry).iter().enumerate() {
        let digest = world.ok(&format!("resolve {place}:v1.4.0"));
        for line in [
            "resolve FROM",
            "inspect FROM -q",
            "copy FROM oci:copied",
            &format!("pull FROM pulled-{n}"),
            &format!("pull FROM files-{n} --unpack"),
            &format!("tag FROM stable-{n}"),
        ] {
            let ran = world.run(&line.replace("FROM", &format!("{place}:^1.2")));
            assert_eq!((ran.stdout.as_str(), ran.code), (digest.as_str(), 0), "{line}: {}", ran.stderr);
            let said = ran.stderr.contains(&format!("{place}:^1.2 is v1.4.0\n"));
            assert!(said != line.contains("-q"), "{line}: {}", ran.stderr);
        }
        assert_eq!(world.ok("ls oci:copied"), "v1.4.0\n");
        assert_eq!(world.ok(&format!("ls oci:pulled-{n}")), "v1.4.0\n");
        let manifest = world.ok(&format!("cat {place}:v1.4.0"));
        assert_eq!(world.ok(&format!("cat {place}:1.x")), manifest);
        assert_eq!(world.ok(&format!("manifest get {place}:>=1,<2")), manifest);
        world.ok(&format!("check {place}:~1.4"));
        let attached = world.run(&format!("attach {place}:^1 talk/1.png"));
        assert!(attached.stderr.contains(&format!("attached to {place}@{}", digest.trim())), "{}", attached.stderr);
        let json: Value = serde_json::from_str(&world.ok(&format!("inspect {place}:^1 --format json"))).unwrap();
        assert_eq!(json["location"], format!("{place}:v1.4.0"));
        let rc = world.ok(&format!("resolve {place}:2.0.0-rc.1"));
        assert_eq!(world.ok(&format!("resolve {place}:>=2.0.0-rc.1")), rc);
    }
}

#[test]
fn a_range_that_no_tag_is_in_is_not_found_and_the_newest_are_named() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    for place in places(&world, &registry) {
        let words = ["is in the range ^2", "the newest are `2.0.0-rc.1`, `v1.4.0`, `1.2.0`"];
        for line in ["pull FROM x", "pull FROM x --unpack", "copy FROM oci:x", "resolve FROM", "tag FROM x"] {
            world.fails(&line.replace("FROM", &format!("{place}:^2")), 4, &words);
        }
        assert!(!world.path().join("x").exists());
    }
}

#[test]
fn what_is_written_or_deleted_has_no_range() {
    let world = World::new();
    world.ok("push talk oci:app:1.0.0");
    let before = world.ok("ls oci:app");
    for line in [
        "push talk oci:app:^1",
        "copy oci:app:1.0.0 oci:app:^1",
        "copy oci:app:1.0.0 oci:other:*",
        "delete oci:app:^1",
        "manifest push oci:app:~1.0 talk/slides.yaml",
        "annotate oci:app:^1 a=b",
        "copy --all-tags oci:app:^1 oci:other",
        "copy --all-tags oci:app oci:other:^1",
        "ls oci:app:^1",
    ] {
        let ran = world.run(line);
        assert!(ran.code == 2 && ran.stderr.contains("range of versions"), "{line}: {} {}", ran.code, ran.stderr);
    }
    assert_eq!(world.ok("ls oci:app"), before);
    assert!(!world.path().join("other").exists());
    // It could also be a tag, and is one.
    world.ok("push talk oci:app:1.x -a a=b");
    assert_ne!(world.ok("resolve oci:app:1.x"), world.ok("resolve oci:app:1.0.0"));
}

#[test]
fn a_list_of_sources_may_have_ranges() {
    let world = World::new();
    world.ok("push talk oci:app:1.0.0");
    world.ok("tag oci:app:1.0.0 1.5.0 2.0.0");
    world.write("list", "oci:app:>=1 <2 -> oci:to:one\n");
    let copied = world.run("copy --list list");
    assert_eq!(copied.code, 0, "{}", copied.stderr);
    assert!(copied.stderr.contains("oci:app:>=1 <2 is 1.5.0\n"), "{}", copied.stderr);
}
