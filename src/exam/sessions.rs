//! Behaviours of sessions: a failed one changes nothing, and the store works afterwards.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

use super::{
    Candidate, Outcome,
    failing::Stalled,
    questions::{content, has, kind, read},
    samples::{Broken, Sample, Stalling, deliver, named, names, noise, ref_name},
};
use crate::{
    check::{What, check},
    copy,
    error::{Kind, Result},
    oci::{Descriptor, Index, media_type},
    store::{
        self, Committed, Expect, Intent, Item, NameChange, NameOutcome, ReadStore, Store, Write, begin, delete,
        set_name,
    },
    stores::Memory,
};

/// Stores a new sample through a used handle, and checks for it through a new one. Dropped sessions may need a moment
/// to release the store.
async fn still_works(c: &Candidate) {
    let (sample, store) = (Sample::of(&[b"what comes later"]), &c.store);
    while let Err(e) = deliver(store, &sample, &["later"]).await {
        assert_eq!(e.kind(), Kind::Busy, "{e}");
        tokio::task::yield_now().await;
    }
    assert_eq!(c.again().list_names().await.unwrap().names, ["later"]);
    assert_eq!(c.again().resolve(&named("later")).await.unwrap(), *sample.root());
    for (desc, bytes) in sample.all() {
        assert_eq!(content(c, desc).await.unwrap(), bytes);
    }
}

/// Checks that there are no names, and no referrers of `subject`.
async fn nothing_shows(c: &Candidate, subject: &Descriptor) {
    for store in [Arc::clone(&c.store) as Arc<dyn ReadStore>, c.again()] {
        assert!(store.list_names().await.unwrap().names.is_empty());
        assert!(store.referrers(subject).await.unwrap().is_empty());
    }
}

pub(super) async fn nothing_shows_before_a_commit_and_all_of_it_afterwards(c: Candidate) {
    let subject = Sample::of(&[b"subject"]);
    let about = Sample::about(subject.root(), b"about");
    let write = begin(&*c.store, about.intent(&["v1", "v2"])).await.unwrap();
    about.put_into(&write).await.unwrap();
    about.names(&["v1", "v2"]).into_iter().for_each(|change| write.name(change).unwrap());
    nothing_shows(&c, subject.root()).await;
    write.prepare().await.unwrap();
    nothing_shows(&c, subject.root()).await;
    write.commit().await.unwrap();
    let listed = |found: Vec<Descriptor>| found.into_iter().map(|desc| desc.digest).collect::<Vec<_>>();
    for store in [Arc::clone(&c.store) as Arc<dyn ReadStore>, c.again()] {
        assert_eq!(listed(store.referrers(subject.root()).await.unwrap()), [about.root().digest.clone()]);
        for tag in ["v1", "v2"] {
            assert_eq!(store.resolve(&named(tag)).await.unwrap(), *about.root());
        }
    }
}

pub(super) async fn a_commit_that_was_left_alone_may_be_asked_for_again(c: Candidate) {
    let sample = Sample::of(&[b"hello"]);
    let session = c.store.begin(sample.intent(&["v1"])).await.unwrap();
    for (desc, bytes) in &sample.blobs {
        session.put(desc, bytes, &[]).await.unwrap();
    }
    for (desc, bytes) in &sample.manifests {
        session.manifest(desc, bytes).await.unwrap();
    }
    sample.names(&["v1"]).into_iter().for_each(|change| session.name(change).unwrap());
    // Begun, and dropped at its first wait.
    if futures_util::poll!(session.commit()).is_pending() {
        session.commit().await.unwrap();
    }
    assert_eq!(c.again().resolve(&named("v1")).await.unwrap(), *sample.root());
    assert!(session.commit().await.is_err());
}

