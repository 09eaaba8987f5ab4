//! Behaviours of content: stored content exists complete under its digest, and no other content does.

use bytes::Bytes;

use super::{
    Candidate,
    questions::{content, content_now, fetch, has, item, kind, sample, size},
    samples::{Broken, Sample, deliver, named, noise},
};
use crate::{
    blob::Blob as _,
    error::Kind,
    oci::{Algorithm, Descriptor, Digest},
    store::{self, Item, Name, begin, delete},
};

pub(super) async fn what_is_delivered_is_there_for_every_reader(c: Candidate) {
    let sample = sample();
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    for (desc, bytes) in sample.all() {
        assert!(has(&*c.store, desc).await.unwrap(), "{}", desc.digest);
        assert_eq!(content(&c, desc).await.unwrap(), bytes);
    }
    assert_eq!(c.again().resolve(&named("v1")).await.unwrap(), *sample.root());
}

pub(super) async fn content_is_read_from_any_offset(c: Candidate) {
    let big = noise(700_000, 1);
    let sample = Sample::of(&[&big]);
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    let (desc, _) = sample.layer();
    for from in [0, 1, 262_144, 699_999, 700_000] {
        let read = store::collect(fetch(&*c.store, desc, from as u64).await.unwrap(), 1 << 20).await.unwrap();
        assert!(read == big[from..], "from {from}");
    }
    for range in [0..1, 0..699_999, 262_143..262_145, 699_999..700_000, 5..5] {
        let part = range.start as u64..range.end as u64;
        let read = store::collect(c.store.fetch(&item(desc), part).await.unwrap(), 1 << 20).await.unwrap();
        assert!(read == big[range.clone()], "{range:?}");
    }
}

pub(super) async fn the_size_of_content_is_known_by_digest(c: Candidate) {
    let sample = sample();
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    for (desc, bytes) in sample.all() {
        let size = store::size(c.again().as_ref(), &desc.digest, item(desc).role).await.unwrap();
        assert_eq!(size, bytes.len() as u64);
    }
    assert_eq!(kind(size(&*c.store, &Digest::of(b"absent")).await), Kind::NotFound);
}

pub(super) async fn a_local_slice_holds_the_content(c: Candidate) {
    let sample = sample();
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    for (desc, bytes) in sample.all() {
        let slice = c.again().local(&item(desc));
        assert_eq!(slice.is_some(), c.local, "{}", desc.digest);
        if let Some(slice) = slice {
            let read = store::collect(slice.open(0).await.unwrap(), 1 << 20).await.unwrap();
            assert_eq!(read, bytes, "{slice:?}");
        }
    }
}

pub(super) async fn what_is_not_there_is_not_found(c: Candidate) {
    let sample = sample();
    let digest = sample.root().digest.to_string();
    assert!(matches!(kind(c.store.resolve(&Name::Only).await), Kind::NotFound | Kind::Misuse));
    for name in ["v1", digest.as_str(), "a/b:c"] {
        assert_eq!(kind(c.store.resolve(&named(name)).await), Kind::NotFound, "{name}");
    }
    assert!(!has(&*c.store, sample.root()).await.unwrap());
    assert_eq!(kind(content(&c, &sample.layer().0).await), Kind::NotFound);
    assert_eq!(kind(delete(&*c.store, Item::manifest(sample.root().clone())).await), Kind::NotFound);
    assert!(c.store.list_names().await.unwrap().names.is_empty());
    assert!(c.store.referrers(sample.root()).await.unwrap().is_empty());
}

pub(super) async fn a_blob_is_not_resolved_as_a_manifest(c: Candidate) {
    let sample = Sample::of(&[br#"{"schemaVersion":2}"#]);
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    assert_eq!(kind(c.again().resolve(&named(sample.layer().0.digest.to_string())).await), Kind::NotFound);
}

pub(super) async fn wrong_content_is_refused_and_leaves_nothing(c: Candidate) {
    for len in [5, 700_000] {
        let right = noise(len, 1);
        let sample = Sample::of(&[&right]);
        let desc = &sample.layer().0;
        let write = begin(&*c.store, sample.intent(&["v1"])).await.unwrap();
        let flipped = {
            let mut b = right.clone();
            b[len / 2] ^= 1;
            b
        };
        for wrong in [flipped, right[1..].to_vec(), [&right[..], b"!"].concat(), Vec::new()] {
            assert_eq!(kind(write.puts().put(desc, &Bytes::from(wrong), &[]).await), Kind::Mismatch);
            assert!(!has(&*c.store, desc).await.unwrap());
            assert_eq!(kind(content_now(&c, desc).await), Kind::NotFound);
        }
        write.abandon().await;
    }
}

pub(super) async fn a_stream_that_breaks_leaves_nothing_and_the_next_attempt_succeeds(c: Candidate) {
    let sample = Sample::of(&[&noise(3_000_000, 2)]);
    let (desc, bytes) = sample.layer();
    let write = begin(&*c.store, sample.intent(&["v1"])).await.unwrap();
    let broken = Broken(bytes.clone());
    assert_eq!(kind(write.puts().put(desc, &broken, &[]).await), Kind::Unreachable);
    write.abandon().await;
    assert!(!has(&*c.store, desc).await.unwrap());
    assert!(c.again().list_names().await.unwrap().names.is_empty());
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    assert!(content(&c, desc).await.unwrap() == bytes);
}

pub(super) async fn pushing_twice_is_fine(c: Candidate) {
    let sample = sample();
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    assert_eq!(c.again().list_names().await.unwrap().names, ["v1"]);
    for (desc, bytes) in sample.all() {
        assert_eq!(content(&c, desc).await.unwrap(), bytes);
    }
}

pub(super) async fn one_blob_pushed_by_many_at_once_is_one_blob(c: Candidate) {
    for len in [100, 2_000_000] {
        let sample = Sample::of(&[&noise(len, 3)]);
        let (desc, bytes) = sample.layer().clone();
        let write = begin(&*c.store, sample.intent(&["v1"])).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (puts, desc, bytes) = (write.puts(), desc.clone(), bytes.clone());
            tasks.spawn(async move { puts.put(&desc, &bytes, &[]).await });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap().unwrap();
        }
        sample.put_into(&write).await.unwrap();
        sample.names(&["v1"]).into_iter().for_each(|change| write.name(change).unwrap());
        write.commit().await.unwrap();
        assert!(content(&c, &desc).await.unwrap() == bytes);
    }
}

pub(super) async fn nothing_is_content_too(c: Candidate) {
    let sample = Sample::of(&[b""]);
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    assert_eq!(content(&c, &sample.layer().0).await.unwrap(), "");
}

pub(super) async fn sha512_works_from_end_to_end(c: Candidate) {
    let bytes = Bytes::from(noise(300_000, 4));
    let digest = Digest::with(Algorithm::Sha512, &bytes);
    let layer = (Descriptor::new("text/plain", digest, bytes.len() as u64), bytes);
    let mut sample = Sample::with_layers(vec![layer], None);
    let (desc, manifest) = &mut sample.manifests[0];
    desc.digest = Digest::with(Algorithm::Sha512, manifest);
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    let store = c.again();
    assert_eq!(store.resolve(&named("v1")).await.unwrap(), *sample.root());
    assert_eq!(store.resolve(&named(sample.root().digest.to_string())).await.unwrap(), *sample.root());
    for (desc, bytes) in sample.all() {
        assert!(content(&c, desc).await.unwrap() == bytes, "{}", desc.digest);
    }
}
