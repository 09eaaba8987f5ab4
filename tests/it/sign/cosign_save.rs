//! Layouts as `cosign save` writes them: an image without a name, its signatures of before beside it, and bundles that
//! nothing lists.

use std::sync::Arc;

use artifact::{
    copy,
    sign::{PublicKey, Requirement, Signer},
    store::{Name, ReadStore, Store},
    stores::{Archive, Layout, Memory},
};

use crate::support::{
    program::World,
    samples::named,
    signing::{copy_of, outcome, vector},
};

const LAYOUTS: [&str; 2] = ["cosign-save-bundle", "cosign-save-legacy"];

fn requirement(key: &str) -> Requirement {
    Requirement::signature(vec![Signer::Key(PublicKey::read(&vector(key)).unwrap())])
}

#[tokio::test]
async fn what_cosign_saved_is_verified_and_stays_signed_when_it_is_copied() {
    for name in LAYOUTS {
        let layout: Arc<dyn ReadStore> = Arc::new(Layout::open(vector(name)).unwrap());
        let subject = layout.resolve(&Name::Only).await.unwrap();
        assert_eq!(outcome(layout.as_ref(), &subject, &requirement("keys/p256.pub")).await, "verified", "{name}");
        assert_eq!(outcome(layout.as_ref(), &subject, &requirement("keys/other.pub")).await, "rejected", "{name}");
        let to: Arc<dyn Store> = Arc::new(Memory::new());
        let options = copy::Options { names: vec!["v1".parse().unwrap()], referrers: true, ..copy::Options::default() };
        copy::between(&layout, &Name::Only, &to, &options).await.unwrap();
        let subject = to.resolve(&named("v1")).await.unwrap();
        assert_eq!(outcome(to.as_ref(), &subject, &requirement("keys/p256.pub")).await, "verified", "{name}");
    }
}

#[test]
fn a_layout_of_one_signed_artifact_needs_no_tag() {
    let world = World::new();
    let key = vector("keys/p256.pub");
    for name in [LAYOUTS[0], LAYOUTS[1], "layouts/legacy-key", "layouts/both-formats"] {
        copy_of(&vector(name), &world.path().join("layout"));
        let before = std::fs::read(world.path().join("layout/index.json")).unwrap();
        let said = world.ok(&format!("verify oci:layout --key {}", key.display()));
        assert!(said.contains(": verified\n"), "{name}: {said}");
        assert!(world.ok("tree oci:layout").lines().count() > 1, "{name}");
        world.fails(&format!("verify oci:layout --key {}", vector("keys/other.pub").display()), 3, &[]);
        assert_eq!(std::fs::read(world.path().join("layout/index.json")).unwrap(), before, "{name}");
        std::fs::remove_dir_all(world.path().join("layout")).unwrap();
    }
}

#[tokio::test]
async fn an_archive_of_what_cosign_saved_is_verified() {
    for name in LAYOUTS {
        let work = tempfile::tempdir().unwrap();
        let file = work.path().join("saved.tar");
        let mut tar = tar::Builder::new(std::fs::File::create(&file).unwrap());
        tar.append_dir_all(".", vector(name)).unwrap();
        tar.into_inner().unwrap();
        let archive = Archive::open(&file).unwrap();
        let subject = archive.resolve(&Name::Only).await.unwrap();
        assert_eq!(outcome(&archive, &subject, &requirement("keys/p256.pub")).await, "verified", "{name}");
        assert_eq!(outcome(&archive, &subject, &requirement("keys/other.pub")).await, "rejected", "{name}");
    }
}

/// What was found is listed from then on, as other tools expect it.
#[test]
fn a_layout_of_cosign_that_is_written_to_lists_its_bundles() {
    let world = World::new();
    copy_of(&vector(LAYOUTS[0]), &world.path().join("layout"));
    let subject = "sha256:261afccca7d0ca604e85639fad268efdae0bd9052a26eb464f59305d1d692979";
    world.ok(&format!("tag oci:layout@{subject} v1"));
    let index = std::fs::read_to_string(world.path().join("layout/index.json")).unwrap();
    assert!(index.contains("sha256:bba0f20edc33652ca6d086716e6c26c38fa85c61099f858f28d5569580be5056"), "{index}");
    let said = world.ok(&format!("verify oci:layout:v1 --key {}", vector("keys/p256.pub").display()));
    assert!(said.contains(": verified\n"), "{said}");
}
