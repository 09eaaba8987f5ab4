//! Behaviours of referrers.

use std::sync::Arc;

use super::{
    Candidate,
    samples::{Sample, TYPE, deliver, ref_name},
};
use crate::{
    oci::media_type,
    store::{Item, ReadStore, delete, remove_name},
};

pub(super) async fn referrers_are_listed_by_subject_with_type_and_annotations(c: Candidate) {
    let (one, two) = (Sample::of(&[b"one"]), Sample::of(&[b"two"]));
    deliver(&c.store, &one, &["v1"]).await.unwrap();
    deliver(&c.store, &two, &["v2"]).await.unwrap();
    let (sbom, signature) = (Sample::about(one.root(), b"sbom"), Sample::about(one.root(), b"signature"));
    deliver(&c.store, &sbom, &[]).await.unwrap();
    deliver(&c.store, &signature, &["tagged-too"]).await.unwrap();
    let mut expected = vec![sbom.root().digest.clone(), signature.root().digest.clone()];
    expected.sort();
    for store in [Arc::clone(&c.store) as Arc<dyn ReadStore>, c.again()] {
        let found = store.referrers(one.root()).await.unwrap();
        assert_eq!(found.iter().map(|d| d.digest.clone()).collect::<Vec<_>>(), expected);
        for desc in found {
            assert_eq!(desc.artifact_type.as_deref(), Some(TYPE));
            assert_eq!(desc.annotations.get("org.example.note").map(String::as_str), Some("sample"));
            assert_eq!(desc.media_type, media_type::MANIFEST);
        }
        assert!(store.referrers(two.root()).await.unwrap().is_empty());
        assert_eq!(store.list_names().await.unwrap().names, ["tagged-too", "v1", "v2"]);
    }
}

pub(super) async fn a_referrer_stays_one_when_its_tag_moves_or_goes(c: Candidate) {
    let one = Sample::of(&[b"one"]);
    let signature = Sample::about(one.root(), b"signature");
    deliver(&c.store, &one, &["v1"]).await.unwrap();
    deliver(&c.store, &signature, &["sig", "sig2"]).await.unwrap();
    remove_name(&*c.store, ref_name("sig")).await.unwrap();
    deliver(&c.store, &Sample::of(&[b"other"]), &["sig2"]).await.unwrap();
    let found = c.again().referrers(one.root()).await.unwrap();
    assert_eq!(found.into_iter().map(|d| d.digest).collect::<Vec<_>>(), [signature.root().digest.clone()]);
}

pub(super) async fn a_deleted_referrer_is_no_longer_listed(c: Candidate) {
    let one = Sample::of(&[b"one"]);
    let signature = Sample::about(one.root(), b"signature");
    deliver(&c.store, &one, &["v1"]).await.unwrap();
    deliver(&c.store, &signature, &[]).await.unwrap();
    delete(&*c.store, Item::manifest(signature.root().clone())).await.unwrap();
    assert!(c.again().referrers(one.root()).await.unwrap().is_empty());
}

pub(super) async fn a_referrer_may_come_before_its_subject(c: Candidate) {
    let one = Sample::of(&[b"one"]);
    let signature = Sample::about(one.root(), b"signature");
    deliver(&c.store, &signature, &[]).await.unwrap();
    assert_eq!(c.again().referrers(one.root()).await.unwrap().len(), 1);
    deliver(&c.store, &one, &["v1"]).await.unwrap();
    assert_eq!(c.again().referrers(one.root()).await.unwrap().len(), 1);
}
