//! Behaviours of names.

use std::sync::Arc;

use super::{
    Candidate,
    failing::Failing,
    questions::{content, has, kind, sample},
    samples::{Sample, deliver, named, names, noise, ref_name},
};
use crate::{
    copy,
    error::Kind,
    oci::Descriptor,
    store::{Item, ReadStore, Store, delete, read_named, remove_name, set_name},
};

pub(super) async fn a_manifest_is_found_by_tag_and_by_digest(c: Candidate) {
    let sample = sample();
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    let by_digest = sample.root().digest.to_string();
    for name in ["v1", by_digest.as_str()] {
        for store in [Arc::clone(&c.store) as Arc<dyn ReadStore>, c.again()] {
            assert_eq!(store.resolve(&named(name)).await.unwrap(), *sample.root(), "{name}");
            let (desc, bytes) = read_named(store.as_ref(), &named(name)).await.unwrap();
            assert_eq!((&desc, Descriptor::of(&desc.media_type, &bytes)), (sample.root(), desc.clone()), "{name}");
        }
    }
}

pub(super) async fn a_manifest_without_tag_and_the_children_of_an_index_are_found_by_digest(c: Candidate) {
    let index = Sample::index(&[Sample::of(&[b"one"]), Sample::of(&[b"two"])]);
    deliver(&c.store, &index, &[]).await.unwrap();
    for (desc, _) in &index.manifests {
        assert_eq!(c.again().resolve(&named(desc.digest.to_string())).await.unwrap(), *desc);
    }
    assert!(c.again().list_names().await.unwrap().names.is_empty());
}

pub(super) async fn tags_are_sorted_and_each_is_listed_once(c: Candidate) {
    deliver(&c.store, &sample(), &["v2", "b", "v10"]).await.unwrap();
    deliver(&c.store, &Sample::of(&[b"other"]), &["a", "v2"]).await.unwrap();
    for store in [Arc::clone(&c.store) as Arc<dyn ReadStore>, c.again()] {
        assert_eq!(store.list_names().await.unwrap().names, ["a", "b", "v10", "v2"]);
        assert_eq!(store.list_names_after("b").await.unwrap().names, ["v10", "v2"]);
        assert!(store.list_names_after("v2").await.unwrap().names.is_empty());
    }
}

/// Of a store that can give a part of its names.
pub(super) async fn names_in_parts_are_all_names_in_order(c: Candidate) {
    deliver(&c.store, &sample(), &["v2", "b", "v10", "B"]).await.unwrap();
    deliver(&c.store, &Sample::of(&[b"other"]), &["a", "v2"]).await.unwrap();
    let store = c.again();
    let all = store.list_names().await.unwrap().names;
    for most in 0..=all.len() {
        for at in 0..=all.len() {
            let last = at.checked_sub(1).map(|before| all[before].as_str());
            let Some(part) = store.names_after(last, most).await.unwrap() else { return };
            let end = all.len().min(at + most);
            assert_eq!((part.names.as_slice(), part.more), (&all[at..end], end < all.len()), "{most} from {at}");
        }
    }
    let between = store.names_after(Some("aa"), 1).await.unwrap().unwrap();
    assert_eq!(between.names, ["b"]);
}

pub(super) async fn a_tag_moves_and_its_old_manifest_stays(c: Candidate) {
    let (one, two) = (Sample::of(&[b"one"]), Sample::of(&[b"two"]));
    deliver(&c.store, &one, &["v1"]).await.unwrap();
    deliver(&c.store, &two, &["v1"]).await.unwrap();
    let store = c.again();
    assert_eq!(store.resolve(&named("v1")).await.unwrap(), *two.root());
    assert_eq!(store.list_names().await.unwrap().names, ["v1"]);
    assert_eq!(store.resolve(&named(one.root().digest.to_string())).await.unwrap(), *one.root());
}

pub(super) async fn a_tag_is_set_on_what_is_there_and_on_nothing_else(c: Candidate) {
    let sample = sample();
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    set_name(&*c.store, ref_name("stable"), sample.root()).await.unwrap();
    assert_eq!(c.again().resolve(&named("stable")).await.unwrap(), *sample.root());
    let absent = Sample::of(&[b"absent"]);
    assert_eq!(kind(set_name(&*c.store, ref_name("v9"), absent.root()).await), Kind::NotFound);
    assert_eq!(c.again().list_names().await.unwrap().names, ["stable", "v1"]);
}

