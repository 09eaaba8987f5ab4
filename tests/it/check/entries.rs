//! What is wrong with a list that can be read: it is a layout's and an archive's `index.json`.

use std::{fs, path::Path, sync::Arc};

use artifact::{
    check::{Finding, Severity, What, check},
    store::{ReadStore, Store},
    stores::{Archive, Layout},
};
use serde_json::{Value, json};

use crate::support::{
    program::World,
    samples::{Sample, deliver},
    tar,
};

/// A layout `layout` and an archive `x.tar` with two tags, their list changed in this way.
async fn spoiled(world: &Path, spoil: &dyn Fn(&str) -> String) {
    let path = world.join("layout");
    let _ = fs::remove_dir_all(&path);
    let store: Arc<dyn Store> = Arc::new(Layout::create(&path).unwrap());
    for (tag, layer) in [("v1", b"one"), ("v2", b"two")] {
        deliver(&store, &Sample::of(&[layer]), &[tag]).await.unwrap();
    }
    let list = path.join("index.json");
    fs::write(&list, spoil(&fs::read_to_string(&list).unwrap())).unwrap();
    let mut files = vec!["oci-layout".to_owned(), "index.json".to_owned()];
    for blob in fs::read_dir(path.join("blobs/sha256")).unwrap() {
        files.push(format!("blobs/sha256/{}", blob.unwrap().file_name().into_string().unwrap()));
    }
    let entries = files.iter().map(|name| tar::Entry::file(name, fs::read(path.join(name)).unwrap()));
    fs::write(world.join("x.tar"), tar::archive(entries)).unwrap();
}

/// A change of the first entry.
fn entry(change: impl Fn(&mut Value) + 'static) -> Box<dyn Fn(&str) -> String> {
    Box::new(move |list| {
        let mut list: Value = serde_json::from_str(list).unwrap();
        change(&mut list["manifests"][0]);
        list.to_string()
    })
}

fn replaced(from: &'static str, to: &'static str) -> Box<dyn Fn(&str) -> String> {
    Box::new(move |list| list.replacen(from, to, 1))
}

