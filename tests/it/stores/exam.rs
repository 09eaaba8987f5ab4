//! The shared exam: one list of behaviours that every store sits.
//!
//! A new store takes part with a function that makes a [`Candidate`], and with one line in the module above.

#[path = "sessions.rs"]
mod sessions;
#[path = "uploads.rs"]
mod uploads;

use std::sync::Arc;

use artifact::{
    Kind,
    blob::{Blob, ByteStream},
    copy,
    oci::{Algorithm, Descriptor, Digest, media_type},
    serve::{self, Remote},
    store::{self, Item, ReadStore, Store, begin, delete, remove_name, set_name},
    stores::{
        Archive, Layout, Memory,
        registry::{Options, Registry},
    },
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

pub(crate) use self::{
    sessions::{
        a_commit_that_was_left_alone_may_be_asked_for_again, a_handle_is_as_good_as_new_after_a_copy_that_was_dropped,
        a_handle_is_as_good_as_new_after_a_session_that_failed,
        a_handle_is_as_good_as_new_after_a_session_that_was_dropped, a_name_is_set_and_moved_without_a_copy,
        a_name_that_is_not_as_expected_changes_nothing,
        an_index_that_calls_one_digest_a_file_and_a_manifest_is_followed,
        giving_up_while_content_is_on_its_way_frees_the_store, nothing_shows_before_a_commit_and_all_of_it_afterwards,
        one_digest_is_a_layer_here_and_a_manifest_there, two_sessions_at_once_both_have_their_way,
        what_was_announced_and_never_came_changes_nothing,
    },
    uploads::{
        a_stream_that_is_dropped_leaves_nothing, an_upload_of_other_content_than_promised_leaves_nothing,
        content_of_unknown_digest_is_uploaded_in_pieces,
    },
};
use crate::support::{
    samples::{Sample, deliver, names, noise},
    server,
    watched::{Fault, Watched},
    writing::{fetch, has, item, read, size},
};

/// A store that sits the exam, empty at first.
pub(crate) struct Candidate {
    pub(crate) store: Arc<dyn Store>,
    fresh: Box<dyn Fn() -> Arc<dyn Store> + Send + Sync>,
    /// Whether content lies in files of this machine, to be read where it is.
    pub(crate) local: bool,
    /// What must live as long as the store: a directory, a server.
    pub(crate) _keep: Box<dyn Send + Sync>,
}

impl Candidate {
    /// Another handle on the same content, as another process would open it.
    pub(crate) fn open(&self) -> Arc<dyn Store> {
        (self.fresh)()
    }

    /// The same, to read from.
    pub(crate) fn again(&self) -> Arc<dyn ReadStore> {
        self.open()
    }
}

pub(crate) fn memory() -> Candidate {
    let memory = Memory::new();
    let other = memory.clone();
    let fresh = Box::new(move || Arc::new(other.clone()) as Arc<dyn Store>);
    Candidate { store: Arc::new(memory), fresh, local: false, _keep: Box::new(()) }
}

pub(crate) fn layout() -> Candidate {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("layout");
    let store = Arc::new(Layout::create(&path).unwrap());
    let fresh = Box::new(move || Arc::new(Layout::open(&path).unwrap()) as Arc<dyn Store>);
    Candidate { store, fresh, local: true, _keep: Box::new(dir) }
}

pub(crate) fn archive() -> Candidate {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tar");
    let store = Arc::new(Archive::create(&path).unwrap());
    let fresh = Box::new(move || Arc::new(Archive::create(&path).unwrap()) as Arc<dyn Store>);
    Candidate { store, fresh, local: true, _keep: Box::new(dir) }
}

/// A repository of a registry, which does not exist before the first push.
pub(crate) fn repository(host: &str, keep: Box<dyn Send + Sync>) -> Candidate {
    let options = Options::default();
    let store = Arc::new(Registry::new(host, &options).unwrap().repository("exam/store").unwrap());
    let host = host.to_owned();
    let fresh = Box::new(move || {
        let registry = Registry::new(&host, &options).unwrap();
        Arc::new(registry.repository("exam/store").unwrap()) as Arc<dyn Store>
    });
    Candidate { store, fresh, local: false, _keep: keep }
}

/// The client against the embedded registry.
pub(crate) fn registry() -> Candidate {
    let server = server::Background::start();
    repository(&server.host(), Box::new(server))
}

/// The client against the embedded registry, in front of another one.
pub(crate) fn front() -> Candidate {
    let behind = server::Background::start();
    let repositories = Arc::new(Remote::new(Registry::new(&behind.host(), &Options::default()).unwrap()));
    let front = server::Background::with(serve::Options { repositories, ..serve::Options::in_memory() });
    repository(&front.host(), Box::new((front, behind)))
}

fn sample() -> Sample {
    Sample::of(&[b"hello", b"world"])
}

fn kind<T>(result: artifact::Result<T>) -> Kind {
    result.err().expect("an error").kind()
}

/// What a fresh handle reads, verified.
pub(crate) async fn content(c: &Candidate, desc: &Descriptor) -> artifact::Result<Bytes> {
    read(c.again().as_ref(), desc, 64 << 20).await
}

pub(crate) async fn what_is_delivered_is_there_for_every_reader(c: Candidate) {
    let sample = sample();
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    for (desc, bytes) in sample.all() {
        assert!(has(&*c.store, desc).await.unwrap(), "{}", desc.digest);
        assert_eq!(content(&c, desc).await.unwrap(), bytes);
    }
    assert_eq!(c.again().resolve("v1").await.unwrap(), *sample.root());
}

pub(crate) async fn a_manifest_is_found_by_tag_and_by_digest(c: Candidate) {
    let sample = sample();
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    let by_digest = sample.root().digest.to_string();
    for name in ["v1", by_digest.as_str()] {
        for store in [Arc::clone(&c.store) as Arc<dyn ReadStore>, c.again()] {
            assert_eq!(store.resolve(name).await.unwrap(), *sample.root(), "{name}");
        }
    }
}

pub(crate) async fn a_manifest_without_tag_and_the_children_of_an_index_are_found_by_digest(c: Candidate) {
    let index = Sample::index(&[Sample::of(&[b"one"]), Sample::of(&[b"two"])]);
    deliver(&c.store, &index, &[]).await.unwrap();
    for (desc, _) in &index.manifests {
        assert_eq!(c.again().resolve(&desc.digest.to_string()).await.unwrap(), *desc);
    }
    assert!(c.again().tags().await.unwrap().is_empty());
}

pub(crate) async fn content_is_read_from_any_offset(c: Candidate) {
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

pub(crate) async fn the_size_of_content_is_known_by_digest(c: Candidate) {
    let sample = sample();
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    for (desc, bytes) in sample.all() {
        let size = store::size(c.again().as_ref(), &desc.digest, item(desc).role).await.unwrap();
        assert_eq!(size, bytes.len() as u64);
    }
    assert_eq!(kind(size(&*c.store, &Digest::of(b"absent")).await), Kind::NotFound);
}

pub(crate) async fn a_local_slice_holds_the_content(c: Candidate) {
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

pub(crate) async fn tags_are_sorted_and_each_is_listed_once(c: Candidate) {
    deliver(&c.store, &sample(), &["v2", "b", "v10"]).await.unwrap();
    deliver(&c.store, &Sample::of(&[b"other"]), &["a", "v2"]).await.unwrap();
    for store in [Arc::clone(&c.store) as Arc<dyn ReadStore>, c.again()] {
        assert_eq!(store.tags().await.unwrap(), ["a", "b", "v10", "v2"]);
    }
}

pub(crate) async fn a_tag_moves_and_its_old_manifest_stays(c: Candidate) {
    let (one, two) = (Sample::of(&[b"one"]), Sample::of(&[b"two"]));
    deliver(&c.store, &one, &["v1"]).await.unwrap();
    deliver(&c.store, &two, &["v1"]).await.unwrap();
    let store = c.again();
    assert_eq!(store.resolve("v1").await.unwrap(), *two.root());
    assert_eq!(store.tags().await.unwrap(), ["v1"]);
    assert_eq!(store.resolve(&one.root().digest.to_string()).await.unwrap(), *one.root());
}

pub(crate) async fn a_tag_is_set_on_what_is_there_and_on_nothing_else(c: Candidate) {
    let sample = sample();
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    set_name(&*c.store, "stable", sample.root()).await.unwrap();
    assert_eq!(c.again().resolve("stable").await.unwrap(), *sample.root());
    let absent = Sample::of(&[b"absent"]);
    assert_eq!(kind(set_name(&*c.store, "v9", absent.root()).await), Kind::NotFound);
    assert_eq!(c.again().tags().await.unwrap(), ["stable", "v1"]);
}

/// Whatever call of the copy fails: the handle then shows what everybody sees, and what it says it did is done.
pub(crate) async fn a_handle_after_a_failed_copy_is_as_good_as_a_new_one(c: Candidate) {
    let (one, two) = (sample(), Sample::of(&[b"another", &noise(300_000, 5)]));
    deliver(&c.store, &one, &["v1"]).await.unwrap();
    let from = two.in_memory(&["v2"]).await;
    let options = copy::Options { tags: names(&["v2"]), ..copy::Options::default() };
    for n in 0.. {
        let to: Arc<dyn Store> = Watched::new(Arc::clone(&c.store), Fault::From(n));
        if copy(&from, "v2", &to, &options).await.is_ok() {
            assert!(n >= 3, "{n} calls");
            break;
        }
        assert_eq!(c.store.tags().await.unwrap(), c.again().tags().await.unwrap(), "call {n}");
        for (tag, here) in [("stable", true), ("v1", true), ("nowhere", false)] {
            if here {
                set_name(&*c.store, tag, one.root()).await.unwrap();
                assert_eq!(c.again().resolve(tag).await.unwrap(), *one.root(), "call {n}");
            }
            assert_eq!(remove_name(&*c.store, tag).await.is_ok(), here, "call {n}");
            assert_eq!(kind(c.again().resolve(tag).await), Kind::NotFound, "call {n}");
        }
        deliver(&c.store, &one, &["v1"]).await.unwrap();
        assert_eq!(c.again().resolve("v1").await.unwrap(), *one.root(), "call {n}");
    }
    assert_eq!(c.again().tags().await.unwrap(), ["v1", "v2"]);
    assert_eq!(content(&c, &two.layer().0).await.unwrap(), two.layer().1);
}

pub(crate) async fn a_tag_is_removed_and_its_manifest_stays(c: Candidate) {
    let sample = sample();
    deliver(&c.store, &sample, &["v1", "v2"]).await.unwrap();
    for tag in ["v1", "v2"] {
        remove_name(&*c.store, tag).await.unwrap();
        assert_eq!(kind(c.again().resolve(tag).await), Kind::NotFound);
        assert_eq!(kind(remove_name(&*c.store, tag).await), Kind::NotFound);
    }
    assert_eq!(c.again().resolve(&sample.root().digest.to_string()).await.unwrap(), *sample.root());
}

pub(crate) async fn a_deleted_manifest_takes_its_tags_along(c: Candidate) {
    let (one, two) = (Sample::of(&[b"one"]), Sample::of(&[b"two"]));
    deliver(&c.store, &one, &["v1", "v2"]).await.unwrap();
    deliver(&c.store, &two, &["v3"]).await.unwrap();
    delete(&*c.store, Item::manifest(one.root().clone())).await.unwrap();
    assert!(!has(&*c.store, one.root()).await.unwrap());
    let store = c.again();
    assert_eq!(store.tags().await.unwrap(), ["v3"]);
    assert_eq!(kind(store.resolve(&one.root().digest.to_string()).await), Kind::NotFound);
    assert_eq!(kind(delete(&*c.store, Item::manifest(one.root().clone())).await), Kind::NotFound);
    assert_eq!(content(&c, &two.layer().0).await.unwrap(), two.layer().1);
}

pub(crate) async fn what_is_not_there_is_not_found(c: Candidate) {
    let sample = sample();
    let digest = sample.root().digest.to_string();
    for name in ["v1", digest.as_str(), "a/b:c", ""] {
        assert_eq!(kind(c.store.resolve(name).await), Kind::NotFound, "{name}");
    }
    assert!(!has(&*c.store, sample.root()).await.unwrap());
    assert_eq!(kind(content(&c, &sample.layer().0).await), Kind::NotFound);
    assert_eq!(kind(delete(&*c.store, Item::manifest(sample.root().clone())).await), Kind::NotFound);
    assert!(c.store.tags().await.unwrap().is_empty());
    assert!(c.store.referrers(sample.root()).await.unwrap().is_empty());
}

pub(crate) async fn a_blob_is_not_resolved_as_a_manifest(c: Candidate) {
    let sample = Sample::of(&[br#"{"schemaVersion":2}"#]);
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    assert_eq!(kind(c.again().resolve(&sample.layer().0.digest.to_string()).await), Kind::NotFound);
}

pub(crate) async fn wrong_content_is_refused_and_leaves_nothing(c: Candidate) {
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

/// What the writing handle reads, verified.
pub(crate) async fn content_now(c: &Candidate, desc: &Descriptor) -> artifact::Result<Bytes> {
    read(c.store.as_ref(), desc, 64 << 20).await
}

pub(crate) async fn a_stream_that_breaks_leaves_nothing_and_the_next_attempt_succeeds(c: Candidate) {
    let sample = Sample::of(&[&noise(3_000_000, 2)]);
    let (desc, bytes) = sample.layer();
    let write = begin(&*c.store, sample.intent(&["v1"])).await.unwrap();
    let broken = Broken(bytes.clone());
    assert_eq!(kind(write.puts().put(desc, &broken, &[]).await), Kind::Unreachable);
    write.abandon().await;
    assert!(!has(&*c.store, desc).await.unwrap());
    assert!(c.again().tags().await.unwrap().is_empty());
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    assert!(content(&c, desc).await.unwrap() == bytes);
}

/// Breaks off after two thirds.
struct Broken(Bytes);

#[async_trait]
impl Blob for Broken {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    async fn open(&self, from: u64) -> artifact::Result<ByteStream> {
        let upto = self.0.len() / 3 * 2;
        let error = artifact::Error::new(Kind::Unreachable, "the line is dead");
        Ok(stream::iter([Ok(self.0.slice(from as usize..upto)), Err(error)]).boxed())
    }
}

pub(crate) async fn pushing_twice_is_fine(c: Candidate) {
    let sample = sample();
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    assert_eq!(c.again().tags().await.unwrap(), ["v1"]);
    for (desc, bytes) in sample.all() {
        assert_eq!(content(&c, desc).await.unwrap(), bytes);
    }
}

pub(crate) async fn one_blob_pushed_by_many_at_once_is_one_blob(c: Candidate) {
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

pub(crate) async fn nothing_is_content_too(c: Candidate) {
    let sample = Sample::of(&[b""]);
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    assert_eq!(content(&c, &sample.layer().0).await.unwrap(), "");
}

pub(crate) async fn sha512_works_from_end_to_end(c: Candidate) {
    let bytes = Bytes::from(noise(300_000, 4));
    let digest = Digest::with(Algorithm::Sha512, &bytes);
    let layer = (Descriptor::new("text/plain", digest, bytes.len() as u64), bytes);
    let mut sample = Sample::with_layers(vec![layer], None);
    let (desc, manifest) = &mut sample.manifests[0];
    desc.digest = Digest::with(Algorithm::Sha512, manifest);
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    let store = c.again();
    assert_eq!(store.resolve("v1").await.unwrap(), *sample.root());
    assert_eq!(store.resolve(&sample.root().digest.to_string()).await.unwrap(), *sample.root());
    for (desc, bytes) in sample.all() {
        assert!(content(&c, desc).await.unwrap() == bytes, "{}", desc.digest);
    }
}

pub(crate) async fn one_manifest_is_published_under_several_tags(c: Candidate) {
    let sample = sample();
    deliver(&c.store, &sample, &["v1", "v1.2", "latest"]).await.unwrap();
    for tag in ["v1", "v1.2", "latest"] {
        assert_eq!(c.again().resolve(tag).await.unwrap(), *sample.root());
    }
}

pub(crate) async fn referrers_are_listed_by_subject_with_type_and_annotations(c: Candidate) {
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
            assert_eq!(desc.artifact_type.as_deref(), Some(crate::support::samples::TYPE));
            assert_eq!(desc.annotations.get("org.example.note").map(String::as_str), Some("sample"));
            assert_eq!(desc.media_type, media_type::MANIFEST);
        }
        assert!(store.referrers(two.root()).await.unwrap().is_empty());
        assert_eq!(store.tags().await.unwrap(), ["tagged-too", "v1", "v2"]);
    }
}

pub(crate) async fn a_referrer_stays_one_when_its_tag_moves_or_goes(c: Candidate) {
    let one = Sample::of(&[b"one"]);
    let signature = Sample::about(one.root(), b"signature");
    deliver(&c.store, &one, &["v1"]).await.unwrap();
    deliver(&c.store, &signature, &["sig", "sig2"]).await.unwrap();
    remove_name(&*c.store, "sig").await.unwrap();
    deliver(&c.store, &Sample::of(&[b"other"]), &["sig2"]).await.unwrap();
    let found = c.again().referrers(one.root()).await.unwrap();
    assert_eq!(found.into_iter().map(|d| d.digest).collect::<Vec<_>>(), [signature.root().digest.clone()]);
}

pub(crate) async fn a_deleted_referrer_is_no_longer_listed(c: Candidate) {
    let one = Sample::of(&[b"one"]);
    let signature = Sample::about(one.root(), b"signature");
    deliver(&c.store, &one, &["v1"]).await.unwrap();
    deliver(&c.store, &signature, &[]).await.unwrap();
    delete(&*c.store, Item::manifest(signature.root().clone())).await.unwrap();
    assert!(c.again().referrers(one.root()).await.unwrap().is_empty());
}

pub(crate) async fn a_referrer_may_come_before_its_subject(c: Candidate) {
    let one = Sample::of(&[b"one"]);
    let signature = Sample::about(one.root(), b"signature");
    deliver(&c.store, &signature, &[]).await.unwrap();
    assert_eq!(c.again().referrers(one.root()).await.unwrap().len(), 1);
    deliver(&c.store, &one, &["v1"]).await.unwrap();
    assert_eq!(c.again().referrers(one.root()).await.unwrap().len(), 1);
}

pub(crate) async fn a_tag_that_cannot_be_stored_is_an_error(c: Candidate) {
    let sample = sample();
    deliver(&c.store, &sample, &["v1"]).await.unwrap();
    for bad in ["", "-v1", "a b", "a\u{1b}[31m", "ä", &sample.root().digest.to_string()] {
        assert_eq!(kind(set_name(&*c.store, bad, sample.root()).await), Kind::Invalid, "{bad:?}");
    }
    assert_eq!(c.again().tags().await.unwrap(), ["v1"]);
}

pub(crate) async fn many_tags_in_one_copy_are_all_there(c: Candidate) {
    let tags: Vec<String> = (0..300).map(|n| format!("v{n:03}")).collect();
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    deliver(&c.store, &sample(), &tags).await.unwrap();
    assert_eq!(c.again().tags().await.unwrap(), names(&tags));
}

macro_rules! exam {
    ($($store:ident),+) => { $(
        mod $store {
            $crate::stores::exam::exam! { @ $store:
                what_is_delivered_is_there_for_every_reader
                a_manifest_is_found_by_tag_and_by_digest
                a_manifest_without_tag_and_the_children_of_an_index_are_found_by_digest
                content_is_read_from_any_offset
                the_size_of_content_is_known_by_digest
                a_local_slice_holds_the_content
                tags_are_sorted_and_each_is_listed_once
                a_tag_moves_and_its_old_manifest_stays
                a_tag_is_set_on_what_is_there_and_on_nothing_else
                a_handle_after_a_failed_copy_is_as_good_as_a_new_one
                a_tag_is_removed_and_its_manifest_stays
                a_deleted_manifest_takes_its_tags_along
                what_is_not_there_is_not_found
                a_blob_is_not_resolved_as_a_manifest
                wrong_content_is_refused_and_leaves_nothing
                a_stream_that_breaks_leaves_nothing_and_the_next_attempt_succeeds
                pushing_twice_is_fine
                one_blob_pushed_by_many_at_once_is_one_blob
                nothing_is_content_too
                sha512_works_from_end_to_end
                one_manifest_is_published_under_several_tags
                referrers_are_listed_by_subject_with_type_and_annotations
                a_referrer_stays_one_when_its_tag_moves_or_goes
                a_deleted_referrer_is_no_longer_listed
                a_referrer_may_come_before_its_subject
                content_of_unknown_digest_is_uploaded_in_pieces
                an_upload_of_other_content_than_promised_leaves_nothing
                a_tag_that_cannot_be_stored_is_an_error
                many_tags_in_one_copy_are_all_there
                a_stream_that_is_dropped_leaves_nothing
                nothing_shows_before_a_commit_and_all_of_it_afterwards
                a_commit_that_was_left_alone_may_be_asked_for_again
                a_handle_is_as_good_as_new_after_a_session_that_failed
                a_handle_is_as_good_as_new_after_a_session_that_was_dropped
                a_handle_is_as_good_as_new_after_a_copy_that_was_dropped
                giving_up_while_content_is_on_its_way_frees_the_store
                two_sessions_at_once_both_have_their_way
                a_name_is_set_and_moved_without_a_copy
                what_was_announced_and_never_came_changes_nothing
                a_name_that_is_not_as_expected_changes_nothing
                one_digest_is_a_layer_here_and_a_manifest_there
                an_index_that_calls_one_digest_a_file_and_a_manifest_is_followed
            }
        }
    )+ };
    (@ $store:ident: $($behaviour:ident)+) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $behaviour() {
            super::exam::$behaviour(super::exam::$store()).await;
        }
    )+ };
}
pub(crate) use exam;

/// Whether a behaviour applies to a store by what it says that it can do; printed where it does not.
fn applies(c: &Candidate, behaviour: &str, applies: bool) -> bool {
    if !applies {
        eprintln!("{}: does not apply: {behaviour}", c.store);
    }
    applies
}
