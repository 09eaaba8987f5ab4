//! A part of an index: which members it keeps, and that all else of it stays.

use std::sync::Arc;

use artifact::{
    Kind,
    copy::{self, Options, Selected, Selection, narrow},
    graph::Root,
    oci::{Descriptor, Digest, Index, Parsed, annotation, media_type},
    store::{self, ReadStore, Store, set_name},
};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{STORES, kind};
use crate::support::{
    samples::{Sample, deliver, named, names, ref_name},
    server,
};

pub(super) const PLATFORMS: [&str; 3] = ["linux/amd64", "linux/arm64", "windows/amd64:10.0.20348.1"];

/// An index of images for these platforms, with an attestation of each, and with keys that nobody knows.
pub(super) fn images() -> Sample {
    let images = PLATFORMS.map(|platform| Sample::of(&[platform.as_bytes()]));
    let attestations = images.clone().map(|image| Sample::of(&[b"about", image.root().digest.to_string().as_bytes()]));
    let mut all = Sample::index(&[images.to_vec(), attestations.to_vec()].concat());
    let member = |(image, platform): (&Sample, &str)| {
        let mut value = serde_json::to_value(image.root()).unwrap();
        let (os, rest) = platform.split_once('/').unwrap();
        let (architecture, version) = rest.split_once(':').map_or((rest, None), |(cpu, version)| (cpu, Some(version)));
        value["platform"] = json!({"os": os, "architecture": architecture});
        if let Some(version) = version {
            value["platform"]["os.version"] = version.into();
        }
        value["x-more"] = json!([1, 2.5]);
        value
    };
    let about = |(attestation, image): (&Sample, &Sample)| {
        let mut value = member((attestation, "unknown/unknown"));
        let digest = image.root().digest.to_string();
        value["annotations"] =
            json!({annotation::REFERENCE_TYPE: "attestation-manifest", annotation::REFERENCE_DIGEST: digest});
        value
    };
    let members = images.iter().zip(PLATFORMS).map(member).chain(attestations.iter().zip(&images).map(about));
    let index = json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "annotations": {"a": "b"}, "x-more": [1],
        "manifests": members.collect::<Vec<Value>>()});
    let bytes = Bytes::from(index.to_string());
    *all.manifests.last_mut().unwrap() = (Descriptor::of(media_type::INDEX, &bytes), bytes);
    all
}

fn selection(platforms: &[&str], attestations: bool) -> Selection {
    let mut selection = Selection::default();
    selection.platforms = platforms.iter().map(|text| text.parse().unwrap()).collect();
    selection.attestations = attestations;
    selection
}

async fn selected(from: &Arc<dyn ReadStore>, platforms: &[&str], attestations: bool) -> artifact::Result<Selected> {
    let mut selection = selection(platforms, attestations);
    selection.new_index = true;
    narrow(from, from.resolve(&named("v1")).await.unwrap(), &selection).await
}

/// What a selection leaves, as JSON.
async fn document(from: &Arc<dyn ReadStore>, selected: &Selected) -> Value {
    let bytes = store::read_manifest(selected.store(from).as_ref(), &selected.root).await.unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn several_platforms_become_an_index_that_is_otherwise_the_same() {
    let sample = images();
    let from = sample.in_memory(&["v1"]).await;
    let whole: Value = serde_json::from_slice(&sample.manifests.last().unwrap().1).unwrap();
    // In the order of the index, not in that of the request.
    for (attestations, kept) in [(true, vec![0, 1, 3, 4]), (false, vec![0, 1])] {
        let made = selected(&from, &["linux/arm64", "linux/x86_64"], attestations).await.unwrap();
        let mut expected = whole.clone();
        expected["manifests"] = kept.iter().map(|at| whole["manifests"][*at].clone()).collect();
        assert_eq!(document(&from, &made).await, expected);
        let told = made.made.as_ref().unwrap();
        assert_eq!((&told.from, &told.to), (&sample.root().digest, &made.root.digest));
        assert_eq!((told.members, told.left_out.len(), told.referrers_left), (kept.len(), 6 - kept.len(), Some(0)));
        assert_eq!(made.root.media_type, media_type::INDEX);
        let again = selected(&from, &["linux/amd64", "linux/arm64", "linux/arm64"], attestations).await.unwrap();
        assert_eq!(again.root, made.root, "the same selection is the same index");
    }
}

#[tokio::test]
async fn attestations_are_left_out_on_request_alone() {
    let sample = images();
    let from = sample.in_memory(&["v1"]).await;
    let made = selected(&from, &[], false).await.unwrap();
    assert_eq!(document(&from, &made).await["manifests"].as_array().unwrap().len(), 3);
    assert_eq!(made.made.unwrap().left_out.len(), 3);
    // Once more changes nothing.
    let without = Arc::new(artifact::stores::Memory::new()) as Arc<dyn Store>;
    deliver(&without, &Sample::index(&[Sample::of(&[b"one"])]), &["v1"]).await.unwrap();
    let without = without as Arc<dyn ReadStore>;
    let same = selected(&without, &[], false).await.unwrap();
    assert!(same.made.is_none() && same.root == without.resolve(&named("v1")).await.unwrap());
}

#[tokio::test]
async fn an_index_of_which_nothing_is_left_out_stays_what_it_is() {
    let sample = images();
    let from = sample.in_memory(&["v1"]).await;
    for platforms in [&PLATFORMS[..], &[]] {
        let same = selected(&from, platforms, true).await.unwrap();
        assert!(same.made.is_none(), "{platforms:?}");
        assert_eq!(same.root, *sample.root());
    }
    let one = selected(&from, &["linux/arm64"], true).await.unwrap();
    assert!(one.made.is_none() && one.root.digest == sample.manifests[1].0.digest);
}

#[tokio::test]
async fn platforms_that_are_not_there_are_named_with_those_that_are() {
    let from = images().in_memory(&["v1"]).await;
    let error = selected(&from, &["linux/s390x", "linux/arm64", "linux/386"], true).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::NotFound, Some(artifact::Code::NoSuchPlatform)));
    let said = error.to_string();
    assert!(said.contains("no manifest for platform linux/s390x, linux/386 in"), "{said}");
    assert!(said.ends_with(&format!("available: {}", PLATFORMS.join(", "))), "{said}");
    assert_eq!(kind(selected(&from, &["unknown/unknown", "linux/arm64"], false).await), Kind::NotFound);
}