pub(super) async fn a_handle_is_as_good_as_new_after_a_session_that_failed(c: Candidate) {
    let sample = Sample::of(&[&noise(3_000_000, 7)]);
    let (desc, bytes) = sample.layer();
    let write = begin(&*c.store, sample.intent(&["v1"])).await.unwrap();
    assert_eq!(kind(write.puts().put(desc, &Broken(bytes.clone()), &[]).await), Kind::Unreachable);
    write.name(sample.names(&["v1"]).remove(0)).unwrap();
    write.abandon().await;
    nothing_shows(&c, sample.root()).await;
    // A name without a manifest, which only the commit detects.
    let write = begin(&*c.store, Intent::default()).await.unwrap();
    write.name(sample.names(&["v1"]).remove(0)).unwrap();
    assert_eq!(kind(write.commit().await), Kind::NotFound);
    nothing_shows(&c, sample.root()).await;
    still_works(&c).await;
}

pub(super) async fn a_handle_is_as_good_as_new_after_a_session_that_was_dropped(c: Candidate) {
    let subject = Sample::of(&[b"subject"]);
    let about = Sample::about(subject.root(), b"about");
    let write = begin(&*c.store, about.intent(&["v1"])).await.unwrap();
    about.put_into(&write).await.unwrap();
    write.name(about.names(&["v1"]).remove(0)).unwrap();
    drop(write);
    nothing_shows(&c, subject.root()).await;
    still_works(&c).await;
    assert!(c.again().referrers(subject.root()).await.unwrap().is_empty());
}

pub(super) async fn a_handle_is_as_good_as_new_after_a_copy_that_was_dropped(c: Candidate) {
    let sample = Sample::of(&[b"small", &noise(3_000_000, 8)]);
    let stalled = Arc::new(Notify::new());
    let (from, digest) = (sample.in_memory(&["v1"]).await, sample.layer().0.digest.clone());
    let stalling: Arc<dyn ReadStore> = Arc::new(Stalled { inner: from, digest, stalled: Arc::clone(&stalled) });
    let options = copy::Options { names: names(&["v1"]), ..copy::Options::default() };
    let name = named("v1");
    tokio::select! {
        done = copy::between(&stalling, &name, &c.store, &options) => panic!("{done:?}"),
        () = stalled.notified() => {}
    }
    nothing_shows(&c, sample.root()).await;
    still_works(&c).await;
}

pub(super) async fn giving_up_while_content_is_on_its_way_frees_the_store(c: Candidate) {
    for len in [1000, 3_000_000] {
        let sample = Sample::of(&[&noise(len, 9)]);
        let (desc, bytes) = sample.layer().clone();
        let stalled = Arc::new(Notify::new());
        let write = begin(&*c.store, sample.intent(&["v1"])).await.unwrap();
        write.name(sample.names(&["v1"]).remove(0)).unwrap();
        let (puts, blob) = (write.puts(), Stalling(bytes, Arc::clone(&stalled)));
        let putting = tokio::spawn(async move { puts.put(&desc, &blob, &[]).await });
        stalled.notified().await;
        let puts = write.puts();
        write.abandon().await;
        let (manifest, bytes) = &sample.manifests[0];
        assert!(puts.manifest(manifest, bytes).await.is_err(), "an aborted session accepts no more content");
        assert!(c.again().resolve(&named("v1")).await.is_err());
        // Released at once, without a wait for the content.
        deliver(&c.store, &Sample::of(&[b"free"]), &["later"]).await.unwrap();
        putting.abort();
        assert!(!has(&*c.store, &sample.layer().0).await.unwrap());
    }
    still_works(&c).await;
}

/// A session with all of a sample stored, which will set this tag.
async fn half_way(store: &dyn Store, sample: &Sample, tag: &str) -> Result<Write> {
    let write = begin(store, sample.intent(&[tag])).await?;
    sample.put_into(&write).await?;
    sample.names(&[tag]).into_iter().try_for_each(|change| write.name(change))?;
    Ok(write)
}

