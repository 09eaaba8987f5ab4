//! What `ls` lists, and artifacts without a name, in layouts and archives that others wrote.

use artifact::oci::{Digest, annotation};
use serde_json::{Value, json};

use super::World;
use crate::support::scripted::{Scripted, reply};

/// A world with `oci:index:v1`, an index of two programs for two platforms.
pub(super) fn with_platforms() -> World {
    let world = World::new();
    for (name, text) in [("linux-amd64", "for amd64"), ("linux-arm64", "for arm64")] {
        world.write(&format!("programs/{name}/tool"), text);
    }
    let definition = std::fs::read_to_string("examples/types/multi-platform.yaml").unwrap();
    world.write("artifact-types/multi-platform.yaml", &definition);
    world.ok("push programs oci:index:v1 --type multi-platform");
    world
}

/// Changes the `index.json` of a layout.
pub(super) fn edit(world: &World, layout: &str, change: impl FnOnce(&mut Value)) {
    let path = world.path().join(layout).join("index.json");
    let mut index = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut index);
    std::fs::write(path, index.to_string()).unwrap();
}

/// Takes the names from the entries of a layout, as skopeo, buildah and buildx list an artifact.
fn unname(world: &World, layout: &str) {
    edit(world, layout, |index| {
        let entries = index["manifests"].as_array_mut().unwrap();
        entries.iter_mut().for_each(|entry| drop(entry.as_object_mut().unwrap().remove("annotations")));
    });
}

/// Makes an index the `index.json` of its layout, and nothing else of it.
fn unwrap_index(world: &World, layout: &str) -> String {
    let digest = world.ok(&format!("inspect oci:{layout} -q")).trim().to_owned();
    let blob = world.path().join(layout).join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
    std::fs::rename(blob, world.path().join(layout).join("index.json")).unwrap();
    digest
}

/// Writes a layout as an archive, and gives both as locations.
fn as_both(world: &World, layout: &str) -> [String; 2] {
    let file = std::fs::File::create(world.path().join(format!("{layout}.tar"))).unwrap();
    let mut tar = tar::Builder::new(file);
    tar.append_dir_all(".", world.path().join(layout)).unwrap();
    tar.finish().unwrap();
    [format!("oci:{layout}"), format!("oci-archive:{layout}.tar")]
}

#[test]
fn an_artifact_without_a_name_is_listed_by_its_digest_and_is_no_tag() {
    let world = World::new();
    let digest = world.ok("push talk oci:out:v1 -q").trim().to_owned();
    unname(&world, "out");
    for place in as_both(&world, "out") {
        let listed = world.run(&format!("ls {place}"));
        assert_eq!((listed.stdout, listed.code), (format!("@{digest}\n"), 0));
        assert!(listed.stderr.contains(&format!("1 artifact has no tag: `{place}@{}", &digest[..19])));
        assert_eq!(world.ok(&format!("inspect {place}@{} -q", &digest[..19])).trim(), digest);
        assert_eq!(world.ok(&format!("ls {place} --tags")), "");
        let json: Value = serde_json::from_str(&world.ok(&format!("ls {place} --format json"))).unwrap();
        assert_eq!((&json["location"], &json["tags"]), (&json!(place), &json!([])));
        assert_eq!(json["untagged"][0]["digest"], *digest);
        for line in ["inspect {} -q", "cat {}", "copy {} oci:copied:v1", "pull {} files --unpack --overwrite"] {
            world.ok(&line.replace("{}", &place));
        }
        // What a script takes for a tag is refused, and not taken for another name.
        world.fails(&format!("copy {place}:@{digest} oci:x"), 2, &["empty path or tag"]);
    }
}

#[test]
fn tags_come_first_and_what_refers_to_others_is_not_listed() {
    let world = World::new();
    let first = world.ok("push talk oci:out:v2 -q").trim().to_owned();
    let now = world.ok("push talk oci:out:v2 -q --annotation a=b").trim().to_owned();
    world.ok("tag oci:out:v2 v1");
    world.ok("attach oci:out:v2 talk/1.png");
    for place in as_both(&world, "out") {
        assert_eq!(world.ok(&format!("ls {place}")), format!("v1\nv2\n@{first}\n"));
        assert_eq!(world.ok(&format!("ls {place} --tags")), "v1\nv2\n");
        let json: Value = serde_json::from_str(&world.ok(&format!("ls {place} --format json"))).unwrap();
        assert_eq!((&json["tags"], json["untagged"].as_array().unwrap().len()), (&json!(["v1", "v2"]), 1));
    }
    assert_ne!(first, now);
}

#[test]
fn several_artifacts_without_a_name_are_told_with_their_digests() {
    let world = World::new();
    let one = world.ok("push talk oci:out:v1 -q").trim().to_owned();
    let two = world.ok("push talk/1.png oci:out:v2 -q").trim().to_owned();
    unname(&world, "out");
    for place in as_both(&world, "out") {
        for line in ["inspect {}", "cat {}", "pull {} files --unpack", "pull {} x"] {
            world.fails(&line.replace("{}", &place), 1, &["has 2 artifacts", &format!("@{one}"), &format!("@{two}")]);
        }
        world.fails(&format!("copy {place} oci:x:v1"), 1, &[&one, &two]);
        assert!(world.run(&format!("inspect {place}")).stderr.contains("hint: `LOCATION@DIGEST`"));
    }
    assert!(!world.path().join("x").exists());
}

