//! Names, manifests and blobs as they are: `resolve`, `manifest`, `blob`, `annotate`, and where their content goes.

use std::fs;

use artifact::oci::Digest;
use serde_json::{Value, json};

use super::{Served, World};

/// A store of each kind, with the location of an artifact in it.
fn stores(world: &World, registry: &Served) -> [String; 3] {
    let all = ["oci:layout:v1".to_owned(), "oci-archive:archive.tar:v1".into(), format!("{}/talk:v1", registry.addr)];
    for location in &all {
        world.ok(&format!("push talk/slides.yaml {location} -q"));
    }
    all
}

fn digest_of(bytes: &str) -> String {
    Digest::of(bytes.as_bytes()).to_string()
}

#[test]
fn a_name_is_resolved_to_its_digest_in_every_store() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    let all = stores(&world, &registry);
    for location in &all {
        let digest = digest_of(&world.ok(&format!("manifest get {location}")));
        let (place, _) = location.rsplit_once(':').unwrap();
        assert_eq!(world.ok(&format!("resolve {location}")), format!("{digest}\n"));
        assert_eq!(world.ok(&format!("digest -l {location}")), format!("{place}@{digest}\n"));
        let json: Value = serde_json::from_str(&world.ok(&format!("resolve {location} --format json"))).unwrap();
        assert_eq!(json["reference"], format!("{place}@{digest}"));
    }
    let digests = world.ok(&format!("resolve {}", all.join(" ")));
    assert_eq!(digests.lines().count(), 3);
    let json: Value = serde_json::from_str(&world.ok(&format!("resolve {} --format json", all.join(" ")))).unwrap();
    assert_eq!(json["artifacts"].as_array().unwrap().len(), 3);
    assert_eq!(world.run("resolve oci:layout:none").code, 4);
}

#[test]
fn manifests_and_blobs_move_by_hand_from_one_store_to_another() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    for (n, location) in stores(&world, &registry).iter().enumerate() {
        let (place, _) = location.rsplit_once(':').unwrap();
        let digest = world.ok(&format!("resolve {location}")).trim().to_owned();
        world.ok(&format!("manifest get {location} -o manifest.json"));
        let bytes = fs::read_to_string(world.path().join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_str(&bytes).unwrap();
        let to = format!("oci:to-{n}");
        let early = world.run(&format!("manifest push {to}:v2 manifest.json"));
        assert_eq!((early.code, early.stdout.as_str()), (1, ""), "{}", early.stderr);
        assert!(early.stderr.contains("names content that"), "{}", early.stderr);
        for desc in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
            let digest = desc["digest"].as_str().unwrap();
            world.ok(&format!("blob get {place}@{digest} -o blob"));
            assert_eq!(world.ok(&format!("blob push {to}@{digest} blob")), format!("{digest}\n"));
        }
        assert_eq!(world.ok(&format!("manifest push {to}:v2 manifest.json --tag v3")), format!("{digest}\n"));
        assert_eq!(world.ok(&format!("ls {to}")), "v2\nv3\n");
        assert_eq!(world.ok(&format!("check {to}")), "");
    }
}

#[test]
fn what_is_written_by_hand_must_have_the_digest_that_is_named() {
    let world = World::new();
    world.ok("push talk/slides.yaml oci:layout:v1 -q");
    world.ok("manifest get oci:layout:v1 -o manifest.json");
    let other = digest_of("other");
    for line in ["manifest push", "blob push"] {
        let ran = world.run(&format!("{line} oci:to@{other} manifest.json"));
        assert_eq!((ran.code, ran.stdout.as_str()), (3, ""), "{line}: {}", ran.stderr);
    }
    assert!(!world.path().join("to").exists());
    for (line, code) in [
        ("blob get oci:layout:v1", 2),
        (&format!("blob get oci:layout@{other}"), 4),
        ("manifest get oci:layout:v2", 4),
        ("cat oci:layout:v1 1.png --pretty", 1),
    ] {
        let ran = world.run(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{line}: {}", ran.stderr);
    }
}

#[test]
fn eight_digits_of_a_digest_are_enough_where_the_store_can_list_its_content() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    let all = stores(&world, &registry);
    let manifest: Value = serde_json::from_str(&world.ok("cat oci:layout:v1")).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    let short = &layer["sha256:".len()..][..8];
    for location in &all {
        let title = manifest["layers"][0]["annotations"]["org.opencontainers.image.title"].as_str().unwrap();
        let content = world.ok(&format!("cat {location} {title}"));
        assert_eq!(world.ok(&format!("cat {location} sha256:{short}")), content, "{location}");
    }
    for place in ["oci:layout", "oci-archive:archive.tar"] {
        assert_eq!(digest_of(&world.ok(&format!("blob get {place}@sha256:{short}"))), layer);
    }
    assert_eq!(world.run(&format!("blob get {}/talk@sha256:{short}", registry.addr)).code, 2);
}

