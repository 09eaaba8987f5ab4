//! What only a layout directory can do, or can suffer.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    path::{Path, PathBuf},
    sync::Arc,
};

use artifact::{
    Kind,
    oci::{Descriptor, Digest, Index},
    store::{ReadStore, Store, begin},
    stores::Layout,
};

use crate::support::{
    samples::{Sample, deliver, named, ref_name},
    writing::{has, item},
};

async fn filled() -> (tempfile::TempDir, PathBuf, Sample) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("layout");
    let sample = Sample::of(&[b"hello", b"world"]);
    let store: Arc<dyn Store> = Arc::new(Layout::create(&path).unwrap());
    deliver(&store, &sample, &["v1"]).await.unwrap();
    (dir, path, sample)
}

fn blob(layout: &Path, digest: &Digest) -> PathBuf {
    layout.join("blobs").join(digest.algorithm().name()).join(digest.hex())
}

async fn read(layout: &Path, desc: &Descriptor) -> artifact::Result<bytes::Bytes> {
    crate::support::writing::read(&Layout::open(layout)?, desc, 1 << 20).await
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_layout_is_made_in_a_new_or_empty_directory_and_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Layout::open(dir.path().join("none")).unwrap_err().kind(), Kind::NotFound);
    assert_eq!(Layout::open(dir.path()).unwrap_err().kind(), Kind::Invalid);
    for place in [dir.path().join("a/b"), dir.path().join("a/b")] {
        Layout::create(&place).unwrap();
    }
    assert_eq!(names(&dir.path().join("a/b")), ["blobs", "index.json", "oci-layout"]);
    assert_eq!(Layout::create(dir.path()).unwrap_err().kind(), Kind::Exists);
    assert_eq!(names(dir.path()), ["a"]);
}

#[tokio::test]
async fn a_layout_that_was_just_begun_when_its_maker_crashed_is_finished_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    Layout::create(dir.path()).unwrap();
    assert!(Layout::open(dir.path()).unwrap().list_names().await.unwrap().names.is_empty());
}

#[tokio::test]
async fn symbolic_links_and_other_things_that_are_no_files_are_not_read() {
    let (dir, path, sample) = filled().await;
    let (desc, bytes) = sample.layer();
    let place = blob(&path, &desc.digest);
    fs::write(dir.path().join("secret"), bytes).unwrap();
    type Spoil = fn(&Path, &Path);
    let spoil: [(&str, Spoil); 3] = [
        ("link", |place, secret| symlink(secret, place).unwrap()),
        ("fifo", |place, _| drop(crate::support::run(std::process::Command::new("mkfifo").arg(place)))),
        ("directory", |place, _| fs::create_dir(place).unwrap()),
    ];
    for (what, spoil) in spoil {
        fs::remove_file(&place).unwrap();
        spoil(&place, &dir.path().join("secret"));
        assert!(read(&path, desc).await.is_err(), "{what}");
        let layout = Layout::open(&path).unwrap();
        assert!(!has(&layout, desc).await.unwrap(), "{what}");
        assert_eq!(layout.local(&item(desc)), None, "{what}");
        if place.is_dir() {
            fs::remove_dir(&place).unwrap()
        } else {
            fs::remove_file(&place).unwrap()
        }
        fs::write(&place, bytes).unwrap();
    }
}

#[tokio::test]
async fn no_part_of_a_layout_may_be_a_symbolic_link() {
    for part in ["blobs", "blobs/sha256", "index.json", "oci-layout"] {
        let (dir, path, sample) = filled().await;
        fs::rename(path.join(part), dir.path().join("moved")).unwrap();
        symlink(dir.path().join("moved"), path.join(part)).unwrap();
        let outcome = match Layout::open(&path) {
            Ok(layout) => match layout.resolve(&named("v1")).await {
                Ok(_) => crate::support::writing::read(&layout, &sample.layer().0, 100).await.map(drop),
                Err(e) => Err(e),
            },
            Err(e) => Err(e),
        };
        assert_eq!(outcome.unwrap_err().kind(), Kind::Escape, "{part}");
    }
}

#[tokio::test]
async fn a_layout_may_be_reached_through_a_link_of_the_users_own() {
    let (dir, path, sample) = filled().await;
    symlink(&path, dir.path().join("mine")).unwrap();
    assert!(read(&dir.path().join("mine"), &sample.layer().0).await.is_ok());
}

#[tokio::test]
async fn damaged_content_is_never_handed_out_whole() {
    let (_dir, path, sample) = filled().await;
    let (desc, _) = sample.layer();
    for wrong in [&b"worlD"[..], b"worl", b"world!", b""] {
        fs::write(blob(&path, &desc.digest), wrong).unwrap();
        assert_eq!(read(&path, desc).await.unwrap_err().kind(), Kind::Mismatch);
    }
}

