//! The engine: what moves, what does not, in which order, and what remains after a failure.

mod hostile;

use std::sync::{Arc, Mutex};

use artifact::{
    Kind, copy,
    copy::Options,
    graph::{Graph, Root},
    oci::{Descriptor, Platform},
    progress::{Event, Observer, Outcome, Progress},
    store::{self, ReadStore, Store},
};

use crate::{
    stores::{Candidate, archive, layout, memory},
    support::{
        samples::{Sample, deliver, names, noise},
        watched::{Call, Fault, Watched},
    },
};

const STORES: [fn() -> Candidate; 3] = [memory, layout, archive];

fn options(tags: &[&str]) -> Options {
    Options { tags: names(tags), ..Options::default() }
}

fn with_referrers(tags: &[&str]) -> Options {
    Options { referrers: true, ..options(tags) }
}

fn kind<T>(result: artifact::Result<T>) -> Kind {
    result.err().expect("an error").kind()
}

/// An index of two images that share a layer, with a signature on it and an SBOM on one image, the signature signed.
fn everything() -> (Sample, Vec<Sample>) {
    let shared = noise(300_000, 1);
    let (one, two) = (Sample::of(&[b"one", &shared]), Sample::of(&[b"two", &shared]));
    let index = Sample::index(&[one.clone(), two]);
    let signature = Sample::about(index.root(), b"signature");
    let countersigned = Sample::about(signature.root(), b"countersignature");
    let sbom = Sample::about(one.root(), b"sbom");
    (index, vec![signature, countersigned, sbom])
}

async fn fill(store: &Arc<dyn Store>, index: &Sample, referrers: &[Sample]) {
    deliver(store, index, &["v1"]).await.unwrap();
    for referrer in referrers {
        deliver(store, referrer, &[]).await.unwrap();
    }
}

