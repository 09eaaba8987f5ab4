//! The verbs over locations: push, attach, copy, pull.

use artifact::{Context, CopyOptions, Kind, attach, copy, location, oci::Descriptor, pull, push};
use tempfile::TempDir;

/// A layout with a note, tagged `v1`, and something about it.
struct World {
    dir: TempDir,
    context: Context,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = Self { context: Context::new(dir.path()), dir };
        let note = world.dir.path().join("note.txt");
        std::fs::write(&note, "buy milk").unwrap();
        let from = world.at("oci", "from:v1");
        push(&note, &from, &world.context, &push::Options::default()).await.unwrap();
        attach(&from, &note, &world.context, &push::Options::default()).await.unwrap();
        world
    }

    fn at(&self, scheme: &str, name: &str) -> String {
        format!("{scheme}:{}/{name}", self.dir.path().display())
    }

    async fn copied(&self, to: &str, options: &CopyOptions) -> artifact::Result<copy::Report> {
        copy(&self.at("oci", "from:v1"), to, &self.context, options).await
    }

    /// What is at this location, and how much refers to it there.
    async fn found(&self, location: &str) -> (Descriptor, usize) {
        let found = location::open(location, &self.context).await.unwrap();
        let root = found.resolve().await.unwrap().bare();
        let referrers = found.store.referrers(&root).await.unwrap().len();
        (root, referrers)
    }
}

#[tokio::test]
async fn a_copy_takes_along_what_refers_to_the_artifact_unless_it_is_told_otherwise() {
    let world = World::new().await;
    let (from, _) = world.found(&world.at("oci", "from:v1")).await;
    let mut alone = CopyOptions::default();
    alone.referrers = false;
    for (to, options, referrers) in [("a:v1", CopyOptions::default(), 1), ("b:v1", alone, 0)] {
        for scheme in ["oci", "oci-archive"] {
            let to = world.at(scheme, &format!("{scheme}-{to}"));
            let report = world.copied(&to, &options).await.unwrap();
            assert_eq!(report.root.digest, from.digest, "{to}");
            assert_eq!(world.found(&to).await, (from.clone(), referrers), "{to}");
        }
    }
}

#[tokio::test]
async fn a_pull_takes_along_what_refers_to_the_artifact_only_when_it_is_asked_to() {
    let world = World::new().await;
    for referrers in [false, true] {
        let mut options = pull::Options::default();
        options.referrers = referrers;
        let to = world.at("oci", &format!("{referrers}:v1"));
        pull(&world.at("oci", "from:v1"), &to, &world.context, &options).await.unwrap();
        assert_eq!(world.found(&to).await.1, usize::from(referrers));
    }
}

#[tokio::test]
async fn a_pull_goes_into_no_registry() {
    let world = World::new().await;
    let pulled = pull(&world.at("oci", "from:v1"), "localhost:1/a:v1", &world.context, &pull::Options::default()).await;
    let error = pulled.unwrap_err();
    assert!(error.kind() == Kind::Misuse && error.to_string().contains("pull to a layout or archive"), "{error}");
}

#[tokio::test]
async fn a_copy_has_the_tag_of_its_target_else_its_own_even_beside_a_digest() {
    let world = World::new().await;
    for (to, name) in [("to:other", "other"), ("to", "v1")] {
        let report = world.copied(&world.at("oci", to), &CopyOptions::default()).await.unwrap();
        let names: Vec<_> = report.names.iter().map(|named| named.name.as_str()).collect();
        assert_eq!(names, [name]);
    }
    let (root, _) = world.found(&world.at("oci", "from:v1")).await;
    let by_digest = world.at("oci", &format!("from@{}", root.digest));
    let to = world.at("oci", "unnamed");
    let report = copy(&by_digest, &to, &world.context, &CopyOptions::default()).await.unwrap();
    assert_eq!((&report.root.digest, report.names), (&root.digest, Vec::new()));
    // A digest says which artifact; a tag beside it is still its name.
    for (to, name) in [("pinned", "v1"), ("renamed:v2", "v2")] {
        let from = world.at("oci", &format!("from:v1@{}", root.digest));
        let report = copy(&from, &world.at("oci", to), &world.context, &CopyOptions::default()).await.unwrap();
        let names: Vec<_> = report.names.iter().map(|named| named.name.as_str()).collect();
        assert_eq!((&report.root.digest, names), (&root.digest, vec![name]));
    }
}

#[tokio::test]
async fn nothing_is_made_for_a_copy_of_what_is_not_there() {
    let world = World::new().await;
    let (from, to) = (world.at("oci", "from:v2"), world.at("oci", "to:v2"));
    let error = copy(&from, &to, &world.context, &CopyOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().starts_with(&format!("copy {from} to {to}: ")), "{error}");
    assert!(!world.dir.path().join("to").exists());
}
