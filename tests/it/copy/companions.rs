//! What cosign keeps about a manifest under tags of its own comes along with it.

use std::sync::Arc;

use artifact::{
    copy,
    copy::Options,
    graph,
    oci::{Descriptor, Tag},
    store::{ReadStore, Store},
};

use super::{holds, options, with_referrers};
use crate::{
    stores::{archive, layout, memory},
    support::{
        faulty::Faulty,
        program::{Served, World},
        samples::{Sample, deliver, named},
    },
};

/// An image with all that cosign can make, and each with its tag.
struct Signed {
    image: Sample,
    kept: Vec<(String, Sample)>,
}

impl Signed {
    fn new() -> Self {
        let image = Sample::of(&[b"image"]);
        let tags = Tag::companions_of(&image.root().digest).map(|tag| tag.to_string());
        let kept = tags.into_iter().map(|tag| (tag.clone(), Sample::of(&[tag.as_bytes()]))).collect();
        Self { image, kept }
    }

    async fn deliver(&self, to: &Arc<dyn Store>) {
        deliver(to, &self.image, &["v1"]).await.unwrap();
        for (tag, sample) in &self.kept {
            deliver(to, sample, &[tag]).await.unwrap();
        }
        deliver(to, &Sample::of(&[b"of another image"]), &[&companion(&Descriptor::of("a/b", b"x"))]).await.unwrap();
    }

    async fn is_at(&self, store: &Arc<dyn ReadStore>, tag: &str) {
        let mut expected: Vec<&str> = self.kept.iter().map(|(tag, _)| tag.as_str()).chain([tag]).collect();
        expected.sort();
        assert_eq!(store.list_names().await.unwrap().names, expected, "{store}");
        holds(store.as_ref(), &self.image).await;
        for (tag, sample) in &self.kept {
            assert_eq!(store.resolve(&named(tag)).await.unwrap().digest, sample.root().digest, "{store}");
            holds(store.as_ref(), sample).await;
        }
    }
}

fn companion(of: &Descriptor) -> String {
    let [signature, ..] = Tag::companions_of(&of.digest);
    signature.to_string()
}

#[tokio::test]
async fn they_go_from_a_layout_to_a_registry_to_an_archive() {
    let (signed, world) = (Signed::new(), Faulty::new(""));
    let (from, tar) = (layout(), archive());
    signed.deliver(&from.store).await;
    let there: Arc<dyn Store> = Arc::new(world.repository(&Default::default()));
    copy::between(&from.again(), &named("v1"), &there, &with_referrers(&["new"])).await.unwrap();
    let registry: Arc<dyn ReadStore> = Arc::new(world.repository(&Default::default()));
    signed.is_at(&registry, "new").await;
    let report = copy::between(&registry, &named("new"), &tar.store, &with_referrers(&["v1"])).await.unwrap();
    signed.is_at(&tar.again(), "v1").await;
    assert!(report.notes.is_empty(), "{:?}", report.notes);
    // An artifact that is there with all that belongs to it is up to date.
    let again = copy::between(&registry, &named("new"), &tar.store, &with_referrers(&["v1"])).await.unwrap();
    assert_eq!((again.moved, again.present), (0, report.moved));
}

#[tokio::test]
async fn their_names_are_set_before_the_name_of_what_they_are_about() {
    let (signed, world, from) = (Signed::new(), Faulty::new(""), memory());
    signed.deliver(&from.store).await;
    let there: Arc<dyn Store> = Arc::new(world.repository(&Default::default()));
    let report = copy::between(&from.again(), &named("v1"), &there, &with_referrers(&["a"])).await.unwrap();
    let seen = world.seen();
    let paths = seen.iter().filter(|seen| seen.method == "PUT").map(|seen| seen.uri.path().to_owned());
    let named: Vec<String> = paths.filter(|path| path.contains("/manifests/") && !path.contains("sha256:")).collect();
    assert_eq!(named.len(), 4);
    assert!(named[3].ends_with("/manifests/a"), "{named:?}");
    assert_eq!(report.names.last().unwrap().name, "a");
}