pub(super) async fn two_sessions_at_once_both_have_their_way(c: Candidate) -> Outcome {
    let (one, two) = (Sample::of(&[b"one", b"shared"]), Sample::of(&[b"two", b"shared"]));
    let (first, second) = (half_way(&*c.store, &one, "v1").await.unwrap(), c.open());
    let (other, outcome) = match half_way(&*second, &two, "v2").await {
        Ok(other) => (Some(other), Outcome::Passed),
        Err(e) => {
            assert_eq!((e.kind(), c.store.abilities().needs_all), (Kind::Busy, true), "{e}");
            (None, Outcome::InPart("it allows one session at a time: the second is refused until the first has ended"))
        }
    };
    assert!(c.again().list_names().await.unwrap().names.is_empty());
    first.commit().await.unwrap();
    assert_eq!(c.again().list_names().await.unwrap().names, ["v1"]);
    let other = match other {
        Some(other) => other,
        None => half_way(&*second, &two, "v2").await.unwrap(),
    };
    other.commit().await.unwrap();
    assert_eq!(c.again().list_names().await.unwrap().names, ["v1", "v2"]);
    for (desc, bytes) in one.all().chain(two.all()) {
        assert_eq!(content(&c, desc).await.unwrap(), bytes);
    }
    outcome
}

pub(super) async fn a_name_is_set_and_moved_without_a_copy(c: Candidate) {
    let (one, two) = (Sample::of(&[b"one"]), Sample::of(&[b"two"]));
    deliver(&c.store, &one, &["v1"]).await.unwrap();
    deliver(&c.store, &two, &["v2"]).await.unwrap();
    for (name, to) in [("new", &one), ("v2", &one), ("v1", &one)] {
        set_name(&*c.open(), ref_name(name), to.root()).await.unwrap();
        assert_eq!(c.again().resolve(&named(name)).await.unwrap(), *to.root());
    }
    assert_eq!(c.again().list_names().await.unwrap().names, ["new", "v1", "v2"]);
    assert_eq!(content(&c, two.root()).await.unwrap(), two.manifests[0].1);
}

pub(super) async fn what_was_announced_and_never_came_changes_nothing(c: Candidate) -> Outcome {
    let subject = Sample::of(&[b"subject"]);
    let sample = Sample::about(subject.root(), b"never comes");
    let write = begin(&*c.store, sample.intent(&["v1"])).await.unwrap();
    let outcome = async {
        let (desc, bytes) = &sample.blobs[0];
        write.puts().put(desc, bytes, &[]).await?;
        let (desc, bytes) = &sample.manifests[0];
        write.puts().manifest(desc, bytes).await?;
        write.name(sample.names(&["v1"]).remove(0))?;
        write.commit().await
    };
    let refused = kind(outcome.await);
    let judges = c.store.abilities().refuses_incomplete;
    if !judges {
        assert_eq!(refused, Kind::NotFound);
    }
    nothing_shows(&c, subject.root()).await;
    still_works(&c).await;
    if judges { Outcome::InPart("it refuses missing content in its own way") } else { Outcome::Passed }
}

/// Stores a sample with two names: a free one, and one with an expectation.
async fn expecting(c: &Candidate, sample: &Sample, name: &str, expect: Expect) -> Result<Committed> {
    let write = begin(&*c.store, sample.intent(&["aside", name])).await?;
    sample.put_into(&write).await?;
    write.name(NameChange::set(ref_name("aside"), sample.root().bare()))?;
    write.name(NameChange { expect, ..NameChange::set(ref_name(name), sample.root().bare()) })?;
    write.commit().await
}