/// What is found in the layout, and the same in the archive.
async fn findings(world: &Path) -> Vec<Finding> {
    let layout: Arc<dyn ReadStore> = Arc::new(Layout::open(world.join("layout")).unwrap());
    let archive: Arc<dyn ReadStore> = Arc::new(Archive::open(world.join("x.tar")).unwrap());
    let found = check(&layout).await.unwrap();
    assert_eq!(check(&archive).await.unwrap(), found);
    found
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_is_an_error_and_stops_a_copy_of_all_tags() {
    let digest = |change: fn(&str) -> String| {
        entry(move |entry| entry["digest"] = change(entry["digest"].as_str().unwrap()).into())
    };
    for (what, spoil) in [
        ("a letter that is no digit", digest(|digest| digest.replacen('a', "p", 1))),
        ("an unknown algorithm", digest(|digest| digest.replace("sha256", "sha25v"))),
        ("capital letters", digest(|digest| format!("sha256:{}", digest[7..].to_uppercase()))),
        ("a size in quotes", entry(|entry| entry["size"] = entry["size"].to_string().into())),
        ("a negative size", entry(|entry| entry["size"] = (-1).into())),
        ("no digest", replaced("\"digest\"", "\"dieest\"")),
        ("no media type", entry(|entry| drop(entry.as_object_mut().unwrap().remove("mediaType")))),
        ("no list", replaced("\"manifests\"", "\"manifes4s\"")),
        ("annotations that are none", entry(|entry| entry["annotations"] = json!({"a": 1}))),
        ("the key of names", replaced("image.ref.name", "image.ref.nqme")),
        ("the key of annotations", replaced("\"annotations\"", "\"annotatioos\"")),
        ("nothing", entry(|entry| *entry = Value::Null)),
    ] {
        let world = World::new();
        spoiled(world.path(), &*spoil).await;
        let found = findings(world.path()).await;
        assert_eq!((found[0].severity, found[0].what), (Severity::Error, What::UnreadableEntry), "{what}: {found:?}");
        for place in ["oci:layout", "oci-archive:x.tar"] {
            assert_eq!(world.run(&format!("check {place}")).code, 3, "{what}");
            let failed = world.run(&format!("copy {place} oci:all --all-tags"));
            assert_ne!(failed.code, 0, "{what}: {}", failed.stderr);
            assert!(!world.path().join("all").exists(), "{what}");
            assert_ne!(world.run(&format!("copy {place} oci:all --all-tags --dry-run")).code, 0, "{what}");
            let listed = world.run(&format!("ls {place}"));
            assert!(
                listed.code == 1 && listed.stderr.contains("is incomplete: index.json"),
                "{what}: {}",
                listed.stderr
            );
        }
    }
}

#[tokio::test]
async fn the_name_of_an_entry_that_cannot_be_read_is_said_and_the_rest_can_be_copied() {
    let world = World::new();
    spoiled(world.path(), &*replaced("\"size\":", "\"size\":-")).await;
    let found = findings(world.path()).await;
    assert!(found[0].message.starts_with("entry 0 (`v1`) is not a descriptor: "), "{found:?}");
    world.fails("copy oci:layout oci:all --all-tags", 1, &["(`v1`)"]);
    world.ok("copy oci:layout:v2 oci:some");
    world.ok("copy oci-archive:x.tar:v2 oci:others");
}

#[tokio::test]
async fn what_a_list_says_that_nobody_would_mean_is_a_warning() {
    const NAME: &str = "org.opencontainers.image.ref.name";
    let set = |key: &'static str, value: &'static str| entry(move |entry| entry[key] = value.into());
    for (words, spoil) in [
        ("the unknown key `x`", set("x", "y")),
        ("artifact type `a/b`, which differs from its own", set("artifactType", "a/b")),
        ("an invalid name", entry(|entry| entry["annotations"][NAME] = "a b".into())),
        ("`mediaType` is not", replaced("image.index.v1", "image.list.v1")),
        ("unknown key `sschemaVersion`", replaced("{", "{\"sschemaVersion\":2,")),
    ] {
        let world = World::new();
        spoiled(world.path(), &*spoil).await;
        let found = findings(world.path()).await;
        assert!(found.iter().any(|finding| finding.message.contains(words)), "{words}: {found:?}");
        for finding in found {
            assert_eq!((finding.severity, finding.what), (Severity::Warning, What::DoubtfulList), "{finding}");
        }
    }
}

#[tokio::test]
async fn what_a_list_says_that_nobody_wrote_is_an_error() {
    let set = |key: &'static str, value: &'static str| entry(move |entry| entry[key] = value.into());
    for (words, spoil) in [
        ("is listed as `application` but is a", set("mediaType", "application")),
        ("is listed as `application/x` but is a", set("mediaType", "application/x")),
        ("`mediaType` is not", replaced("image.index.v1", "image.index.v2")),
        (
            "unknown key `mediaTypd`",
            replaced("{\"schemaVersion\":2,\"mediaType\"", "{\"schemaVersion\":2,\"mediaTypd\""),
        ),
        ("the unknown key `artifactTypd`", set("artifactTypd", "a/b")),
    ] {
        let world = World::new();
        spoiled(world.path(), &*spoil).await;
        let found = findings(world.path()).await;
        let wrong = |finding: &&Finding| finding.message.contains(words) && finding.what == What::WrongList;
        assert!(
            found.iter().find(wrong).is_some_and(|finding| finding.severity == Severity::Error),
            "{words}: {found:?}"
        );
    }
}

#[tokio::test]
async fn what_other_tools_write_into_a_list_is_no_finding() {
    for spoil in [
        entry(|entry| entry["platform"] = json!({"os": "linux", "architecture": "amd64"})),
        entry(|entry| entry["annotations"]["io.containerd.image.name"] = "docker.io/library/x:1".into()),
        entry(|entry| entry["annotations"]["org.opencontainers.image.created"] = "2026-01-01T00:00:00Z".into()),
        entry(|entry| entry["urls"] = json!(["https://example.org/x"])),
        Box::new(|list| serde_json::to_string_pretty(&serde_json::from_str::<Value>(list).unwrap()).unwrap()),
        replaced("\"mediaType\":\"application/vnd.oci.image.index.v1+json\",", ""),
    ] {
        let world = World::new();
        spoiled(world.path(), &*spoil).await;
        assert_eq!(findings(world.path()).await, []);
    }
}
