//! Bundles that travel between us and oras, in both directions.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command, sync::Arc};

use artifact::{
    copy,
    oci::Manifest,
    store::{Name, ReadStore, Store},
    stores::Layout,
    types::{Catalog, View},
    unpack,
};

use super::{packed, plan_with, set, tree};
use crate::{
    harness::{Test, tests},
    support::{
        peer, run,
        samples::{named, names},
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["oras"]
            single oras_restores_what_we_pack,
            single we_restore_what_oras_packs,
            single we_restore_what_oras_packs_of_the_directory_that_it_is_in;
        []
            single we_restore_what_we_pack_however_it_is_compressed,
            single an_unpacked_slideshow_packs_to_the_same_artifact;
    ]
}

/// A directory with everything that a bundle keeps.
fn sample() -> tempfile::TempDir {
    let dir = tree(&[
        ("docs/a.txt", "a"),
        ("docs/sub/run.sh", "#!/bin/sh\n"),
        ("docs/empty", ""),
        // Names that Windows or macOS refuse, or take for one.
        ("docs/12:00:00.log", "1"),
        ("docs/aux.c", "2"),
        ("docs/A.txt", "3"),
        ("docs/x\\y?. ", "4"),
    ]);
    fs::set_permissions(dir.path().join("docs/sub/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("sub/run.sh", dir.path().join("docs/link")).unwrap();
    dir
}

fn check(restored: &Path) {
    assert_eq!(fs::read_to_string(restored.join("a.txt")).unwrap(), "a");
    for (name, text) in [("empty", ""), ("12:00:00.log", "1"), ("aux.c", "2"), ("A.txt", "3"), ("x\\y?. ", "4")] {
        assert_eq!(fs::read_to_string(restored.join(name)).unwrap(), text, "{name}");
    }
    assert_eq!(fs::read_link(restored.join("link")).unwrap().to_str(), Some("sub/run.sh"));
    let mode = fs::metadata(restored.join("sub/run.sh")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
}

/// Packs a source into a layout, as `v1`.
async fn into_layout(source: &Path, layout: &Path, compress: &str) {
    let plan = plan_with(source, &set(&[("compress", compress)])).unwrap();
    let from: Arc<dyn ReadStore> = Arc::new(packed(&plan).await);
    let to: Arc<dyn Store> = Arc::new(Layout::create(layout).unwrap());
    let options = copy::Options { names: names(&["v1"]), ..copy::Options::default() };
    copy::between(&from, &Name::Only, &to, &options).await.unwrap();
}

/// Unpacks `v1` of a layout with the type that its manifest names.
async fn out_of_layout(layout: &Path, dest: &Path) {
    let store: Arc<dyn ReadStore> = Arc::new(Layout::open(layout).unwrap());
    let root = store.resolve(&named("v1")).await.unwrap();
    let bytes = fs::read(layout.join("blobs/sha256").join(root.digest.hex())).unwrap();
    let manifest: Manifest = serde_json::from_slice(&bytes).unwrap();
    let config = fs::read(layout.join("blobs/sha256").join(manifest.config.digest.hex())).unwrap();
    let (kind, _) = Catalog::builtin().unwrap().recognise(&manifest).unwrap();
    let steps = kind.unpacking(&manifest, &config, View::Native).unwrap();
    assert_eq!(steps.warnings, Vec::<String>::new());
    unpack::unpack(store, &steps, dest, &unpack::Options::default()).await.unwrap();
}

async fn oras_restores_what_we_pack() {
    let oras = peer("oras");
    let (source, work) = (sample(), tempfile::tempdir().unwrap());
    into_layout(&source.path().join("docs"), &work.path().join("layout"), "gzip").await;
    run(Command::new(oras).current_dir(work.path()).args(["pull", "--oci-layout", "layout:v1", "-o", "out"]));
    check(&work.path().join("out/docs"));
}

async fn we_restore_what_oras_packs() {
    let oras = peer("oras");
    let (source, work) = (sample(), tempfile::tempdir().unwrap());
    fs::write(source.path().join("note.md"), "# note\n").unwrap();
    let layout = format!("{}:v1", work.path().join("layout").display());
    run(Command::new(oras).current_dir(source.path()).args(["push", "--oci-layout", &layout, "docs", "note.md"]));
    out_of_layout(&work.path().join("layout"), &work.path().join("out")).await;
    check(&work.path().join("out/docs"));
    assert_eq!(fs::read_to_string(work.path().join("out/note.md")).unwrap(), "# note\n");
}

async fn we_restore_what_oras_packs_of_the_directory_that_it_is_in() {
    let oras = peer("oras");
    let (source, work) = (sample(), tempfile::tempdir().unwrap());
    let docs = source.path().join("docs");
    fs::set_permissions(docs.join("sub"), fs::Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(&docs, fs::Permissions::from_mode(0o555)).unwrap();
    let layout = format!("{}:v1", work.path().join("layout").display());
    run(Command::new(oras).current_dir(&docs).args(["push", "--oci-layout", &layout, "."]));
    for directory in [docs.clone(), docs.join("sub")] {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    }
    out_of_layout(&work.path().join("layout"), &work.path().join("out")).await;
    check(&work.path().join("out"));
}

async fn we_restore_what_we_pack_however_it_is_compressed() {
    let source = sample();
    for compress in ["gzip", "zstd", "none"] {
        let work = tempfile::tempdir().unwrap();
        into_layout(&source.path().join("docs"), &work.path().join("layout"), compress).await;
        out_of_layout(&work.path().join("layout"), &work.path().join("out")).await;
        check(&work.path().join("out/docs"));
    }
}

async fn an_unpacked_slideshow_packs_to_the_same_artifact() {
    let source = tree(&[
        ("slides.yaml", "title: \"a & b\"\nimages: [s/a.png, s/b.png, s/a.png]\n"),
        ("s/a.png", "a"),
        ("s/b.png", "b"),
    ]);
    let work = tempfile::tempdir().unwrap();
    let (out, layouts) = (work.path().join("out"), [work.path().join("1"), work.path().join("2")]);
    let pack = async |source: &Path, layout: &Path| {
        let plan = plan_with(source, &set(&[])).unwrap();
        let from: Arc<dyn ReadStore> = Arc::new(packed(&plan).await);
        let to: Arc<dyn Store> = Arc::new(Layout::create(layout).unwrap());
        let options = copy::Options { names: names(&["v1"]), ..copy::Options::default() };
        copy::between(&from, &Name::Only, &to, &options).await.unwrap();
        to.resolve(&named("v1")).await.unwrap().digest
    };
    let first = pack(&source.path().join("slides.yaml"), &layouts[0]).await;
    out_of_layout(&layouts[0], &out).await;
    assert_eq!(fs::read(out.join("s/b.png")).unwrap(), b"b");
    assert_eq!(pack(&out.join("slides.json"), &layouts[1]).await, first);
}