async fn holds(store: &dyn ReadStore, sample: &Sample) {
    for (desc, bytes) in sample.all() {
        assert!(store::read(store, desc, 1 << 20).await.unwrap() == bytes, "{} in {store}", desc.digest);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_store_copies_to_every_store() {
    let (index, referrers) = everything();
    for source in STORES {
        for destination in STORES {
            let (from, to) = (source(), destination());
            fill(&from.store, &index, &referrers).await;
            let report = copy(&(from.again)(), "v1", &to.store, &with_referrers(&["v2", "new"])).await.unwrap();
            assert_eq!((report.root.digest, report.moved), (index.root().digest.clone(), 13));
            let copied = (to.again)();
            assert_eq!(copied.tags().await.unwrap(), ["new", "v2"]);
            assert_eq!(copied.resolve("new").await.unwrap(), *index.root());
            for sample in referrers.iter().chain([&index]) {
                holds(copied.as_ref(), sample).await;
            }
            for (subject, count) in [(&index, 1), (&referrers[0], 1), (&referrers[2], 0)] {
                assert_eq!(copied.referrers(subject.root()).await.unwrap().len(), count);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copying_twice_moves_nothing() {
    let (index, referrers) = everything();
    let from = memory();
    fill(&from.store, &index, &referrers).await;
    for destination in STORES {
        let to = destination();
        let first = copy(&(from.again)(), "v1", &to.store, &with_referrers(&["v1"])).await.unwrap();
        let watched = Watched::new(Arc::clone(&from.store), Fault::None);
        let source: Arc<dyn ReadStore> = Arc::clone(&watched) as Arc<dyn ReadStore>;
        let second = copy(&source, "v1", &to.store, &with_referrers(&["v1"])).await.unwrap();
        assert_eq!((second.moved, second.bytes, second.present), (0, 0, first.moved), "{}", to.store);
        assert_eq!(watched.calls(), []);
    }
}

#[tokio::test]
async fn without_referrers_none_come_along() {
    let (index, referrers) = everything();
    let (from, to) = (memory(), memory());
    fill(&from.store, &index, &referrers).await;
    copy(&(from.again)(), "v1", &to.store, &options(&["v1"])).await.unwrap();
    assert!((to.again)().referrers(index.root()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_blob_that_many_share_moves_once() {
    let (index, _) = everything();
    let watched = Watched::new(memory().store, Fault::None);
    deliver(&(Arc::clone(&watched) as Arc<dyn Store>), &index, &["v1"]).await.unwrap();
    let before = watched.calls().len();
    copy(&(Arc::clone(&watched) as Arc<dyn ReadStore>), "v1", &memory().store, &options(&[])).await.unwrap();
    let mut fetched: Vec<Call> = watched.calls().split_off(before);
    let all = fetched.len();
    fetched.sort_by_key(|call| format!("{call:?}"));
    fetched.dedup();
    assert_eq!((all, fetched.len()), (7, 7));
}

#[tokio::test]
async fn blobs_come_first_then_children_then_parents_and_tags_at_the_very_end() {
    let (index, referrers) = everything();
    let from = memory();
    fill(&from.store, &index, &referrers).await;
    let watched = Watched::new(memory().store, Fault::None);
    let to: Arc<dyn Store> = Arc::clone(&watched) as Arc<dyn Store>;
    copy(&(from.again)(), "v1", &to, &with_referrers(&["v1", "v2"])).await.unwrap();
    let calls = watched.calls();
    let changes: Vec<&Call> = calls.iter().filter(|call| !matches!(call, Call::Fetch(_))).collect();
    let blobs = changes.iter().take_while(|call| matches!(call, Call::Push(_))).count();
    assert_eq!(blobs, 7);
    let at = |sample: &Sample| {
        let digest = &sample.root().digest;
        changes
            .iter()
            .position(|call| matches!(call, Call::Publish(d, tags) if d == digest && tags.is_empty()))
            .unwrap()
    };
    assert!(at(&index) < at(&referrers[0]) && at(&referrers[0]) < at(&referrers[1]));
    let child = &index.manifests[0].0.digest;
    let child = changes.iter().position(|call| matches!(call, Call::Publish(d, _) if d == child)).unwrap();
    assert!(child < at(&index));
    assert_eq!(changes[13..], [&Call::Tag("v1".into()), &Call::Tag("v2".into()), &Call::Finish]);
}

#[tokio::test]
async fn an_artifact_that_nothing_is_about_is_published_under_its_tags_in_one_request() {
    let sample = Sample::of(&[b"hello"]);
    let from = sample.in_memory(&["v1"]).await;
    let watched = Watched::new(memory().store, Fault::None);
    copy(&from, "v1", &(Arc::clone(&watched) as Arc<dyn Store>), &options(&["a", "b"])).await.unwrap();
    let published = Call::Publish(sample.root().digest.clone(), names(&["a", "b"]));
    let calls = watched.calls();
    assert_eq!(calls[calls.len() - 2..], [published, Call::Finish]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_transfer_leaves_no_tag_behind_and_the_next_attempt_finishes() {
    let (index, referrers) = everything();
    let from = memory();
    fill(&from.store, &index, &referrers).await;
    for destination in STORES {
        let mut failures = 0;
        for n in 0.. {
            let to = destination();
            let old = Sample::of(&[b"old"]);
            deliver(&to.store, &old, &["v1"]).await.unwrap();
            let failing = Watched::new(Arc::clone(&to.store), Fault::From(n));
            let through: Arc<dyn Store> = Arc::clone(&failing) as Arc<dyn Store>;
            let outcome = copy(&(from.again)(), "v1", &through, &with_referrers(&["v1", "v2"])).await;
            let finished = outcome.is_ok();
            if !finished {
                failures += 1;
                assert_eq!(kind(outcome), Kind::Unreachable);
                // Tags are moved one by one: a failure of the second may find the first moved.
                if !matches!(failing.calls().last(), Some(Call::Finish))
                    && !failing.calls().contains(&Call::Tag("v2".into()))
                {
                    let left = (to.again)();
                    assert_eq!(left.resolve("v1").await.unwrap(), *old.root(), "call {n} to {left}");
                    assert_eq!(left.tags().await.unwrap(), ["v1"]);
                }
                copy(&(from.again)(), "v1", &to.store, &with_referrers(&["v1", "v2"])).await.unwrap();
            }
            let copied = (to.again)();
            assert_eq!(copied.tags().await.unwrap(), ["v1", "v2"]);
            assert_eq!(copied.resolve("v1").await.unwrap(), *index.root());
            for sample in referrers.iter().chain([&index, &old]) {
                holds(copied.as_ref(), sample).await;
            }
            if finished {
                break;
            }
        }
        assert!(failures >= 14, "{failures} failures");
    }
}

/// Two artifacts in one copy: the tag of the first is ready before the second fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tags_of_a_failed_copy_are_seen_by_nobody_ever() {
    let (one, two) = (Sample::of(&[b"one"]), Sample::about(Sample::of(&[b"one"]).root(), b"two"));
    let from = memory();
    deliver(&from.store, &one, &["a"]).await.unwrap();
    deliver(&from.store, &two, &["b"]).await.unwrap();
    let roots = vec![
        Root { desc: one.root().clone(), tags: names(&["a"]) },
        Root { desc: two.root().clone(), tags: names(&["b"]) },
    ];
    let source = (from.again)();
    let graph = Graph::of(std::slice::from_ref(&source), roots, false).await.unwrap();
    for destination in [layout, archive] {
        for n in 0.. {
            let to = destination();
            let old = Sample::of(&[b"old"]);
            deliver(&to.store, &old, &["v1"]).await.unwrap();
            let failing: Arc<dyn Store> = Watched::new(Arc::clone(&to.store), Fault::From(n));
            if copy::copy_graph(&source, &graph, &failing, &Options::default()).await.is_ok() {
                assert!(n >= 6, "{n} calls");
                break;
            }
            assert_eq!(to.store.tags().await.unwrap(), ["v1"], "call {n} to {}", to.store);
            assert!(to.store.referrers(one.root()).await.unwrap().is_empty(), "call {n} to {}", to.store);
            // What the same handle writes next does not bring them to light.
            to.store.tag("stable", old.root()).await.unwrap();
            deliver(&to.store, &Sample::of(&[b"new"]), &["v2"]).await.unwrap();
            let left = (to.again)();
            assert_eq!(left.tags().await.unwrap(), ["stable", "v1", "v2"], "call {n} to {left}");
            assert!(left.referrers(one.root()).await.unwrap().is_empty(), "call {n} to {left}");
        }
    }
}

/// A tag that somebody sets while a copy is under way is not the copy's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_that_was_set_during_a_copy_outlives_its_failure() {
    let sample = Sample::of(&[b"hello", &noise(50_000, 1)]);
    let from = sample.in_memory(&["v2"]).await;
    for destination in [layout, archive] {
        let to = destination();
        let old = Sample::of(&[b"old"]);
        deliver(&to.store, &old, &["v1"]).await.unwrap();
        let tagging = Watched::new(Arc::clone(&to.store), Fault::Tags("stable".into(), old.root().clone()));
        let outcome = copy(&from, "v2", &(tagging as Arc<dyn Store>), &options(&["v2"])).await;
        assert_eq!(kind(outcome), Kind::Unreachable);
        assert_eq!((to.again)().tags().await.unwrap(), ["stable", "v1"], "{}", to.store);
        assert_eq!(to.store.tags().await.unwrap(), ["stable", "v1"], "{}", to.store);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_dies_leaves_no_tag_behind_and_what_came_need_not_come_again() {
    let layers: Vec<Vec<u8>> = (0..6).map(|n| noise(50_000, n)).collect();
    let sample = Sample::of(&layers.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let from = memory();
    deliver(&from.store, &sample, &["v1"]).await.unwrap();
    for destination in STORES {
        let to = destination();
        let dying: Arc<dyn ReadStore> = Watched::new(Arc::clone(&from.store), Fault::From(4));
        let slow = Options { concurrency: Some(1), ..options(&["v1"]) };
        assert_eq!(kind(copy(&dying, "v1", &to.store, &slow).await), Kind::Unreachable);
        assert!((to.again)().tags().await.unwrap().is_empty());
        let report = copy(&(from.again)(), "v1", &to.store, &slow).await.unwrap();
        assert_eq!((report.present, report.moved), (3, 5), "{}", to.store);
        holds((to.again)().as_ref(), &sample).await;
    }
}

#[tokio::test]
async fn one_flipped_bit_on_the_way_is_fetched_again_and_told() {
    #[derive(Default)]
    struct Restarts(Mutex<usize>);
    impl Progress for Restarts {
        fn event(&self, event: Event) {
            *self.0.lock().unwrap() += usize::from(matches!(event, Event::Restarted(_)));
        }
    }
    let sample = Sample::of(&[b"hello", &noise(400_000, 1)]);
    for (desc, _) in sample.all() {
        for destination in STORES {
            let (from, to) = (memory(), destination());
            deliver(&from.store, &sample, &["v1"]).await.unwrap();
            let progress = Arc::new(Restarts::default());
            let options =
                Options { progress: Observer::new(Arc::clone(&progress) as Arc<dyn Progress>), ..options(&["v1"]) };
            let flipping = Fault::Flipped(desc.digest.clone(), Mutex::new(1));
            let source: Arc<dyn ReadStore> = Watched::new(Arc::clone(&from.store), flipping);
            copy(&source, "v1", &to.store, &options).await.unwrap();
            holds((to.again)().as_ref(), &sample).await;
            assert_eq!(*progress.0.lock().unwrap(), usize::from(desc != sample.root()));
        }
    }
}

#[tokio::test]
async fn content_that_is_wrong_again_and_again_is_an_error() {
    let sample = Sample::of(&[b"hello", &noise(400_000, 1)]);
    for (desc, _) in sample.all() {
        for destination in STORES {
            let (from, to) = (memory(), destination());
            deliver(&from.store, &sample, &["v1"]).await.unwrap();
            let flipping = Fault::Flipped(desc.digest.clone(), Mutex::new(9));
            let source: Arc<dyn ReadStore> = Watched::new(Arc::clone(&from.store), flipping);
            let error = copy(&source, "v1", &to.store, &options(&["v1"])).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Mismatch);
            assert!(error.to_string().contains(&desc.digest.to_string()), "{error}");
            assert!((to.again)().tags().await.unwrap().is_empty());
            assert!(!to.store.contains(desc).await.unwrap());
        }
    }
}

#[tokio::test]
async fn of_an_index_one_platform_is_copied() {
    let platform = |os: &str, architecture: &str, variant: Option<&str>| Platform {
        os: os.into(),
        architecture: architecture.into(),
        variant: variant.map(Into::into),
        ..Platform::default()
    };
    let images = [b"amd64", b"armv7", b"armv8"].map(|layer| Sample::of(&[layer]));
    let platforms = [("amd64", None), ("arm", Some("v7")), ("arm64", Some("v8"))];
    let mut index = Sample::index(&images);
    let children = images.iter().zip(platforms).map(|(image, (architecture, variant))| Descriptor {
        platform: Some(Box::new(platform("linux", architecture, variant))),
        ..image.root().clone()
    });
    let bytes = serde_json::to_vec(&artifact::oci::Index::of(children.collect())).unwrap();
    *index.manifests.last_mut().unwrap() = (Descriptor::of(artifact::oci::media_type::INDEX, &bytes), bytes.into());
    let from = index.in_memory(&["v1"]).await;
    for (wanted, found) in [
        (platform("linux", "amd64", None), Some(0)),
        (platform("linux", "arm", None), Some(1)),
        (platform("linux", "arm64", Some("v8")), Some(2)),
        (platform("linux", "arm64", Some("v9")), None),
        (platform("windows", "amd64", None), None),
    ] {
        let to = memory();
        let options = Options { platform: Some(wanted), ..options(&["v1"]) };
        match (copy(&from, "v1", &to.store, &options).await, found) {
            (Ok(report), Some(n)) => {
                assert_eq!(report.root.digest, images[n].root().digest);
                assert_eq!((to.again)().resolve("v1").await.unwrap(), *images[n].root());
            }
            (outcome, None) => assert_eq!(kind(outcome), Kind::NotFound),
            (Err(e), _) => panic!("{e}"),
        }
    }
}

#[tokio::test]
async fn the_events_of_a_copy_add_up_to_its_report() {
    #[derive(Default)]
    struct Sums(Mutex<(usize, u64, u64, usize)>);
    impl Progress for Sums {
        fn event(&self, event: Event) {
            let mut sums = self.0.lock().unwrap();
            match event {
                Event::Planned { items, bytes } => (sums.0, sums.1) = (items, bytes),
                Event::Moved(_, bytes) => sums.2 += bytes,
                Event::Done(_, Outcome::Moved) => sums.3 += 1,
                _ => {}
            }
        }
    }
    let (index, _) = everything();
    let progress = Arc::new(Sums::default());
    let options = Options { progress: Observer::new(Arc::clone(&progress) as Arc<dyn Progress>), ..options(&["v1"]) };
    let report = copy(&index.in_memory(&["v1"]).await, "v1", &layout().store, &options).await.unwrap();
    let (items, planned, moved, done) = *progress.0.lock().unwrap();
    let manifests: u64 = index.manifests.iter().map(|(desc, _)| desc.size).sum();
    assert_eq!((items, planned, done), (report.moved, report.bytes, report.moved));
    assert_eq!(moved + manifests, planned);
}