/// After a failure in any call of a copy, the handle shows the same as others, and reported changes are made.
pub(super) async fn a_handle_after_a_failed_copy_is_as_good_as_a_new_one(c: Candidate) {
    let (one, two) = (sample(), Sample::of(&[b"another", &noise(300_000, 5)]));
    deliver(&c.store, &one, &["v1"]).await.unwrap();
    let from = two.in_memory(&["v2"]).await;
    let options = copy::Options { names: names(&["v2"]), ..copy::Options::default() };
    for n in 0.. {
        let to: Arc<dyn Store> = Arc::new(Failing::from(Arc::clone(&c.store), n));
        if copy::between(&from, &named("v2"), &to, &options).await.is_ok() {
            assert!(n >= 3, "{n} calls");
            break;
        }
        assert_eq!(c.store.list_names().await.unwrap().names, c.again().list_names().await.unwrap().names, "call {n}");
        for (tag, here) in [("stable", true), ("v1", true), ("nowhere", false)] {
            if here {
                set_name(&*c.store, ref_name(tag), one.root()).await.unwrap();
                assert_eq!(c.again().resolve(&named(tag)).await.unwrap(), *one.root(), "call {n}");
            }
            assert_eq!(remove_name(&*c.store, ref_name(tag)).await.is_ok(), here, "call {n}");
            assert_eq!(kind(c.again().resolve(&named(tag)).await), Kind::NotFound, "call {n}");
        }
        deliver(&c.store, &one, &["v1"]).await.unwrap();
        assert_eq!(c.again().resolve(&named("v1")).await.unwrap(), *one.root(), "call {n}");
    }
    assert_eq!(c.again().list_names().await.unwrap().names, ["v1", "v2"]);
    assert_eq!(content(&c, &two.layer().0).await.unwrap(), two.layer().1);
}

pub(super) async fn a_tag_is_removed_and_its_manifest_stays(c: Candidate) {
    let sample = sample();
    deliver(&c.store, &sample, &["v1", "v2"]).await.unwrap();
    for tag in ["v1", "v2"] {
        remove_name(&*c.store, ref_name(tag)).await.unwrap();
        assert_eq!(kind(c.again().resolve(&named(tag)).await), Kind::NotFound);
        assert_eq!(kind(remove_name(&*c.store, ref_name(tag)).await), Kind::NotFound);
    }
    assert_eq!(c.again().resolve(&named(sample.root().digest.to_string())).await.unwrap(), *sample.root());
}

pub(super) async fn a_deleted_manifest_takes_its_tags_along(c: Candidate) {
    let (one, two) = (Sample::of(&[b"one"]), Sample::of(&[b"two"]));
    deliver(&c.store, &one, &["v1", "v2"]).await.unwrap();
    deliver(&c.store, &two, &["v3"]).await.unwrap();
    delete(&*c.store, Item::manifest(one.root().clone())).await.unwrap();
    assert!(!has(&*c.store, one.root()).await.unwrap());
    let store = c.again();
    assert_eq!(store.list_names().await.unwrap().names, ["v3"]);
    assert_eq!(kind(store.resolve(&named(one.root().digest.to_string())).await), Kind::NotFound);
    assert_eq!(kind(delete(&*c.store, Item::manifest(one.root().clone())).await), Kind::NotFound);
    assert_eq!(content(&c, &two.layer().0).await.unwrap(), two.layer().1);
}

pub(super) async fn one_manifest_is_published_under_several_tags(c: Candidate) {
    let sample = sample();
    deliver(&c.store, &sample, &["v1", "v1.2", "latest"]).await.unwrap();
    for tag in ["v1", "v1.2", "latest"] {
        assert_eq!(c.again().resolve(&named(tag)).await.unwrap(), *sample.root());
    }
}

pub(super) async fn a_tag_that_cannot_be_stored_is_an_error(c: Candidate) {
    let sample = sample();
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    let mut stored = vec!["v1"];
    // Names that layouts have, and registries do not.
    for name in ["a/b", "a/b:c", "localhost:5000/a/b:c", "stable+build"] {
        match set_name(&*c.store, ref_name(name), sample.root()).await {
            Ok(()) => stored.push(name),
            Err(e) => assert_eq!(e.kind(), Kind::Invalid, "{name:?}"),
        }
    }
    stored.sort_unstable();
    assert_eq!(c.again().list_names().await.unwrap().names, stored);
}

pub(super) async fn many_tags_in_one_copy_are_all_there(c: Candidate) {
    let tags: Vec<String> = (0..300).map(|n| format!("v{n:03}")).collect();
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    deliver(&c.store, &sample(), &tags).await.unwrap();
    assert_eq!(c.again().list_names().await.unwrap().names, tags);
}
