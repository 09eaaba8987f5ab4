//! Documents with keys that readers which ignore case take for others: no store is read through them, and none takes
//! them in.

use artifact::oci::{Digest, media_type};
use serde_json::{Value, json};

use super::{Served, World};

/// A change of a document.
type Change = fn(&mut Value);

const NAME: &str = "org.opencontainers.image.ref.name";

/// A descriptor of these bytes, which are written into a layout.
fn blob(world: &World, media_type: &str, bytes: &str) -> Value {
    let digest = Digest::of(bytes.as_bytes());
    world.write(&format!("layout/blobs/sha256/{}", digest.hex()), bytes);
    json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
}

/// A layout with one artifact under the tag `v1`, whose documents are changed by these functions.
fn layout(world: &World, change: Change, change_index: Change) {
    let mut manifest = json!({
        "schemaVersion": 2, "mediaType": media_type::MANIFEST, "artifactType": "a/b",
        "config": blob(world, media_type::EMPTY, "{}"), "layers": [blob(world, "text/plain", "hello")],
    });
    change(&mut manifest);
    let manifest = manifest.to_string();
    let mut entry = blob(world, media_type::MANIFEST, &manifest);
    entry["annotations"] = json!({NAME: "v1"});
    let mut index = json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [entry]});
    change_index(&mut index);
    world.write("layout/index.json", &index.to_string());
    world.write("layout/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
}

/// The same layout as an archive.
fn archive(world: &World) {
    let mut tar = tar::Builder::new(std::fs::File::create(world.path().join("archive.tar")).unwrap());
    tar.append_dir_all(".", world.path().join("layout")).unwrap();
    tar.finish().unwrap();
}

/// Every way of reading an artifact from these stores fails, and writes neither files nor an archive.
fn read_from_none(world: &World, stores: &[&str], words: &str) {
    for from in stores {
        for line in ["inspect FROM", "pull FROM pulled", "pull FROM files --unpack", "copy FROM oci-archive:copied.tar"]
        {
            let ran = world.run(&line.replace("FROM", from));
            assert!(ran.code != 0 && ran.stderr.contains(words), "{line} {from}: {}", ran.stderr);
        }
    }
    assert!(!world.path().join("files").exists() && !world.path().join("copied.tar").exists());
}

#[test]
fn a_manifest_that_others_read_as_another_artifact_is_read_from_no_store() {
    let changes: [(&str, Change); 4] = [
        ("Layers", |manifest| manifest["Layers"] = json!([])),
        ("layerſ", |manifest| manifest["layerſ"] = json!([])),
        ("DIGEST", |manifest| manifest["layers"][0]["DIGEST"] = json!(Digest::of(b"evil"))),
        ("MediaType", |manifest| manifest["config"]["MediaType"] = json!("a/b")),
    ];
    for (key, change) in changes {
        let world = World::new();
        layout(&world, change, |_| ());
        archive(&world);
        let registry = Served::start(&world, "layout");
        let there = format!("{}/layout:v1", registry.addr);
        let message = format!("the key `{key}` counts as");
        read_from_none(&world, &["oci:layout:v1", "oci-archive:archive.tar:v1", &there], &message);
        for store in ["oci:layout", "oci-archive:archive.tar"] {
            let check = world.run(&format!("check {store}"));
            assert!(check.code == 3 && check.stdout.contains(&message), "{key} {store}: {check:?}");
        }
    }
}

#[test]
fn a_list_that_others_read_as_another_list_is_not_read() {
    let changes: [(&str, &str, Change); 3] = [
        ("Manifests", "the key `Manifests` counts as", |index| index["Manifests"] = json!([])),
        ("Digest", "`v1` is not in", |index| index["manifests"][0]["Digest"] = json!(Digest::of(b"evil"))),
        ("Annotations", "`v1` is not in", |index| index["manifests"][0]["Annotations"] = json!({NAME: "v2"})),
    ];
    for (key, words, change) in changes {
        let world = World::new();
        layout(&world, |_| (), change);
        archive(&world);
        let stores = ["oci:layout", "oci-archive:archive.tar"];
        read_from_none(&world, &stores.map(|store| format!("{store}:v1")).each_ref().map(String::as_str), words);
        for store in stores {
            let check = world.run(&format!("check {store}"));
            let message = format!("the key `{key}` counts as");
            let said = format!("{}{}", check.stdout, check.stderr);
            assert!(check.code != 0 && said.contains(&message), "{key} {store}: {said}");
        }
    }
    let world = World::new();
    layout(&world, |_| (), |_| ());
    world.write("layout/oci-layout", r#"{"imageLayoutVersion":"1.0.0","ImageLayoutVersion":"9"}"#);
    read_from_none(&world, &["oci:layout:v1"], "the key `ImageLayoutVersion` counts as");
}
