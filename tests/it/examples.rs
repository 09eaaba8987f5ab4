//! The examples are what they say: samples pack to the manifests that were reviewed. That programs run is shown by `tests/peers`.

use std::{
    fs::{self, File, FileTimes, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use artifact::{
    oci::Manifest,
    pack::Packed,
    source::Source,
    types::{ArtifactType, Catalog, Inputs, Origin, View},
    unpack,
};

use crate::support::{
    examples::{packed, plan, root, shown},
    writing::read,
};

/// Each sample, the type that must be found for it, and its snapshot.
const SAMPLES: [(&str, &str, &str); 5] = [
    ("slides/slides.yaml", "slideshow", "slides"),
    ("slides/talk.yaml", "slideshow", "talk"),
    ("deck/deck.md", "slideshow", "deck"),
    ("chart", "helm-chart", "chart"),
    ("docs", "file-bundle", "docs"),
];

/// Copies a tree as another machine would have it: other times, other permissions beside the owner's execute bit, and
/// directories filled in another order.
fn elsewhere(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    let mut entries: Vec<_> = from.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries.iter().rev() {
        let target = to.join(path.file_name().unwrap());
        let meta = path.symlink_metadata().unwrap();
        if meta.is_symlink() {
            symlink(path.read_link().unwrap(), target).unwrap();
        } else if meta.is_dir() {
            elsewhere(path, &target);
        } else {
            fs::copy(path, &target).unwrap();
            let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
            File::options()
                .write(true)
                .open(&target)
                .unwrap()
                .set_times(FileTimes::new().set_modified(long_ago))
                .unwrap();
            let mode = if meta.permissions().mode() & 0o100 == 0 { 0o600 } else { 0o700 };
            fs::set_permissions(&target, Permissions::from_mode(mode)).unwrap();
        }
    }
    fs::set_permissions(to, Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn every_sample_is_of_the_type_that_it_is_a_sample_of() {
    for (path, kind, _) in SAMPLES {
        assert_eq!(plan(&root().join("examples").join(path)).unwrap().type_name, kind, "{path}");
    }
}

#[tokio::test]
async fn every_sample_packs_to_the_manifest_that_was_reviewed() {
    for (path, _, name) in SAMPLES {
        let plan = plan(&root().join("examples").join(path)).unwrap();
        assert_eq!(plan.warnings, Vec::<String>::new(), "{path}");
        insta::assert_snapshot!(name, shown(&packed(&plan).await.unwrap()));
    }
}

#[tokio::test]
async fn a_sample_has_the_same_digest_on_another_machine() {
    let dir = tempfile::tempdir().unwrap();
    elsewhere(&root().join("examples"), &dir.path().join("examples"));
    for (path, ..) in SAMPLES {
        let here = packed(&plan(&root().join("examples").join(path)).unwrap()).await.unwrap();
        let there = packed(&plan(&dir.path().join("examples").join(path)).unwrap()).await.unwrap();
        assert_eq!(here.manifest(), there.manifest(), "{path}");
    }
}

/// Unpacks into `dest` what was packed, as the type that claims the manifest says.
async fn unpacked(packed: Packed, dest: &Path) {
    let manifest: Manifest = serde_json::from_slice(packed.manifest()).unwrap();
    let config = read(&packed, packed.config().unwrap(), 1 << 20).await.unwrap();
    let (kind, _) = Catalog::builtin().unwrap().recognise(&manifest).unwrap();
    let steps = kind.unpacking(&manifest, &config, View::Tree).unwrap();
    unpack::unpack(Arc::new(packed), &steps, dest, &unpack::Options::default()).await.unwrap();
}

#[tokio::test]
async fn what_a_sample_unpacks_to_packs_to_the_same_digest() {
    for (path, back) in [
        ("slides/slides.yaml", "slides.yaml"),
        ("slides/talk.yaml", "talk.yaml"),
        ("deck/deck.md", "deck.md"),
        ("chart", "notice-board"),
        ("docs", "docs"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (source, dest) = (root().join("examples").join(path), dir.path().join("back"));
        let first = packed(&plan(&source).unwrap()).await.unwrap();
        let digest = first.root().digest.clone();
        unpacked(first, &dest).await;
        if back.ends_with(".yaml") {
            // What was written by hand is in the config, as JSON; the pictures must be those that came back.
            fs::copy(&source, dest.join(back)).unwrap();
        }
        let again = packed(&plan(&dest.join(back)).unwrap()).await.unwrap();
        assert_eq!(again.root().digest, digest, "{path}");
    }
}

#[tokio::test]
async fn the_definition_in_the_deck_packs_notes() {
    let deck = fs::read_to_string(root().join("examples/deck/deck.md")).unwrap();
    let definition = deck.split("```").find_map(|part| part.strip_prefix("yaml\napiVersion")).unwrap();
    let kind =
        ArtifactType::parse(&format!("apiVersion{definition}"), Origin::File("deck".into())).map(Arc::new).unwrap();
    let source = Source::open(root().join("examples/notes")).unwrap();
    let packed = packed(&kind.plan(&source, &Inputs::default()).unwrap()).await.unwrap();
    let titles: Vec<_> = packed.layers().iter().filter_map(|layer| layer.title()).collect();
    assert_eq!(titles, ["air-gap.txt", "names.txt", "talk.txt"]);
    assert!(packed.layers().iter().all(|layer| layer.media_type == "text/plain"));
}
