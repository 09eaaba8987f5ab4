//! The examples are what they say: samples pack to the manifests that were reviewed, programs run.

use std::{
    fs::{self, File, FileTimes, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, SystemTime},
};

use artifact::{
    Result,
    oci::Manifest,
    pack::{self, Packed},
    plan::Plan,
    source::Source,
    store,
    types::{ArtifactType, Catalog, Inputs, Origin, View, plugin},
    unpack,
};

use crate::support::run;

/// Each sample, the type that must be found for it, and its snapshot.
const SAMPLES: [(&str, &str, &str); 5] = [
    ("slides/slides.yaml", "slideshow", "slides"),
    ("slides/talk.yaml", "slideshow", "talk"),
    ("deck/deck.md", "slideshow", "deck"),
    ("chart", "helm-chart", "chart"),
    ("docs", "file-bundle", "docs"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn plan(source: &Path) -> Result<Plan> {
    let source = Source::open(source)?;
    Catalog::builtin()?.detect(&source)?.0.plan(&source, &Inputs::default())
}

async fn packed(plan: &Plan) -> Result<Packed> {
    let scratch = tempfile::tempdir()?;
    pack::pack(plan, &pack::Options { threads: 2, ..pack::Options::new(scratch.path()) }).await
}

/// The manifest for a reviewer, and the digest of the bytes that a registry gets.
fn shown(packed: &Packed) -> String {
    let manifest: serde_json::Value = serde_json::from_slice(packed.manifest()).unwrap();
    format!("{}\n{}", packed.root().digest, serde_json::to_string_pretty(&manifest).unwrap())
}

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

/// An example program. `cargo test` builds the examples; `cargo test --test it` does not, and skips them visibly where
/// they were never built.
fn example(name: &str) -> Option<PathBuf> {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples").join(name);
    if program.is_file() {
        return Some(program);
    }
    assert!(std::env::var_os("ARTIFACT_REQUIRE_PEERS").is_none(), "{} is not built", program.display());
    eprintln!("skipped: example {name} is not built");
    None
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
    let config = store::read(&packed, packed.config(), 1 << 20).await.unwrap();
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
    let kind = ArtifactType::parse(&format!("apiVersion{definition}"), Origin::File("deck".into())).unwrap();
    let source = Source::open(root().join("examples/notes")).unwrap();
    let packed = packed(&kind.plan(&source, &Inputs::default()).unwrap()).await.unwrap();
    let titles: Vec<_> = packed.layers().iter().filter_map(|layer| layer.title()).collect();
    assert_eq!(titles, ["air-gap.txt", "names.txt", "talk.txt"]);
    assert!(packed.layers().iter().all(|layer| layer.media_type == "text/plain"));
}

#[test]
fn the_custom_store_takes_an_artifact_once() {
    let Some(program) = example("custom_store") else { return };
    let printed = run(&mut Command::new(program));
    assert!(printed.contains(": 3 moved, "), "{printed}");
    assert!(printed.contains("again: 0 moved, 3 present"), "{printed}");
    assert!(printed.contains("3 content\n1 manifests\n1 tags"), "{printed}");
}

#[tokio::test]
async fn the_plug_in_prints_a_plan_that_packs() {
    let Some(program) = example("artifact-type-notes") else { return };
    let source = Source::open(root().join("examples/notes")).unwrap();
    let inputs = Inputs { annotations: [("com.example.by".into(), "me".into())].into(), ..Default::default() };
    let plan = plugin::run(&program, &source, &inputs, Duration::from_secs(60)).await.unwrap();
    insta::assert_snapshot!("notes", shown(&packed(&plan).await.unwrap()));
}

#[tokio::test]
async fn the_whole_way_ends_in_a_layout_with_the_digest_that_packing_gave() {
    let Some(program) = example("pack_and_push") else { return };
    let talk = root().join("examples/slides/talk.yaml");
    let printed = run(Command::new(program).arg(&talk));
    let packed = packed(&plan(&talk).unwrap()).await.unwrap();
    assert!(printed.contains(&format!("{}\n", packed.root().digest)), "{printed}");
    // Manifest, config and ten pictures; the tag is the version that the talk gives itself.
    assert!(printed.contains(":v1: 12 moved, "), "{printed}");
}