#[tokio::test]
async fn an_image_must_be_for_all_platforms_and_what_has_none_is_for_each() {
    let config = Bytes::from_static(br#"{"os":"linux","architecture":"arm64"}"#);
    let mut image = Sample::of(&[b"layer"]);
    let desc = Descriptor::of(media_type::IMAGE_CONFIG, &config);
    let manifest = json!({"schemaVersion": 2, "config": desc, "layers": [image.layer().0]});
    image.blobs.push((desc, config));
    let bytes = Bytes::from(manifest.to_string());
    image.manifests = vec![(Descriptor::of(media_type::MANIFEST, &bytes), bytes)];
    let from = image.in_memory(&["v1"]).await;
    assert_eq!(selected(&from, &["linux/arm64", "linux/aarch64"], true).await.unwrap().root, *image.root());
    assert_eq!(kind(selected(&from, &["linux/arm64", "linux/amd64"], true).await), Kind::NotFound);
    let other = Sample::of(&[b"no image"]).in_memory(&["v1"]).await;
    assert!(selected(&other, &["linux/arm64", "linux/amd64"], false).await.is_ok());
}

#[tokio::test]
async fn attestations_of_nothing_are_nothing() {
    let member = Descriptor {
        annotations: [(annotation::REFERENCE_TYPE.to_owned(), "attestation-manifest".to_owned())].into(),
        ..Sample::of(&[b"x"]).root().clone()
    };
    let bytes = Bytes::from(serde_json::to_vec(&Index::of(vec![member])).unwrap());
    let mut sample = Sample::index(&[Sample::of(&[b"x"])]);
    *sample.manifests.last_mut().unwrap() = (Descriptor::of(media_type::INDEX, &bytes), bytes);
    let from = sample.in_memory(&["v1"]).await;
    let error = selected(&from, &[], false).await.unwrap_err();
    assert!(error.kind() == Kind::NotFound && error.to_string().contains("has attestations only"), "{error}");
}

/// The report of a copy of two platforms.
async fn copied(from: &Arc<dyn ReadStore>, to: &Arc<dyn Store>) -> copy::Report {
    let made = selected(from, &["linux/amd64", "linux/arm64"], true).await.unwrap();
    let stores = [made.store(from)];
    let root = Root::new(made.root, names(&["v1"]));
    copy::copy_roots(&stores, vec![root], to, &Options { referrers: true, ..Options::default() }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_index_goes_to_every_store_with_its_members_and_without_what_refers_to_the_old_one() {
    let sample = images();
    let from: Arc<dyn Store> = Arc::new(artifact::stores::Memory::new());
    deliver(&from, &sample, &["v1"]).await.unwrap();
    let (signature, sbom) = (Sample::about(sample.root(), b"old"), Sample::about(&sample.manifests[0].0, b"of amd64"));
    deliver(&from, &signature, &[]).await.unwrap();
    deliver(&from, &sbom, &[]).await.unwrap();
    let [companion, ..] = artifact::oci::Tag::companions_of(&sample.root().digest);
    set_name(&*from, ref_name(&companion), sample.root()).await.unwrap();
    let from = from as Arc<dyn ReadStore>;
    let made = selected(&from, &["linux/amd64", "linux/arm64"], true).await.unwrap();
    assert_eq!(made.made.as_ref().unwrap().referrers_left, Some(2));
    let server = server::in_memory().await;
    let registry = artifact::stores::registry::Registry::new(&server.addr().to_string(), &Default::default()).unwrap();
    let remote: Arc<dyn Store> = Arc::new(registry.repository("a").unwrap());
    let all = STORES.map(|new| new()).into_iter().map(|c| (Arc::clone(&c.store), Some(c))).chain([(remote, None)]);
    for (to, _candidate) in all {
        let done = copied(&from, &to).await;
        assert_eq!((done.names[0].to.clone(), done.names[0].outcome), (made.root.digest.clone(), "new"), "{to}");
        let bytes = store::read_manifest(to.as_ref(), &to.resolve(&named("v1")).await.unwrap()).await.unwrap();
        assert_eq!(Digest::of(&bytes), made.root.digest);
        let Parsed::Index(index) = Parsed::read(media_type::INDEX, &bytes).unwrap() else { panic!("an index") };
        for member in &index.manifests {
            store::read_manifest(to.as_ref(), &member.bare()).await.unwrap();
        }
        assert!(to.referrers(&made.root).await.unwrap().is_empty(), "{to}");
        assert_eq!(to.referrers(&sample.manifests[0].0).await.unwrap().len(), 1, "{to}: what refers to a member");
        assert_eq!(kind(to.resolve(&sample.root().digest.clone().into()).await), Kind::NotFound, "{to}");
        let again = copied(&from, &to).await;
        assert_eq!((again.moved, again.names[0].outcome), (0, "same"), "{to}");
    }
}