#[tokio::test]
async fn a_blob_that_a_crash_left_short_comes_again() {
    let (_dir, path, sample) = filled().await;
    for (desc, bytes) in sample.all() {
        fs::write(blob(&path, &desc.digest), b"").unwrap();
        let store: Arc<dyn Store> = Arc::new(Layout::create(&path).unwrap());
        assert!(!has(&*store, desc).await.unwrap());
        deliver(&store, &sample, &["v1"]).await.unwrap();
        assert_eq!(read(&path, desc).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn hostile_lists_and_markers_are_refused() {
    let (_dir, path, _) = filled().await;
    let good = fs::read(path.join("index.json")).unwrap();
    for bad in [&b""[..], b"[]", b"{", b"{\"schemaVersion\":2,\"manifests\":7}"] {
        fs::write(path.join("index.json"), bad).unwrap();
        assert_eq!(Layout::open(&path).unwrap().list_names().await.unwrap_err().kind(), Kind::Invalid);
    }
    let huge = fs::File::create(path.join("index.json")).unwrap();
    huge.set_len(1 << 30).unwrap();
    assert_eq!(Layout::open(&path).unwrap().list_names().await.unwrap_err().kind(), Kind::Limit);
    fs::write(path.join("index.json"), good).unwrap();
    for (bad, kind) in [
        (r#"{"imageLayoutVersion":"2.0.0"}"#, Kind::Unsupported),
        (r#"{"imageLayoutVersion":1}"#, Kind::Invalid),
        ("{}", Kind::Invalid),
        ("", Kind::Invalid),
    ] {
        fs::write(path.join("oci-layout"), bad).unwrap();
        assert_eq!(Layout::open(&path).unwrap_err().kind(), kind, "{bad}");
    }
}

#[tokio::test]
async fn what_a_crash_left_is_removed_by_the_next_writer() {
    let (_dir, path, sample) = filled().await;
    let left = [path.join(".artifact-tmp-1"), path.join("blobs/sha256/.artifact-tmp-2")];
    for file in &left {
        fs::write(file, b"half").unwrap();
    }
    let found = Layout::open(&path).unwrap().inventory().await.unwrap().unwrap().leftovers;
    assert_eq!(found, [".artifact-tmp-1", "blobs/sha256/.artifact-tmp-2"]);
    let store: Arc<dyn Store> = Arc::new(Layout::open(&path).unwrap());
    deliver(&store, &sample, &["v2"]).await.unwrap();
    assert!(left.iter().all(|file| !file.exists()));
}

#[tokio::test]
async fn the_list_is_written_once_for_all_tags_of_a_copy() {
    let (_dir, path, sample) = filled().await;
    let list = || fs::metadata(path.join("index.json")).unwrap().ino();
    let store: Arc<dyn Store> = Arc::new(Layout::open(&path).unwrap());
    let before = list();
    let write = begin(&*store, sample.intent(&["a", "b"])).await.unwrap();
    for change in sample.names(&["a", "b"]) {
        write.name(change).unwrap();
        assert_eq!(store.list_names().await.unwrap().names, ["v1"]);
        assert_eq!(list(), before);
    }
    write.commit().await.unwrap();
    assert_eq!(store.list_names().await.unwrap().names, ["a", "b", "v1"]);
    let after = list();
    assert_ne!(after, before);
    deliver(&store, &sample, &["a"]).await.unwrap();
    assert_eq!(list(), after, "nothing changed, nothing written");
}

#[tokio::test]
async fn a_listed_manifest_that_is_not_there_hides_no_referrer() {
    let (_dir, path, sample) = filled().await;
    let store: Arc<dyn Store> = Arc::new(Layout::open(&path).unwrap());
    let (about, gone) = (Sample::about(sample.root(), b"signature"), Sample::of(&[b"gone"]));
    deliver(&store, &about, &[]).await.unwrap();
    deliver(&store, &gone, &["gone"]).await.unwrap();
    fs::remove_file(path.join("blobs/sha256").join(gone.root().digest.hex())).unwrap();
    let [found] = &Layout::open(&path).unwrap().referrers(sample.root()).await.unwrap()[..] else { panic!("one") };
    assert_eq!(found.digest, about.root().digest);
}

#[tokio::test]
async fn a_referrer_is_shown_as_its_manifest_is_whatever_the_list_says_of_it() {
    let (dir, path, sample) = filled().await;
    let about = Sample::about(sample.root(), b"signature");
    deliver(&(Arc::new(Layout::open(&path).unwrap()) as Arc<dyn Store>), &about, &["sig"]).await.unwrap();
    let file = path.join("index.json");
    let size = format!("\"size\":{}", about.root().size);
    let list = fs::read_to_string(&file).unwrap().replace(&size, "\"size\":7");
    fs::write(&file, list).unwrap();
    let [found] = &Layout::open(&path).unwrap().referrers(sample.root()).await.unwrap()[..] else { panic!("one") };
    assert_eq!((&found.digest, found.size), (&about.root().digest, about.root().size));
    assert_eq!(found.annotations["org.example.note"], "sample");
    drop(dir);
}

#[tokio::test]
async fn the_order_of_events_does_not_show_in_the_files() {
    let (one, two) = (Sample::of(&[b"one"]), Sample::of(&[b"two"]));
    let about = Sample::about(one.root(), b"signature");
    let mut lists = Vec::new();
    for order in [[&one, &two, &about], [&about, &two, &one]] {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(Layout::create(dir.path()).unwrap());
        for sample in order {
            let tag = [("1", &one), ("2", &two)].into_iter().find(|(_, s)| s.root() == sample.root());
            deliver(&store, sample, &tag.map(|(tag, _)| tag).into_iter().collect::<Vec<_>>()).await.unwrap();
        }
        lists.push(fs::read_to_string(dir.path().join("index.json")).unwrap());
    }
    assert_eq!(lists[0], lists[1]);
}

#[tokio::test]
async fn a_copy_after_a_crash_lists_what_was_not_listed_yet() {
    let (_dir, path, sample) = filled().await;
    let about = Sample::about(sample.root(), b"signature");
    let store: Arc<dyn Store> = Arc::new(Layout::create(&path).unwrap());
    let write = begin(&*store, about.intent(&[])).await.unwrap();
    about.put_into(&write).await.unwrap();
    write.abandon().await;
    drop(store);
    let layout = Layout::open(&path).unwrap();
    assert!(layout.referrers(sample.root()).await.unwrap().is_empty());
    let (from, to) = (about.in_memory(&["x"]).await, Arc::new(layout) as Arc<dyn Store>);
    let options = artifact::copy::Options::default();
    assert_eq!(artifact::copy::between(&from, &named("x"), &to, &options).await.unwrap().moved, 0);
    assert_eq!(Layout::open(&path).unwrap().referrers(sample.root()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn referrers_under_the_fallback_tag_are_found() {
    let (_dir, path, sample) = filled().await;
    let about = Sample::about(sample.root(), b"signature");
    let other = Sample::about(about.root(), b"about something else");
    let list = Sample::index(&[about.clone(), other]);
    let store: Arc<dyn Store> = Arc::new(Layout::open(&path).unwrap());
    deliver(&store, &list, &[&format!("sha256-{}", sample.root().digest.hex())]).await.unwrap();
    let mut index: serde_json::Value = serde_json::from_slice(&fs::read(path.join("index.json")).unwrap()).unwrap();
    // As regctl leaves it: referrers are in the fallback index and not in the list.
    index["manifests"].as_array_mut().unwrap().retain(|entry| entry.get("annotations").is_some());
    fs::write(path.join("index.json"), index.to_string()).unwrap();
    let found = Layout::open(&path).unwrap().referrers(sample.root()).await.unwrap();
    assert_eq!(found.into_iter().map(|d| d.digest).collect::<Vec<_>>(), [about.root().digest.clone()]);
}

#[tokio::test]
async fn a_referrer_that_is_listed_and_damaged_is_an_error_and_not_absent() {
    let (_dir, path, sample) = filled().await;
    let about = Sample::about(sample.root(), b"signature");
    let store: Arc<dyn Store> = Arc::new(Layout::open(&path).unwrap());
    deliver(&store, &about, &[]).await.unwrap();
    let place = blob(&path, &about.root().digest);
    let mut bytes = fs::read(&place).unwrap();
    bytes[20] ^= 1;
    fs::write(&place, bytes).unwrap();
    let error = Layout::open(&path).unwrap().referrers(sample.root()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Mismatch);
}

#[tokio::test]
async fn a_list_that_others_wrote_is_kept_and_its_manifests_are_found() {
    let (_dir, path, sample) = filled().await;
    let foreign = Descriptor {
        annotations: [("org.opencontainers.image.ref.name".to_owned(), "ghcr.io/a/b:v1".to_owned())].into(),
        ..Descriptor::of("application/vnd.future+json", b"future")
    };
    let list = serde_json::to_string_pretty(&Index::of(vec![foreign.clone()])).unwrap();
    fs::write(path.join("index.json"), list.replacen('{', "{\n  \"x-own\": 1e400,", 1)).unwrap();
    let store: Arc<dyn Store> = Arc::new(Layout::open(&path).unwrap());
    assert_eq!(store.resolve(&named("ghcr.io/a/b:v1")).await.unwrap(), foreign.bare());
    deliver(&store, &sample, &["v1"]).await.unwrap();
    assert_eq!(store.list_names().await.unwrap().names, ["ghcr.io/a/b:v1", "v1"]);
    assert!(fs::read_to_string(path.join("index.json")).unwrap().contains("\"x-own\":1e400"));
}

/// An SBOM about this manifest, with annotations of which one would name it in a list.
fn with_a_name_of_its_own(subject: &Descriptor) -> Sample {
    let mut sbom = Sample::about(subject, b"sbom");
    let mut manifest: serde_json::Value = serde_json::from_slice(&sbom.manifests[0].1).unwrap();
    manifest["annotations"]["org.opencontainers.image.ref.name"] = "v1".into();
    let bytes = bytes::Bytes::from(manifest.to_string());
    sbom.manifests = vec![(Descriptor::of(sbom.root().media_type.clone(), &bytes), bytes)];
    sbom
}

fn entry(layout: &Path, digest: &Digest) -> serde_json::Value {
    let list: serde_json::Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let entries = list["manifests"].as_array().unwrap();
    entries.iter().find(|entry| entry["digest"] == digest.to_string()).unwrap().clone()
}

#[tokio::test]
async fn referrers_are_listed_with_their_annotations_and_not_under_a_name_that_they_give_themselves() {
    let (_dir, path, sample) = filled().await;
    let store: Arc<dyn Store> = Arc::new(Layout::open(&path).unwrap());
    let sbom = with_a_name_of_its_own(sample.root());
    deliver(&store, &sbom, &[]).await.unwrap();
    let digest = &sbom.root().digest;
    assert_eq!(entry(&path, digest)["annotations"], serde_json::json!({"org.example.note": "sample"}));
    assert_eq!(entry(&path, digest)["artifactType"], crate::support::samples::TYPE);
    assert_eq!(store.resolve(&named("v1")).await.unwrap().digest, sample.root().digest);
    let [found] = &store.referrers(sample.root()).await.unwrap()[..] else { panic!("one") };
    assert!(found.annotations.contains_key("org.opencontainers.image.ref.name"), "as its manifest has it");
    // A name of its own is added to that, and taken away again.
    artifact::store::set_name(store.as_ref(), ref_name("sbom"), sbom.root()).await.unwrap();
    let named = serde_json::json!({"org.example.note": "sample", "org.opencontainers.image.ref.name": "sbom"});
    assert_eq!(entry(&path, digest)["annotations"], named);
    deliver(&store, &sample, &["sbom"]).await.unwrap();
    assert_eq!(entry(&path, digest)["annotations"], serde_json::json!({"org.example.note": "sample"}));
    assert_eq!(artifact::check::check(&(store as Arc<dyn ReadStore>)).await.unwrap(), []);
}

#[tokio::test]
async fn a_referrer_that_comes_with_a_name_is_listed_like_one_that_gets_it_later() {
    let (_one, first, sample) = filled().await;
    let (_two, second, _) = filled().await;
    let sbom = with_a_name_of_its_own(sample.root());
    let store: Arc<dyn Store> = Arc::new(Layout::open(&first).unwrap());
    deliver(&store, &sbom, &["sbom"]).await.unwrap();
    let store: Arc<dyn Store> = Arc::new(Layout::open(&second).unwrap());
    deliver(&store, &sbom, &[]).await.unwrap();
    artifact::store::set_name(store.as_ref(), ref_name("sbom"), sbom.root()).await.unwrap();
    let list = |path: &Path| fs::read_to_string(path.join("index.json")).unwrap();
    assert_eq!(list(&first), list(&second));
    assert_eq!(store.resolve(&named("v1")).await.unwrap().digest, sample.root().digest);
}

#[tokio::test]
async fn annotations_that_would_fill_the_list_are_left_to_the_manifest() {
    let (_dir, path, sample) = filled().await;
    let store: Arc<dyn Store> = Arc::new(Layout::open(&path).unwrap());
    let mut sbom = Sample::about(sample.root(), b"sbom");
    let mut manifest: serde_json::Value = serde_json::from_slice(&sbom.manifests[0].1).unwrap();
    manifest["annotations"]["long"] = "x".repeat(5000).into();
    let bytes = bytes::Bytes::from(manifest.to_string());
    sbom.manifests = vec![(Descriptor::of(sbom.root().media_type.clone(), &bytes), bytes)];
    deliver(&store, &sbom, &[]).await.unwrap();
    assert!(entry(&path, &sbom.root().digest).get("annotations").is_none());
    assert_eq!(store.referrers(sample.root()).await.unwrap()[0].annotations["long"].len(), 5000);
}