#[test]
fn a_list_of_platforms_is_one_index_that_every_command_reads() {
    let world = with_platforms();
    let digest = unwrap_index(&world, "index");
    for place in as_both(&world, "index") {
        assert_eq!(world.ok(&format!("ls {place}")), format!("@{digest}\n"));
        assert_eq!(world.ok(&format!("inspect {place} -q")).trim(), digest);
        assert_eq!(world.ok(&format!("inspect {place}@{} -q", &digest[..19])).trim(), digest);
        let manifest = world.ok(&format!("cat {place}"));
        assert_eq!(Digest::of(manifest.as_bytes()).to_string(), digest);
        for line in ["copy {} oci:copied:v1", "pull {} pulled", "copy {} oci-archive:copied.tar:v1"] {
            assert_eq!(world.ok(&line.replace("{}", &place)).trim(), digest, "{line}");
        }
        world.ok("check oci:copied:v1");
        world.ok(&format!("check {place}"));
        world.ok(&format!("pull {place} files --unpack --platform linux/arm64 --overwrite"));
        assert_eq!(std::fs::read_to_string(world.path().join("files/tool")).unwrap(), "for arm64");
        let one = world.ok(&format!("copy {place} oci:one --platform linux/amd64"));
        assert_ne!(one.trim(), digest);
        world.fails(&format!("copy {place} oci:one --platform linux/s390x"), 4, &["linux/amd64, linux/arm64"]);
        world.fails(&format!("copy --all-tags {place} oci:one"), 4, &["has no tags"]);
    }
}

#[test]
fn what_is_added_to_a_list_of_platforms_does_not_take_its_index_away() {
    for line in ["tag {} v1", "copy {} {}:v1", "attach {} talk/1.png", "push talk {}:other"] {
        let world = with_platforms();
        let digest = unwrap_index(&world, "index");
        for place in as_both(&world, "index") {
            world.ok(&line.replace("{}", &place));
            assert_eq!(world.ok(&format!("inspect {place}@{digest} -q")).trim(), digest, "{line}");
            let tagged = line.contains("v1");
            let listed = world.ok(&format!("ls {place}"));
            assert_eq!(listed.contains(&format!("@{digest}")), !tagged, "{line}: {listed}");
            assert_eq!(listed.lines().count(), 1 + usize::from(line.contains("other")), "{line}: {listed}");
            world.ok(&format!("check {place}"));
        }
    }
}

#[test]
fn an_index_that_is_its_layout_can_be_deleted() {
    let world = with_platforms();
    let digest = unwrap_index(&world, "index");
    for place in as_both(&world, "index") {
        world.ok(&format!("delete {place}@{digest}"));
        assert_eq!(world.ok(&format!("ls {place}")), "");
        world.fails(&format!("inspect {place}@{digest}"), 4, &[&digest]);
    }
}

#[test]
fn two_images_for_one_platform_are_not_taken_for_an_index() {
    let world = with_platforms();
    unwrap_index(&world, "index");
    edit(&world, "index", |index| {
        let first = index["manifests"][0]["platform"].clone();
        index["manifests"][1]["platform"] = first;
    });
    for place in as_both(&world, "index") {
        world.fails(&format!("inspect {place}"), 1, &["has 2 artifacts", "(linux/amd64)"]);
        assert_eq!(world.ok(&format!("ls {place}")).lines().count(), 2);
    }
}

#[test]
fn a_list_that_cannot_be_read_whole_is_printed_and_an_error() {
    let world = World::new();
    world.ok("push talk oci:out:v1");
    edit(&world, "out", |index| {
        let mut nameless = index["manifests"][0].clone();
        nameless["annotations"][annotation::REF_NAME] = json!("not a name");
        index["manifests"].as_array_mut().unwrap().extend([nameless, json!({"mediaType": "x"})]);
    });
    for place in as_both(&world, "out") {
        let listed = world.run(&format!("ls {place}"));
        assert_eq!((listed.stdout.as_str(), listed.code), ("v1\n", 1), "{}", listed.stderr);
        for said in ["is incomplete", "entry 1", "entry 2", "hint: `artifact check LOCATION`"] {
            assert!(listed.stderr.contains(said), "{said}: {}", listed.stderr);
        }
        let listed = world.run(&format!("ls {place} --format json"));
        let json: Value = serde_json::from_str(&listed.stdout).unwrap();
        assert_eq!((&json["tags"], listed.code), (&json!(["v1"]), 1));
        assert!(listed.stderr.contains("list-incomplete"), "{}", listed.stderr);
    }
}

#[test]
fn a_registry_that_lists_what_is_no_tag_is_listed_with_a_warning() {
    let body = br#"{"name":"a","tags":["v1","not a tag"]}"#;
    let registry = Scripted::start(move |_| reply(200, &[], body));
    let listed = World::new().run(&format!("ls {}/a --retries 0", registry.host()));
    assert_eq!((listed.stdout.as_str(), listed.code), ("v1\n", 0), "{}", listed.stderr);
    assert!(listed.stderr.contains("left out what is no tag"), "{}", listed.stderr);
}
