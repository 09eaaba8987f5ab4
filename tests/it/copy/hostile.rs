//! Graphs that somebody made to hurt whoever walks them.

use std::sync::Arc;

use artifact::{
    Kind, copy,
    copy::Options,
    graph::{Graph, MAX_DEPTH, MAX_ENTRIES, Root},
    oci::{Descriptor, Digest, Index, media_type},
    store::{ReadStore, Store},
    stores::Memory,
};
use bytes::Bytes;

use super::{kind, with_referrers};
use crate::{
    stores::memory,
    support::{
        samples::{Sample, deliver, named},
        watched::{Fault, Watched},
        writing::put,
    },
};

/// Stores an index of these entries and describes it.
async fn index_of(store: &Arc<dyn Store>, entries: Vec<Descriptor>) -> Descriptor {
    let bytes = Bytes::from(serde_json::to_vec(&Index::of(entries)).unwrap());
    let desc = Descriptor::of(media_type::INDEX, &bytes);
    put(store.as_ref(), &desc, &bytes).await.unwrap();
    desc
}

async fn walk(store: Arc<dyn Store>, root: Descriptor) -> artifact::Result<Graph> {
    let store: Arc<dyn ReadStore> = store;
    Graph::of(&[store], vec![Root::new(root, Vec::new())], false).await
}

#[tokio::test]
async fn a_tower_of_indexes_is_climbed_to_a_limit() {
    for (height, fits) in [(MAX_DEPTH, true), (MAX_DEPTH + 1, false), (1000, false)] {
        let store: Arc<dyn Store> = Arc::new(Memory::new());
        let mut top = index_of(&store, Vec::new()).await;
        for _ in 0..height {
            top = index_of(&store, vec![top]).await;
        }
        match walk(store, top).await {
            Ok(graph) => assert_eq!((graph.manifests.len(), fits), (height + 1, true)),
            Err(e) => assert_eq!((e.kind(), fits), (Kind::Limit, false)),
        }
    }
}

#[tokio::test]
async fn an_index_that_fans_out_without_end_is_refused() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let mut halves = Vec::new();
    for half in 0..3 {
        let of = |n: usize| Descriptor::new("a/b", Digest::of(&(half * MAX_ENTRIES + n).to_le_bytes()), 1);
        halves.push(index_of(&store, (0..MAX_ENTRIES / 3 + 1).map(of).collect()).await);
    }
    let root = index_of(&store, halves).await;
    assert_eq!(kind(walk(store, root).await), Kind::Limit);
}

#[tokio::test]
async fn the_same_child_many_times_is_one_child() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let child = index_of(&store, Vec::new()).await;
    let root = index_of(&store, vec![child; 30_000]).await;
    assert_eq!(walk(store, root).await.unwrap().manifests.len(), 2);
}

#[tokio::test]
async fn one_digest_with_two_sizes_is_refused() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let digest = Digest::of(b"x");
    let sizes = [1, 2].map(|size| Descriptor::new("a/b", digest.clone(), size));
    let root = index_of(&store, sizes.to_vec()).await;
    assert_eq!(kind(walk(store, root).await), Kind::Mismatch);
}

#[tokio::test]
async fn a_manifest_that_is_not_there_or_is_none_is_an_error_that_names_it() {
    for (content, expected) in [(None, Kind::Invalid), (Some(&b"{}"[..]), Kind::Invalid), (Some(b"[[["), Kind::Invalid)]
    {
        let store: Arc<dyn Store> = Arc::new(Memory::new());
        let child = Descriptor::of(media_type::MANIFEST, content.unwrap_or(b"gone"));
        if let Some(content) = content {
            put(store.as_ref(), &child, &Bytes::from_static(content)).await.unwrap();
        }
        let root = index_of(&store, vec![child.clone()]).await;
        let error = walk(store, root).await.unwrap_err();
        assert_eq!(error.kind(), expected);
        assert!(error.to_string().contains(&child.digest.to_string()), "{error}");
    }
}

#[tokio::test]
async fn what_is_listed_as_a_referrer_and_is_none_is_refused() {
    let (sample, stranger) = (Sample::of(&[b"one"]), Sample::of(&[b"two"]));
    let about_another = Sample::about(stranger.root(), b"three");
    for listed in [&stranger, &about_another] {
        let from = memory();
        deliver(&from.store, &sample, &["v1"]).await.unwrap();
        deliver(&from.store, &stranger, &[]).await.unwrap();
        deliver(&from.store, &about_another, &[]).await.unwrap();
        let lying: Arc<dyn ReadStore> = Watched::new(from.store, Fault::Referrer(listed.root().clone()));
        let to = memory();
        assert_eq!(
            kind(copy::between(&lying, &named("v1"), &to.store, &with_referrers(&["v1"])).await),
            Kind::Mismatch
        );
        assert!(to.store.list_names().await.unwrap().names.is_empty());
    }
}

#[tokio::test]
async fn a_manifest_that_is_listed_as_its_own_referrer_is_copied_once() {
    let sample = Sample::of(&[b"one"]);
    let from = memory();
    deliver(&from.store, &sample, &["v1"]).await.unwrap();
    let lying: Arc<dyn ReadStore> = Watched::new(from.store, Fault::Referrer(sample.root().clone()));
    assert_eq!(copy::between(&lying, &named("v1"), &memory().store, &with_referrers(&["v1"])).await.unwrap().moved, 3);
}

#[tokio::test]
async fn an_endless_chain_of_referrers_is_followed_to_a_limit() {
    let from = memory();
    let mut last = Sample::of(&[b"one"]);
    deliver(&from.store, &last, &["v1"]).await.unwrap();
    for _ in 0..=MAX_DEPTH {
        last = Sample::about(last.root(), b"and so on");
        deliver(&from.store, &last, &[]).await.unwrap();
    }
    let to = memory();
    assert_eq!(
        kind(copy::between(&from.again(), &named("v1"), &to.store, &with_referrers(&["v1"])).await),
        Kind::Limit
    );
    assert!(to.store.list_names().await.unwrap().names.is_empty());
}

#[tokio::test]
async fn a_store_that_answers_a_digest_with_another_manifest_is_not_believed() {
    let (asked, given) = (Sample::of(&[b"asked"]), Sample::of(&[b"given"]));
    let from = memory();
    deliver(&from.store, &given, &["v1"]).await.unwrap();
    let lying: Arc<dyn ReadStore> = Watched::new(from.store, Fault::Resolves(given.root().clone()));
    let name = asked.root().digest.to_string();
    assert_eq!(kind(copy::between(&lying, &named(&name), &memory().store, &Options::default()).await), Kind::Mismatch);
}
