//! Other tools read what we write and write what we read.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use artifact::{
    copy::Options,
    store::{ReadStore, Store},
    stores::{Archive, Layout},
};

use crate::{
    harness::{Test, tests},
    support::{
        peer, run,
        samples::{Sample, deliver, named, names},
        writing::read,
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["skopeo", "umoci"]
            single skopeo_carries_our_layout_and_our_archive_onwards_with_unchanged_digests,
            single what_skopeo_writes_is_read_and_extended;
        ["skopeo"]
            single skopeo_carries_an_artifact_of_ours_with_its_digest;
        ["oci-image-tool", "umoci"]
            single the_image_tools_validate_and_read_what_we_copied;
        ["umoci"]
            single the_collection_of_garbage_by_umoci_spares_what_we_list;
    ]
}

struct Images {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl Images {
    /// A layout with two small container images, made by umoci.
    fn of_umoci() -> Self {
        let umoci = peer("umoci");
        let dir = tempfile::tempdir().unwrap();
        let layout = dir.path().join("umoci");
        std::fs::write(dir.path().join("hello"), b"#!/bin/sh\necho hello\n").unwrap();
        run(Command::new(&umoci).arg("init").arg("--layout").arg(&layout));
        for tag in ["v1", "v2"] {
            let image = format!("{}:{tag}", layout.display());
            run(Command::new(&umoci).args(["new", "--image", &image]));
            let hello = dir.path().join("hello");
            run(Command::new(&umoci).args(["insert", "--image", &image]).arg(hello).arg(format!("/bin/{tag}")));
            run(Command::new(&umoci).args(["config", "--image", &image, "--config.entrypoint", "/bin/hello"]));
        }
        Self { path: dir.path().to_path_buf(), _dir: dir }
    }

    fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The same two images in a store of ours.
    async fn copied(&self, to: Arc<dyn Store>) -> Vec<String> {
        let from: Arc<dyn ReadStore> = Arc::new(Layout::open(self.join("umoci")).unwrap());
        let mut digests = Vec::new();
        for tag in ["v1", "v2"] {
            let options = Options { names: names(&[tag]), ..Options::default() };
            digests.push(
                artifact::copy::between(&from, &named(tag), &to, &options).await.unwrap().root.digest.to_string(),
            );
        }
        digests
    }
}

/// What a killed pull leaves: a part of some blob.
fn leave_a_part(layout: &Path) {
    let name = format!(".artifact-tmp-{}", "0a".repeat(32));
    std::fs::write(layout.join(name), b"half").unwrap();
}

fn skopeo_copy(skopeo: &Path, from: &str, to: &str) {
    run(Command::new(skopeo).args(["--insecure-policy", "copy", "--preserve-digests", from, to]));
}

async fn skopeo_carries_our_layout_and_our_archive_onwards_with_unchanged_digests() {
    let (skopeo, images) = (peer("skopeo"), Images::of_umoci());
    let (layout, archive) = (images.join("layout"), images.join("x.tar"));
    let digests = images.copied(Arc::new(Layout::create(&layout).unwrap())).await;
    leave_a_part(&layout);
    assert_eq!(images.copied(Arc::new(Archive::create(&archive).unwrap())).await, digests);
    for (tag, digest) in ["v1", "v2"].iter().zip(&digests) {
        for (form, path) in [("oci", &layout), ("oci-archive", &archive)] {
            let out = images.join(&format!("{form}-{tag}"));
            skopeo_copy(&skopeo, &format!("{form}:{}:{tag}", path.display()), &format!("oci:{}:{tag}", out.display()));
            let found = Layout::open(&out).unwrap().resolve(&named(tag)).await.unwrap();
            assert_eq!(found.digest.to_string(), *digest, "{form} {tag}");
        }
    }
}

async fn skopeo_carries_an_artifact_of_ours_with_its_digest() {
    let skopeo = peer("skopeo");
    let dir = tempfile::tempdir().unwrap();
    let sample = Sample::of(&[b"hello", b"world"]);
    for (form, store) in [
        ("oci", Arc::new(Layout::create(dir.path().join("from")).unwrap()) as Arc<dyn Store>),
        ("oci-archive", Arc::new(Archive::create(dir.path().join("from.tar")).unwrap())),
    ] {
        deliver(&store, &sample, &["v1"]).await.unwrap();
        let out = dir.path().join(format!("{form}-out"));
        let from = store.to_string();
        assert!(from.starts_with(form));
        skopeo_copy(&skopeo, &format!("{from}:v1"), &format!("oci:{}:v1", out.display()));
        let out = Layout::open(&out).unwrap();
        assert_eq!(out.resolve(&named("v1")).await.unwrap().digest, sample.root().digest);
        for (desc, bytes) in sample.all() {
            assert_eq!(read(&out, desc, 2000).await.unwrap(), bytes);
        }
    }
}

async fn what_skopeo_writes_is_read_and_extended() {
    let (skopeo, images) = (peer("skopeo"), Images::of_umoci());
    let from = format!("oci:{}:v1", images.join("umoci").display());
    let (layout, archive) = (images.join("skopeo"), images.join("skopeo.tar"));
    skopeo_copy(&skopeo, &from, &format!("oci:{}:v1", layout.display()));
    skopeo_copy(&skopeo, &from, &format!("oci-archive:{}:v1", archive.display()));
    let sample = Sample::of(&[b"hello"]);
    for store in
        [Arc::new(Layout::open(&layout).unwrap()) as Arc<dyn Store>, Arc::new(Archive::open(&archive).unwrap())]
    {
        let root = store.resolve(&named("v1")).await.unwrap();
        let near: Arc<dyn ReadStore> = Arc::clone(&store) as Arc<dyn ReadStore>;
        let memory: Arc<dyn Store> = Arc::new(artifact::stores::Memory::new());
        let report = artifact::copy::between(&near, &named("v1"), &memory, &Options::default()).await.unwrap();
        assert_eq!((report.root.digest, report.moved), (root.digest.clone(), 3), "{store}");
        deliver(&store, &sample, &["ours"]).await.unwrap();
        skopeo_copy(&skopeo, &format!("{store}:v1"), &format!("oci:{}:v1", images.join("again").display()));
        let again = Layout::open(images.join("again")).unwrap();
        assert_eq!(again.resolve(&named("v1")).await.unwrap().digest, root.digest);
    }
}

async fn the_image_tools_validate_and_read_what_we_copied() {
    let images = Images::of_umoci();
    let layout = images.join("layout");
    images.copied(Arc::new(Layout::create(&layout).unwrap())).await;
    leave_a_part(&layout);
    let tool = peer("oci-image-tool");
    for tag in ["v1", "v2"] {
        let by_name = format!("name={tag}");
        run(Command::new(&tool).args(["validate", "--type", "image", "--ref", &by_name]).arg(&layout));
    }
    // The tool wants an entry for the directory `blobs`, which we do not write: it gets what tar extracts.
    let (archive, extracted) = (images.join("x.tar"), images.join("extracted"));
    images.copied(Arc::new(Archive::create(&archive).unwrap())).await;
    std::fs::create_dir(&extracted).unwrap();
    run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&extracted));
    run(Command::new(&tool).args(["validate", "--type", "image", "--ref", "name=v1"]).arg(&extracted));
    let umoci = peer("umoci");
    let listed = run(Command::new(&umoci).arg("list").arg("--layout").arg(&layout));
    assert_eq!(listed.split_whitespace().collect::<Vec<_>>(), ["v1", "v2"]);
    let image = format!("{}:v2", layout.display());
    run(Command::new(&umoci).args(["stat", "--image", &image, "--json"]));
    run(Command::new(&umoci).args(["unpack", "--rootless", "--image", &image]).arg(images.join("bundle")));
    assert!(images.join("bundle/rootfs/bin/v2").is_file());
}

async fn the_collection_of_garbage_by_umoci_spares_what_we_list() {
    let (umoci, images) = (peer("umoci"), Images::of_umoci());
    let layout = images.join("layout");
    let store: Arc<dyn Store> = Arc::new(Layout::create(&layout).unwrap());
    images.copied(Arc::clone(&store)).await;
    let root = store.resolve(&named("v1")).await.unwrap();
    let about = Sample::about(&root, b"signature");
    deliver(&store, &about, &[]).await.unwrap();
    leave_a_part(&layout);
    run(Command::new(&umoci).arg("gc").arg("--layout").arg(&layout));
    let store = Layout::open(&layout).unwrap();
    assert_eq!(store.referrers(&root).await.unwrap().len(), 1);
    for (desc, bytes) in about.all() {
        assert_eq!(read(&store, desc, 2000).await.unwrap(), bytes);
    }
}