#[tokio::test]
async fn those_of_a_child_of_an_index_and_of_a_referrer_come_along_and_none_without_referrers() {
    let child = Sample::of(&[b"child"]);
    let index = Sample::index(&[child.clone(), Sample::of(&[b"other"])]);
    let sbom = Sample::about(index.root(), b"sbom");
    let from = layout();
    deliver(&from.store, &index, &["v1"]).await.unwrap();
    deliver(&from.store, &sbom, &[]).await.unwrap();
    let tags = [companion(child.root()), companion(sbom.root())];
    for tag in &tags {
        deliver(&from.store, &Sample::of(&[tag.as_bytes()]), &[tag]).await.unwrap();
    }
    for (referrers, expected) in [(true, 3), (false, 1)] {
        let to = memory();
        copy::between(&from.again(), &named("v1"), &to.store, &Options { referrers, ..options(&["v1"]) })
            .await
            .unwrap();
        assert_eq!(to.store.list_names().await.unwrap().names.len(), expected);
    }
}

#[tokio::test]
async fn questions_about_them_that_are_all_refused_are_one_note() {
    let signed = Signed::new();
    let faults = "{on: GET tags, nth: all, refuse: {status: 403}}, {on: GET|HEAD /manifests/sha256-, nth: all, refuse: {status: 403}}";
    let world = Faulty::new(faults);
    signed.deliver(&world.store().await).await;
    let from: Arc<dyn ReadStore> = Arc::new(world.repository(&Default::default()));
    let report = copy::between(&from, &named("v1"), &layout().store, &with_referrers(&["v1"])).await.unwrap();
    let [note] = report.notes.as_slice() else { panic!("{:?}", report.notes) };
    assert!(note.contains("403") && note.contains("more such tags"), "{note}");
}

#[tokio::test]
async fn a_question_about_them_that_is_refused_is_a_note() {
    let (signed, from) = (Signed::new(), "{on: GET tags, nth: all, refuse: {status: 403}}");
    let sig = &signed.kept[0].0;
    let world = Faulty::new(&format!("{from}, {{on: GET|HEAD /manifests/{sig}, nth: all, refuse: {{status: 403}}}}"));
    signed.deliver(&world.store().await).await;
    let from: Arc<dyn ReadStore> = Arc::new(world.repository(&Default::default()));
    let to = layout();
    let report = copy::between(&from, &named("v1"), &to.store, &with_referrers(&["v1"])).await.unwrap();
    let [note] = report.notes.as_slice() else { panic!("{:?}", report.notes) };
    assert!(note.contains(sig.as_str()) && note.contains("403"), "{note}");
    assert_eq!(to.store.list_names().await.unwrap().names.len(), 3, "what was answered came along");
}

#[tokio::test]
async fn what_is_left_of_a_manifest_that_is_gone_can_be_asked_for() {
    let signed = Signed::new();
    for store in [memory(), layout()] {
        signed.deliver(&store.store).await;
        let found = graph::companions(store.store.as_ref(), &signed.image.root().digest).await.unwrap();
        let found: Vec<_> = found.into_iter().map(|(tag, desc)| (tag.to_string(), desc.digest)).collect();
        let expected = signed.kept.iter().map(|(tag, sample)| (tag.clone(), sample.root().digest.clone()));
        assert_eq!(found, expected.collect::<Vec<_>>());
        assert_eq!(graph::companions(store.store.as_ref(), &signed.kept[0].1.root().digest).await.unwrap(), []);
    }
}

#[test]
fn copy_pull_and_delete_take_them() {
    let world = World::new();
    world.write("hi", "hi");
    world.write("sig", "signature");
    let registry = Served::start(&world, "--writable");
    let image = world.ok("push hi oci:s:v1 -t file-bundle -q");
    let sig = format!("{}.sig", image.trim().replace(':', "-"));
    world.ok(&format!("push sig oci:s:{sig} -t file-bundle -q"));
    let there = format!("{}/a", registry.addr);
    world.ok(&format!("copy oci:s:v1 {there}:v1"));
    assert_eq!(world.ok(&format!("ls {there}")), format!("{sig}\nv1\n"));
    world.ok(&format!("pull {there}:v1 with --referrers"));
    assert_eq!(world.ok("ls oci:with"), format!("{sig}\nv1\n"));
    world.ok(&format!("pull {there}:v1 without"));
    assert_eq!(world.ok("ls oci:without"), "v1\n");
    let deleted = world.run(&format!("delete oci:with@{}", image.trim()));
    assert_eq!(deleted.code, 0, "{}", deleted.stderr);
    assert!(deleted.stderr.contains(&format!("deleted oci:with:{sig}, which cosign keeps")), "{}", deleted.stderr);
    assert_eq!(world.ok("ls oci:with"), "");
    assert!(!world.run(&format!("delete oci:without@{}", image.trim())).stderr.contains("warning"));
}
