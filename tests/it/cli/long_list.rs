//! `ls --long`, and which tags a list has in which order.

use serde_json::{Value, json};

use super::{Served, World};
use crate::support::scripted::{Scripted, reply};

/// Places with the same four tags.
fn places(world: &World, registry: &Served) -> [String; 3] {
    let places = [format!("{}/app", registry.addr), "oci:app".into(), "oci-archive:app.tar".into()];
    let created = "org.opencontainers.image.created";
    for place in &places {
        world.ok(&format!("push talk {place}:1.10.0 -a {created}=2026-01-01T00:30:00+02:00"));
        world.ok(&format!("push talk/1.png {place}:1.9.0 -a {created}=2025-12-31T23:00:00Z"));
        world.ok(&format!("push talk {place}:latest"));
        world.ok(&format!("tag {place}:1.9.0 v1.11.0"));
    }
    places
}

#[test]
fn a_long_list_says_what_each_tag_stands_for() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    for place in places(&world, &registry) {
        let text = world.ok(&format!("ls -l {place}"));
        let rows: Vec<Vec<&str>> =
            text.lines().map(|line| line.split("  ").filter(|cell| !cell.is_empty()).collect()).collect();
        assert_eq!(
            rows[0].iter().map(|cell| cell.trim()).collect::<Vec<_>>(),
            ["TAG", "DIGEST", "SIZE", "CREATED", "TYPE"]
        );
        assert_eq!(rows.len(), 5, "{text}");
        let digest = world.ok(&format!("resolve {place}:1.10.0"));
        assert!(digest.contains(rows[1][1].trim()), "{text}");
        assert_eq!((rows[1][0], rows[1][3]), ("1.10.0", "2026-01-01T00:30:00+02:00"));
        assert!(rows[1][4].contains("slideshow") && rows[3][0] == "latest" && rows[3][3].trim() == "-", "{text}");
        let json: Value = serde_json::from_str(&world.ok(&format!("ls -l {place} --format json"))).unwrap();
        let (inspected, first) = (world.ok(&format!("inspect {place}:1.10.0 --format json")), &json["artifacts"][0]);
        let inspected: Value = serde_json::from_str(&inspected).unwrap();
        for key in ["reference", "digest", "mediaType", "size", "artifactType", "annotations", "location"] {
            assert_eq!(first[key], inspected[key], "{key}");
        }
        assert_eq!((&first["tags"], json.get("tags")), (&json!(["1.10.0"]), None));
        let layers = inspected["layers"].as_array().unwrap().iter().map(|layer| layer["size"].as_u64().unwrap());
        let blobs = layers.sum::<u64>() + inspected["config"]["size"].as_u64().unwrap();
        assert_eq!(first["totalSize"].as_u64().unwrap(), first["size"].as_u64().unwrap() + blobs);
    }
}

#[test]
fn a_list_is_filtered_sorted_and_cut() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    for place in places(&world, &registry) {
        for (flags, expected) in [
            ("", "1.10.0 1.9.0 latest v1.11.0"),
            ("--reverse", "v1.11.0 latest 1.9.0 1.10.0"),
            ("--sort version", "1.9.0 1.10.0 v1.11.0 latest"),
            ("--sort version --reverse", "v1.11.0 1.10.0 1.9.0 latest"),
            ("--sort version --reverse --limit 1", "v1.11.0"),
            ("--sort date", "1.10.0 1.9.0 v1.11.0 latest"),
            ("--sort date --reverse --limit 2", "1.9.0 v1.11.0"),
            ("--sort size --limit 2", "1.9.0 v1.11.0"),
            ("--filter 1.*", "1.10.0 1.9.0"),
            ("--filter {latest,v*}", "latest v1.11.0"),
            ("--last 1.9.0", "latest v1.11.0"),
            ("--last 1.9 --limit 1", "1.9.0"),
            ("--filter none", ""),
        ] {
            let listed = world.ok(&format!("ls {place} {flags}"));
            assert_eq!(listed.lines().collect::<Vec<_>>().join(" "), expected, "{place} {flags}");
            let long = world.ok(&format!("ls {place} {flags} --long"));
            let tags: Vec<&str> = long.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
            assert_eq!(tags.join(" "), expected, "{place} {flags}: {long}");
        }
    }
    world.fails(&format!("ls {} --long", registry.addr), 2, &["is for the tags of a repository"]);
    world.fails("ls oci:app --filter [", 2, &[]);
}

#[test]
fn an_artifact_without_a_tag_has_its_digest_and_no_tag() {
    let world = World::new();
    let first = world.ok("push talk oci:out:v1 -q");
    world.ok("push talk oci:out:v1 -a a=b");
    let json: Value = serde_json::from_str(&world.ok("ls -l oci:out --format json")).unwrap();
    let artifacts = json["artifacts"].as_array().unwrap();
    assert_eq!(
        (artifacts.len(), &artifacts[1]["tags"], &artifacts[1]["digest"]),
        (2, &json!([]), &json!(first.trim()))
    );
    assert_eq!(world.ok("ls -l oci:out --tags").lines().count(), 2);
    assert_eq!(world.ok("ls oci:out --filter *"), "v1\n");
}

#[test]
fn a_tag_that_cannot_be_read_is_told_and_the_others_are_listed() {
    let manifest = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let registry = Scripted::start(move |request| match request.line() {
        line if line.contains("/tags/list") => reply(200, &[], br#"{"name":"a","tags":["denied","lost","v1"]}"#),
        line if line.contains("/manifests/v1") => {
            reply(200, &[("Content-Type", "application/vnd.oci.image.index.v1+json")], manifest)
        }
        line if line.contains("/manifests/denied") => reply(403, &[], b"{}"),
        line if line.contains("/manifests/lost") => reply(404, &[], b"{}"),
        _ => reply(200, &[], b"{}"),
    });
    let world = World::new();
    let listed = world.run(&format!("ls -l {}/a --retries 0", registry.host()));
    let tags: Vec<&str> = listed.stdout.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!((tags.as_slice(), listed.code), (&["TAG", "v1"][..], 5), "{}", listed.stderr);
    for said in [":denied", ":lost", "2 of 3 artifacts failed"] {
        assert!(listed.stderr.contains(said), "{said}: {}", listed.stderr);
    }
    let listed = world.run(&format!("ls -l {}/a --retries 0 --format json", registry.host()));
    let json: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!((json["artifacts"].as_array().unwrap().len(), json["failed"].as_array().unwrap().len()), (1, 2));
    assert_eq!(json["failed"][1]["location"], format!("{}/a:lost", registry.host()));
}