#[test]
fn content_is_written_to_a_file_whole_or_not_at_all() {
    let world = World::new();
    world.ok("push talk/slides.yaml oci:layout:v1 -q");
    let pretty = world.ok("cat oci:layout:v1 --pretty");
    assert!(pretty.starts_with("{\n  \"schemaVersion\": 2,\n") && pretty.ends_with("}\n"), "{pretty}");
    world.write("file", "before");
    assert_eq!(world.ok("cat oci:layout:v1 1.png -o file"), "");
    assert_eq!(fs::read(world.path().join("file")).unwrap(), fs::read(world.path().join("talk/1.png")).unwrap());
    // A layer with one wrong byte.
    let manifest: Value = serde_json::from_str(&world.ok("cat oci:layout:v1")).unwrap();
    let layer = &manifest["layers"][0]["digest"].as_str().unwrap()["sha256:".len()..];
    let path = world.path().join("layout/blobs/sha256").join(layer);
    let mut bytes = fs::read(&path).unwrap();
    bytes[0] ^= 1;
    fs::write(&path, bytes).unwrap();
    world.write("file", "before");
    let before = fs::read_dir(world.path()).unwrap().count();
    assert_eq!(world.run("cat oci:layout:v1 0 -o file").code, 3);
    assert_eq!(fs::read_to_string(world.path().join("file")).unwrap(), "before");
    assert_eq!(fs::read_dir(world.path()).unwrap().count(), before, "a temporary file was left");
}

#[test]
fn annotations_change_and_all_else_of_a_manifest_keeps_its_value_and_place() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    for location in stores(&world, &registry) {
        let before = world.ok(&format!("cat {location}"));
        let old = world.ok(&format!("resolve {location}")).trim().to_owned();
        let set = world.run(&format!("annotate {location} a=b=c d= gone=x"));
        assert!(set.stderr.contains("moved from") && set.code == 0, "{}", set.stderr);
        world.ok(&format!("annotate {location} gone- never-"));
        let after = world.ok(&format!("cat {location}"));
        let mut wanted: Value = serde_json::from_str(&before).unwrap();
        wanted["annotations"]["a"] = json!("b=c");
        wanted["annotations"]["d"] = json!("");
        assert_eq!(after, wanted.to_string());
        let same = world.run(&format!("annotate {location} a=b=c"));
        assert!(same.stderr.contains("are so already"), "{}", same.stderr);
        assert_eq!(world.ok(&format!("cat {location}")), after);
        // The old one is where it was, and can be changed without a name.
        let place = location.rsplit_once(':').unwrap().0;
        let unnamed = world.ok(&format!("annotate {place}@{old} x=y"));
        assert!(world.ok(&format!("cat {place}@{}", unnamed.trim())).contains(r#""x":"y""#));
        assert_eq!(world.ok(&format!("cat {location}")), after);
        for wrong in ["", "=b", "-", "a", "a=b a-"] {
            assert_eq!(world.run(&format!("annotate {location} {wrong}")).code, 2, "{wrong}");
        }
    }
}

#[test]
fn what_is_about_the_manifest_with_the_old_annotations_is_named() {
    let world = World::new();
    world.ok("push talk/slides.yaml oci:layout:v1 -q");
    let referrer = world.ok("attach oci:layout:v1 talk/1.png -q").trim().to_owned();
    let changed = world.run("annotate oci:layout:v1 a=b --format json");
    assert!(changed.stderr.contains(&format!("{referrer} is about")), "{}", changed.stderr);
    let json: Value = serde_json::from_str(&changed.stdout).unwrap();
    assert_eq!((&json["kept"], &json["names"][0]["outcome"]), (&json!([referrer]), &json!("moved")));
}

#[test]
fn content_goes_through_links_and_into_pipes_and_the_mode_of_a_file_stays() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    world.ok("push talk oci:layout:v1 -q");
    let content = fs::read(world.path().join("talk/1.png")).unwrap();
    world.write("file", "before");
    fs::set_permissions(world.path().join("file"), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("file", world.path().join("link")).unwrap();
    world.ok("cat oci:layout:v1 1.png -o link");
    assert!(world.path().join("link").is_symlink());
    assert_eq!(fs::read(world.path().join("file")).unwrap(), content);
    assert_eq!(fs::metadata(world.path().join("file")).unwrap().permissions().mode() & 0o777, 0o640);
    let pipe = world.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap()
    });
    world.ok("cat oci:layout:v1 1.png -o pipe");
    assert_eq!(reader.join().unwrap(), content);
    assert!(!fs::metadata(&pipe).unwrap().is_file());
}

#[test]
fn a_tag_is_never_dropped_from_what_is_written_by_hand() {
    let world = World::new();
    let first = world.ok("push talk oci:layout:v1 -q").trim().to_owned();
    assert_eq!(world.run("blob push oci:layout:v9 talk/1.png").code, 2);
    let changed = world.ok(&format!("annotate oci:layout:v1@{first} a=b")).trim().to_owned();
    assert_eq!(world.ok("resolve oci:layout:v1").trim(), changed);
    let tagged = world.run("tag oci:layout:v1 x x");
    assert_eq!(tagged.stderr.lines().count(), 1, "{}", tagged.stderr);
}