pub(super) async fn a_name_that_is_not_as_expected_changes_nothing(c: Candidate) {
    let (one, two) = (Sample::of(&[b"one"]), Sample::of(&[b"two"]));
    deliver(&c.store, &one, &["v1"]).await.unwrap();
    for expect in [Expect::Absent, Expect::Digest(two.root().digest.clone())] {
        assert_eq!(kind(expecting(&c, &two, "v1", expect.clone()).await), Kind::Exists, "{expect:?}");
        assert_eq!(c.again().resolve(&named("v1")).await.unwrap(), *one.root());
        assert_eq!(c.again().list_names().await.unwrap().names, ["v1"]);
    }
    let absent = Expect::Digest(one.root().digest.clone());
    assert_eq!(kind(expecting(&c, &two, "v2", absent.clone()).await), Kind::Exists);
    assert_eq!(c.again().list_names().await.unwrap().names, ["v1"]);
    let moved = expecting(&c, &two, "v1", absent).await.unwrap().names.remove(1);
    assert_eq!(moved, (ref_name("v1"), NameOutcome::Moved(one.root().digest.clone())));
    let new = expecting(&c, &two, "v2", Expect::Absent).await.unwrap().names.remove(1);
    assert_eq!(new, (ref_name("v2"), NameOutcome::New));
    let same = expecting(&c, &two, "v2", Expect::Digest(two.root().digest.clone())).await.unwrap().names.remove(1);
    assert_eq!(same, (ref_name("v2"), NameOutcome::Same));
    assert_eq!(c.again().list_names().await.unwrap().names, ["aside", "v1", "v2"]);
}

fn elsewhere() -> Arc<dyn Store> {
    Arc::new(Memory::new())
}

/// An index of an artifact and of another that has the first one's manifest as a layer.
fn carried_along() -> (Sample, Sample) {
    let inner = Sample::of(&[b"inner"]);
    let (desc, bytes) = &inner.manifests[0];
    let layer = Descriptor::new("application/vnd.example.backup", desc.digest.clone(), desc.size);
    let outer = Sample::with_layers(vec![(layer, bytes.clone())], None);
    (Sample::index(&[outer, inner.clone()]), inner)
}

pub(super) async fn one_digest_is_a_layer_here_and_a_manifest_there(c: Candidate) {
    let (sample, inner) = carried_along();
    let from = sample.in_memory(&["v1"]).await;
    let options = copy::Options { names: names(&["v1"]), ..copy::Options::default() };
    copy::between(&from, &named("v1"), &c.store, &options).await.unwrap();
    assert_eq!(check(&c.again()).await.unwrap(), []);
    let (desc, bytes) = &inner.manifests[0];
    for item in [Item::blob(desc.clone()), Item::manifest(desc.clone())] {
        let found = store::read(&*c.again(), &item, 1 << 20).await.unwrap();
        assert_eq!(found, bytes, "{:?}", item.role);
    }
    assert_eq!(read(&*c.again(), &inner.layer().0, 100).await.unwrap(), "inner");
    copy::between(&c.again(), &named("v1"), &elsewhere(), &options).await.unwrap();
    // If content is one file, a manifest can only be removed as a manifest.
    let mut gone = delete(&*c.store, Item::blob(desc.clone())).await;
    if gone.as_ref().is_err_and(|e| e.kind() == Kind::Unsupported) {
        gone = delete(&*c.store, Item::manifest(desc.clone())).await;
    }
    gone.unwrap();
    let findings = check(&c.again()).await.unwrap();
    let missing = |(what, place): (What, &str)| what == What::Missing && place == desc.digest.to_string();
    assert!(findings.iter().any(|found| missing((found.what, &found.place))), "{findings:?}");
    assert_eq!(kind(copy::between(&c.again(), &named("v1"), &elsewhere(), &options).await), Kind::Invalid);
}

pub(super) async fn an_index_that_calls_one_digest_a_file_and_a_manifest_is_followed(c: Candidate) {
    let inner = Sample::of(&[b"inner"]);
    let manifest = inner.root();
    let as_a_file = Descriptor::new(media_type::OCTET_STREAM, manifest.digest.clone(), manifest.size);
    let bytes = Bytes::from(serde_json::to_vec(&Index::of(vec![as_a_file, manifest.clone()])).unwrap());
    let mut sample = inner.clone();
    sample.manifests.push((Descriptor::of(media_type::INDEX, &bytes), bytes));
    let from = sample.in_memory(&["v1"]).await;
    let options = copy::Options { names: names(&["v1"]), ..copy::Options::default() };
    copy::between(&from, &named("v1"), &c.store, &options).await.unwrap();
    for (desc, bytes) in sample.all() {
        assert_eq!(content(&c, desc).await.unwrap(), bytes);
    }
    assert_eq!(check(&c.again()).await.unwrap(), []);
}
