//! The engine: what moves, what does not, in which order, and what remains after a failure.

mod companions;
mod hostile;
mod missing;
mod narrow;
mod partial;
mod plan;
mod unknown;

use std::sync::{Arc, Mutex};

use artifact::{
    Kind, copy,
    copy::Options,
    graph::Root,
    oci::{Descriptor, Digest, Platform},
    progress::{Event, Observer, Outcome, Progress},
    store::{ReadStore, Store, begin, set_name},
};

use crate::{
    stores::{Candidate, archive, exam::registry, layout, memory},
    support::{
        faulty::Faulty,
        samples::{Sample, deliver, named, names, noise, ref_name},
        watched::{Call, Fault, Watched},
        writing::has,
        writing::read,
    },
};

const STORES: [fn() -> Candidate; 3] = [memory, layout, archive];

fn options(tags: &[&str]) -> Options {
    Options { names: names(tags), ..Options::default() }
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
        assert!(read(store, desc, 1 << 20).await.unwrap() == bytes, "{} in {store}", desc.digest);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_store_copies_to_every_store() {
    let (index, referrers) = everything();
    for source in STORES {
        for destination in STORES {
            let (from, to) = (source(), destination());
            fill(&from.store, &index, &referrers).await;
            let report =
                copy::between(&from.again(), &named("v1"), &to.store, &with_referrers(&["v2", "new"])).await.unwrap();
            assert_eq!((report.root.digest, report.moved), (index.root().digest.clone(), 13));
            let copied = to.again();
            assert_eq!(copied.list_names().await.unwrap().names, ["new", "v2"]);
            assert_eq!(copied.resolve(&named("new")).await.unwrap(), *index.root());
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
        let first = copy::between(&from.again(), &named("v1"), &to.store, &with_referrers(&["v1"])).await.unwrap();
        let watched = Watched::new(Arc::clone(&from.store), Fault::None);
        let source: Arc<dyn ReadStore> = Arc::clone(&watched) as Arc<dyn ReadStore>;
        let second = copy::between(&source, &named("v1"), &to.store, &with_referrers(&["v1"])).await.unwrap();
        assert_eq!((second.moved, second.bytes, second.present), (0, 0, first.moved), "{}", to.store);
        assert_eq!(watched.calls(), []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_its_own_manifest_as_an_attachment_goes_wherever_the_artifact_goes() {
    let sample = Sample::of(&[b"original"]);
    let (desc, bytes) = &sample.manifests[0];
    let layer = Descriptor { media_type: "application/json".into(), ..desc.bare() };
    let attached = Sample::with_layers(vec![(layer, bytes.clone())], Some(desc.bare()));
    let from = layout();
    fill(&from.store, &sample, std::slice::from_ref(&attached)).await;
    for to in STORES.map(|destination| destination()).into_iter().chain([registry()]) {
        copy::between(&from.again(), &named("v1"), &to.store, &with_referrers(&["v1"])).await.unwrap();
        holds(to.again().as_ref(), &sample).await;
        holds(to.again().as_ref(), &attached).await;
        let back = memory();
        copy::between(&to.again(), &named("v1"), &back.store, &with_referrers(&["v1"])).await.unwrap();
        holds(back.again().as_ref(), &attached).await;
    }
}

#[tokio::test]
async fn without_referrers_none_come_along() {
    let (index, referrers) = everything();
    let (from, to) = (memory(), memory());
    fill(&from.store, &index, &referrers).await;
    copy::between(&from.again(), &named("v1"), &to.store, &options(&["v1"])).await.unwrap();
    assert!(to.again().referrers(index.root()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_blob_that_many_share_moves_once() {
    let (index, _) = everything();
    let watched = Watched::new(memory().store, Fault::None);
    deliver(&(Arc::clone(&watched) as Arc<dyn Store>), &index, &["v1"]).await.unwrap();
    let before = watched.calls().len();
    copy::between(&(Arc::clone(&watched) as Arc<dyn ReadStore>), &named("v1"), &memory().store, &options(&[]))
        .await
        .unwrap();
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
    copy::between(&from.again(), &named("v1"), &to, &with_referrers(&["v1", "v2"])).await.unwrap();
    let calls = watched.calls();
    let changes: Vec<&Call> = calls.iter().filter(|call| !matches!(call, Call::Fetch(_))).collect();
    let blobs = changes.iter().take_while(|call| matches!(call, Call::Put(_))).count();
    assert_eq!(blobs, 7);
    let at = |digest: &Digest| changes.iter().position(|call| **call == Call::Manifest(digest.clone())).unwrap();
    let roots = [&index, &referrers[0], &referrers[1]].map(|sample| at(&sample.root().digest));
    assert!(at(&index.manifests[0].0.digest) < roots[0] && roots[0] < roots[1] && roots[1] < roots[2]);
    let names = changes.iter().filter(|call| matches!(call, Call::Name(_)));
    assert!(names.eq([&Call::Name(ref_name("v1")), &Call::Name(ref_name("v2"))].iter()));
    assert_eq!(changes.len(), 7 + 6 + 2 + 1);
    assert_eq!(changes.last(), Some(&&Call::Commit));
}

/// Names of manifests in the order in which a registry was sent them.
fn sent(world: &Faulty) -> Vec<String> {
    let sent = world.seen().into_iter().filter(|seen| seen.method == "PUT");
    sent.filter_map(|seen| Some(seen.uri.path().split_once("/manifests/")?.1.to_owned())).collect()
}

#[tokio::test]
async fn a_registry_gets_children_then_subjects_then_what_is_about_them_and_tags_at_the_very_end() {
    let (index, referrers) = everything();
    let (from, world) = (memory(), Faulty::new(""));
    fill(&from.store, &index, &referrers).await;
    let to: Arc<dyn Store> = Arc::new(world.repository(&Default::default()));
    copy::between(&from.again(), &named("v1"), &to, &with_referrers(&["v1", "v2"])).await.unwrap();
    let sent = sent(&world);
    let at = |sample: &Sample| sent.iter().position(|name| *name == sample.root().digest.to_string()).unwrap();
    let child = sent.iter().position(|name| *name == index.manifests[0].0.digest.to_string()).unwrap();
    assert!(child < at(&index) && child < at(&referrers[2]));
    assert!(at(&index) < at(&referrers[0]) && at(&referrers[0]) < at(&referrers[1]));
    assert_eq!(sent[6..], ["v1", "v2"]);
}

#[tokio::test]
async fn an_artifact_that_nothing_is_about_is_sent_under_its_tags_only() {
    let sample = Sample::of(&[b"hello"]);
    let from = sample.in_memory(&["v1"]).await;
    let world = Faulty::new("");
    let to: Arc<dyn Store> = Arc::new(world.repository(&Default::default()));
    copy::between(&from, &named("v1"), &to, &options(&["a", "b"])).await.unwrap();
    assert_eq!(sent(&world), ["a", "b"]);
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
            let outcome = copy::between(&from.again(), &named("v1"), &through, &with_referrers(&["v1", "v2"])).await;
            let finished = outcome.is_ok();
            if !finished {
                failures += 1;
                assert_eq!(kind(outcome), Kind::Unreachable);
                let left = to.again();
                assert_eq!(left.resolve(&named("v1")).await.unwrap(), *old.root(), "call {n} to {left}");
                assert_eq!(left.list_names().await.unwrap().names, ["v1"]);
                copy::between(&from.again(), &named("v1"), &to.store, &with_referrers(&["v1", "v2"])).await.unwrap();
            }
            let copied = to.again();
            assert_eq!(copied.list_names().await.unwrap().names, ["v1", "v2"]);
            assert_eq!(copied.resolve(&named("v1")).await.unwrap(), *index.root());
            for sample in referrers.iter().chain([&index, &old]) {
                holds(copied.as_ref(), sample).await;
            }
            if finished {
                break;
            }
        }
        // Manifests that are looked for there, blobs but the empty config, manifests, names and the commit.
        assert_eq!(failures, 6 + 6 + 6 + 2 + 1);
    }
}

/// Two artifacts in one copy: the tag of the first is ready before the second fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tags_of_a_failed_copy_are_seen_by_nobody_ever() {
    let (one, two) = (Sample::of(&[b"one"]), Sample::about(Sample::of(&[b"one"]).root(), b"two"));
    let from = memory();
    deliver(&from.store, &one, &["a"]).await.unwrap();
    deliver(&from.store, &two, &["b"]).await.unwrap();
    let roots = vec![Root::new(one.root().clone(), names(&["a"])), Root::new(two.root().clone(), names(&["b"]))];
    let source = from.again();
    for destination in [layout, archive] {
        for n in 0.. {
            let to = destination();
            let old = Sample::of(&[b"old"]);
            deliver(&to.store, &old, &["v1"]).await.unwrap();
            let failing: Arc<dyn Store> = Watched::new(Arc::clone(&to.store), Fault::From(n));
            if copy::copy_roots(std::slice::from_ref(&source), roots.clone(), &failing, &Options::default())
                .await
                .is_ok()
            {
                assert!(n >= 6, "{n} calls");
                break;
            }
            assert_eq!(to.store.list_names().await.unwrap().names, ["v1"], "call {n} to {}", to.store);
            assert!(to.store.referrers(one.root()).await.unwrap().is_empty(), "call {n} to {}", to.store);
            // What the same handle writes next does not bring them to light.
            set_name(to.store.as_ref(), ref_name("stable"), old.root()).await.unwrap();
            deliver(&to.store, &Sample::of(&[b"new"]), &["v2"]).await.unwrap();
            let left = to.again();
            assert_eq!(left.list_names().await.unwrap().names, ["stable", "v1", "v2"], "call {n} to {left}");
            assert!(left.referrers(one.root()).await.unwrap().is_empty(), "call {n} to {left}");
        }
    }
}

/// A tag that somebody sets while a copy is under way is not the copy's.
#[tokio::test]
async fn a_tag_that_was_set_during_a_copy_outlives_its_failure() {
    let (sample, old) = (Sample::of(&[b"hello", &noise(50_000, 1)]), Sample::of(&[b"old"]));
    for destination in [memory, layout] {
        let to = destination();
        deliver(&to.store, &old, &["v1"]).await.unwrap();
        let write = begin(to.store.as_ref(), sample.intent(&["v2"])).await.unwrap();
        sample.put_into(&write).await.unwrap();
        set_name(to.store.as_ref(), ref_name("stable"), old.root()).await.unwrap();
        write.abandon().await;
        assert_eq!(to.again().list_names().await.unwrap().names, ["stable", "v1"], "{}", to.store);
        assert_eq!(to.store.list_names().await.unwrap().names, ["stable", "v1"], "{}", to.store);
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
        assert_eq!(kind(copy::between(&dying, &named("v1"), &to.store, &slow).await), Kind::Unreachable);
        assert!(to.again().list_names().await.unwrap().names.is_empty());
        let report = copy::between(&from.again(), &named("v1"), &to.store, &slow).await.unwrap();
        // Of an archive nothing stays.
        let kept = if to.store.abilities().needs_all { 0 } else { 3 };
        assert_eq!((report.present, report.moved), (kept, 8 - kept), "{}", to.store);
        holds(to.again().as_ref(), &sample).await;
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
            copy::between(&source, &named("v1"), &to.store, &options).await.unwrap();
            holds(to.again().as_ref(), &sample).await;
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
            let error = copy::between(&source, &named("v1"), &to.store, &options(&["v1"])).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Mismatch);
            assert!(error.to_string().contains(&desc.digest.to_string()), "{error}");
            assert!(to.again().list_names().await.unwrap().names.is_empty());
            assert!(!has(to.store.as_ref(), desc).await.unwrap());
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
        (platform("linux", "arm64", Some("v9")), Some(2)),
        (platform("linux", "riscv64", None), None),
        (platform("windows", "amd64", None), None),
    ] {
        let to = memory();
        let options = Options { platform: Some(wanted), ..options(&["v1"]) };
        match (copy::between(&from, &named("v1"), &to.store, &options).await, found) {
            (Ok(report), Some(n)) => {
                assert_eq!(report.root.digest, images[n].root().digest);
                assert_eq!(to.again().resolve(&named("v1")).await.unwrap(), *images[n].root());
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
    let report = copy::between(&index.in_memory(&["v1"]).await, &named("v1"), &layout().store, &options).await.unwrap();
    let (items, planned, moved, done) = *progress.0.lock().unwrap();
    let manifests: u64 = index.manifests.iter().map(|(desc, _)| desc.size).sum();
    assert_eq!((items, planned, done), (report.moved, report.bytes, report.moved));
    assert_eq!(moved + manifests, planned);
}
