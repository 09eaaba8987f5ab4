//! Plans: what they say is what a run does, and nothing runs that a gate refuses.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use artifact::{
    Error, Kind, Result,
    copy::{self, CopyPlan, Destination, Evidence, Gate, Options, Report},
    graph::Root,
    oci::{Descriptor, Tag, media_type},
    store::{self, Item, NameOutcome, Presence, ReadStore, Store},
    stores::registry::{Options as Access, Registry},
};

use bytes::Bytes;
use serde_json::json;

use super::{STORES, everything, fill, kind, options, with_referrers};
use crate::{
    stores::{archive, layout, memory},
    support::{
        samples::{Sample, deliver, named, noise, ref_name},
        scripted::{Scripted, reply},
        server,
        watched::{Call, Fault, Watched},
        writing::{has, publish, put, read},
    },
};

async fn plan_of(from: &Arc<dyn ReadStore>, to: &Arc<dyn Store>, options: &Options) -> Result<CopyPlan> {
    let root = Root::new(from.resolve(&named("v1")).await?, options.names.clone());
    let destination = Destination { store: Arc::clone(to), roots: vec![root] };
    copy::plan(std::slice::from_ref(from), vec![destination], options).await
}

fn counts(report: &Report) -> (usize, u64, usize) {
    (report.moved, report.bytes, report.present)
}

#[tokio::test]
async fn a_plan_says_what_the_run_does() {
    let (index, referrers) = everything();
    for destination in STORES {
        let (from, to) = (memory(), destination());
        fill(&from.store, &index, &referrers).await;
        let source = from.again();
        // Half of it is there already.
        copy::between(&source, &named("v1"), &to.store, &options(&["half"])).await.unwrap();
        let plan = plan_of(&source, &to.store, &with_referrers(&["v1", "half"])).await.unwrap();
        let foreseen = plan.foresee();
        let done = plan.approve(&[]).await.unwrap().run(&with_referrers(&[])).await.unwrap();
        assert_eq!(counts(&foreseen), counts(&done), "{}", to.store);
        assert_eq!(foreseen.names, done.names);
        assert!(done.moved > 0 && done.present > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_registries_refuse_for_its_size_is_refused_before_anything_is_sent() {
    let (from, layer) = (memory(), Descriptor::of("a/b", b"hello"));
    put(from.store.as_ref(), &layer, &Bytes::from_static(b"hello")).await.unwrap();
    let pad = "x".repeat(4 << 20);
    let manifest = json!({"schemaVersion": 2, "config": layer, "layers": [], "annotations": {"pad": pad}}).to_string();
    let bytes = Bytes::from(manifest);
    publish(from.store.as_ref(), &Descriptor::of(media_type::MANIFEST, &bytes), &bytes, &["v1"]).await.unwrap();
    let server = Scripted::start(|_| reply(404, &[], b""));
    let registry = Registry::new(server.host(), &Access::default()).unwrap().repository("a").unwrap();
    let to: Arc<dyn Store> = Arc::new(registry);
    let error = copy::between(&from.again(), &named("v1"), &to, &options(&["v1"])).await.unwrap_err();
    assert!(error.kind() == Kind::Limit && error.to_string().contains("accept at most 4194304"), "{error}");
    let lines = server.lines();
    assert!(lines.len() == 2 && lines.iter().all(|line| line.starts_with("HEAD /v2/a/manifests/")), "{lines:?}");
    // What can be read can be copied to a layout.
    copy::between(&from.again(), &named("v1"), &layout().store, &options(&["v1"])).await.unwrap();
}

#[tokio::test]
async fn a_plan_says_what_becomes_of_each_name() {
    let (one, two) = (Sample::of(&[b"one"]), Sample::of(&[b"two"]));
    let server = server::in_memory().await;
    let host = server.addr().to_string();
    let registry = Registry::new(&host, &Access::default()).unwrap().repository("a/b").unwrap();
    for to in [memory().store, Arc::new(registry) as Arc<dyn Store>] {
        deliver(&to, &one, &["same", "moved"]).await.unwrap();
        deliver(&to, &two, &["moved"]).await.unwrap();
        let from = one.in_memory(&["v1"]).await;
        let plan = plan_of(&from, &to, &options(&["same", "moved", "new"])).await.unwrap();
        let outcomes: Vec<_> = plan.destinations()[0].names().iter().map(|name| name.outcome()).collect();
        let moved = NameOutcome::Moved(two.root().digest.clone());
        assert_eq!(outcomes, [NameOutcome::Same, moved, NameOutcome::New], "{to}");
        let done = plan.approve(&[]).await.unwrap().run(&options(&[])).await.unwrap();
        let outcomes: Vec<_> = done.names.iter().map(|name| name.outcome).collect();
        assert_eq!(outcomes, ["same", "moved", "new"], "{to}");
        for tag in ["same", "moved", "new"] {
            assert_eq!(to.resolve(&named(tag)).await.unwrap().digest, one.root().digest, "{to}");
        }
    }
}

/// Reads all blobs, counts how often it is asked, and says no where there is this text in one of them.
struct Refuses(&'static [u8], AtomicUsize);

impl Gate for Refuses {
    fn wants(&self, plan: &CopyPlan) -> Vec<Item> {
        plan.destinations()
            .iter()
            .flat_map(|part| part.graph().blobs.iter())
            .map(|blob| Item::blob(blob.desc()))
            .collect()
    }

    fn judge(&self, plan: &CopyPlan, evidence: &Evidence) -> Result<()> {
        self.1.fetch_add(1, Ordering::Relaxed);
        let blobs = plan.destinations().iter().flat_map(|part| part.graph().blobs.iter());
        for blob in blobs {
            let bytes = evidence.get(&blob.digest).expect("all that was wanted");
            if bytes.windows(self.0.len()).any(|window| window == self.0) {
                return Err(Error::new(Kind::Denied, format!("{} is not to be copied", blob.digest)));
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn what_a_gate_refuses_is_not_written() {
    for destination in STORES {
        let to = destination();
        let from = Sample::of(&[b"fine", b"a secret"]).in_memory(&["v1"]).await;
        let plan = plan_of(&from, &to.store, &options(&["v1"])).await.unwrap();
        let (no, yes) = (Refuses(b"secret", AtomicUsize::new(0)), Refuses(b"nowhere", AtomicUsize::new(0)));
        assert_eq!(kind(plan.approve(&[&yes, &no]).await), Kind::Denied);
        assert_eq!((yes.1.into_inner(), no.1.into_inner()), (1, 1));
        assert!(to.again().list_names().await.unwrap().names.is_empty());
        let inventory = to.again().inventory().await.unwrap().unwrap();
        assert!(inventory.blobs.is_empty() && inventory.leftovers.is_empty(), "{}", to.store);
    }
}

#[tokio::test]
async fn what_a_gate_has_read_is_not_fetched_again() {
    let sample = Sample::of(&[b"one", b"two"]);
    let memory_with_it = memory();
    deliver(&memory_with_it.store, &sample, &["v1"]).await.unwrap();
    let watched = Watched::new(Arc::clone(&memory_with_it.store), Fault::None);
    let from: Arc<dyn ReadStore> = Arc::clone(&watched) as Arc<dyn ReadStore>;
    let to = layout();
    let plan = plan_of(&from, &to.store, &options(&["v1"])).await.unwrap();
    let approved = plan.approve(&[&Refuses(b"nowhere", AtomicUsize::new(0))]).await.unwrap();
    let before = watched.calls().len();
    approved.run(&options(&[])).await.unwrap();
    let fetched = watched.calls().into_iter().skip(before).filter(|call| matches!(call, Call::Fetch(_))).count();
    assert_eq!(fetched, 0);
    for (desc, bytes) in sample.all() {
        assert_eq!(read(to.again().as_ref(), desc, 1 << 20).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_gate_does_not_count_on_damaged_content_of_the_destination() {
    let sample = Sample::of(&[&noise(1000, 1)]);
    let dir = tempfile::tempdir().unwrap();
    let to: Arc<dyn Store> = Arc::new(artifact::stores::Layout::create(dir.path().join("l")).unwrap());
    deliver(&to, &sample, &["old"]).await.unwrap();
    let path = dir.path().join("l/blobs/sha256").join(sample.layer().0.digest.hex());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[500] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let from = sample.in_memory(&["v1"]).await;
    let plan = plan_of(&from, &to, &options(&["v1"])).await.unwrap();
    assert_eq!(kind(plan.approve(&[&Refuses(b"nowhere", AtomicUsize::new(0))]).await), Kind::Mismatch);
    assert_eq!(to.list_names().await.unwrap().names, ["old"]);
}

#[tokio::test]
async fn several_repositories_of_one_registry_get_each_blob_once_over_the_line() {
    let sample = Sample::of(&[&noise(2_000_000, 7)]);
    let from = sample.in_memory(&["v1"]).await;
    let server = server::in_memory().await;
    let registry = Registry::new(&server.addr().to_string(), &Access::default()).unwrap();
    let to = |name: &str| Arc::new(registry.repository(name).unwrap()) as Arc<dyn Store>;
    let root = from.resolve(&named("v1")).await.unwrap();
    let destination =
        |name: &str| Destination { store: to(name), roots: vec![Root::new(root.clone(), vec![ref_name("v1")])] };
    let all = ["a", "b", "c/d"].map(destination).to_vec();
    let plan = copy::plan(std::slice::from_ref(&from), all, &Options::default()).await.unwrap();
    let done = plan.approve(&[]).await.unwrap().run(&Options::default()).await.unwrap();
    // Three manifests and each of the two blobs once; all else is mounted.
    assert_eq!((done.moved, done.mounted), (5, 4));
    for name in ["a", "b", "c/d"] {
        assert_eq!(to(name).resolve(&named("v1")).await.unwrap().digest, root.digest);
        assert!(read(to(name).as_ref(), &sample.layer().0, 3 << 20).await.unwrap() == sample.layer().1);
    }
}

#[tokio::test]
async fn where_one_origin_fails_the_next_is_asked() {
    let sample = Sample::of(&[b"one", b"two"]);
    let (near, far) = (memory(), sample.in_memory(&["v1"]).await);
    // The nearer one has the manifest and one blob; the other blob it has with a flipped bit.
    deliver(&near.store, &sample, &["v1"]).await.unwrap();
    let flipped = Fault::Flipped(sample.layer().0.digest.clone(), std::sync::Mutex::new(2));
    let near: Arc<dyn ReadStore> = Watched::new(near.store, flipped);
    let to = layout();
    let root = Root::new(sample.root().clone(), vec![ref_name("v1")]);
    let destination = Destination { store: Arc::clone(&to.store), roots: vec![root] };
    let plan = copy::plan(&[near, far], vec![destination], &Options::default()).await.unwrap();
    plan.approve(&[]).await.unwrap().run(&Options::default()).await.unwrap();
    for (desc, bytes) in sample.all() {
        assert_eq!(read(to.again().as_ref(), desc, 1 << 20).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn content_that_is_gone_between_plan_and_run_is_found_and_no_name_moves() {
    let sample = Sample::of(&[b"one", b"two"]);
    let to = layout();
    deliver(&to.store, &sample, &["old"]).await.unwrap();
    let from = sample.in_memory(&["v1"]).await;
    let plan = plan_of(&from, &to.store, &options(&["v1"])).await.unwrap();
    store::delete(to.store.as_ref(), Item::blob(sample.layer().0.clone())).await.unwrap();
    let run = plan.approve(&[]).await.unwrap().run(&options(&[])).await;
    assert_eq!(kind(run), Kind::NotFound);
    assert_eq!(to.again().list_names().await.unwrap().names, ["old"]);
}

#[tokio::test]
async fn what_a_name_stood_for_when_it_was_set_is_what_is_reported() {
    let [planned, meanwhile, new] = [b"planned", b"meantim", b"the new"].map(|layer| Sample::of(&[layer]));
    for to in [memory(), layout(), archive()] {
        deliver(&to.store, &planned, &["v1"]).await.unwrap();
        let from = new.in_memory(&["v1"]).await;
        let plan = plan_of(&from, &to.store, &options(&["v1"])).await.unwrap();
        assert_eq!(plan.foresee().names[0].from, Some(planned.root().digest.clone()));
        deliver(&to.open(), &meanwhile, &["v1"]).await.unwrap();
        let done = plan.approve(&[]).await.unwrap().run(&options(&[])).await.unwrap();
        assert_eq!((&done.names[0].from, done.names[0].outcome), (&Some(meanwhile.root().digest.clone()), "moved"));
    }
}

#[tokio::test]
async fn what_an_origin_renames_after_the_plan_is_not_what_is_carried() {
    let (one, two) = (Sample::of(&[b"one"]), Sample::of(&[b"two"]));
    let (from, to) = (memory(), layout());
    deliver(&from.store, &one, &["v1"]).await.unwrap();
    let source = from.again();
    let plan = plan_of(&source, &to.store, &options(&["v1"])).await.unwrap();
    deliver(&from.store, &two, &["v1"]).await.unwrap();
    plan.approve(&[]).await.unwrap().run(&options(&[])).await.unwrap();
    assert_eq!(to.again().resolve(&named("v1")).await.unwrap().digest, one.root().digest);
}

#[tokio::test]
async fn a_name_of_a_registry_stands_for_all_content_unless_that_is_checked_again() {
    let sample = Sample::of(&[b"one"]);
    let server = server::in_memory().await;
    let repository = Registry::new(&server.addr().to_string(), &Access::default()).unwrap().repository("a").unwrap();
    let to: Arc<dyn Store> = Arc::new(repository);
    deliver(&to, &sample, &["v1"]).await.unwrap();
    let layer = sample.layer().0.clone();
    store::delete(to.as_ref(), Item::blob(layer.clone())).await.unwrap();
    let from = sample.in_memory(&["v1"]).await;
    let plan = plan_of(&from, &to, &options(&["v1"])).await.unwrap();
    assert!(plan.destinations()[0].graph().is_empty());
    let plan = plan_of(&from, &to, &Options { recheck: true, ..options(&["v1"]) }).await.unwrap();
    let lacking = plan.destinations()[0].items().filter(|(_, presence)| *presence == Presence::Absent).count();
    assert_eq!(lacking, 1);
    plan.approve(&[]).await.unwrap().run(&options(&[])).await.unwrap();
    assert!(has(to.as_ref(), &layer).await.unwrap());
}

#[tokio::test]
async fn another_artifact_under_a_name_leaves_the_earlier_one_in_the_list() {
    let (one, two) = (Sample::of(&[b"one"]), Sample::of(&[b"two"]));
    for destination in [layout, crate::stores::archive] {
        for replace in [false, true] {
            let to = destination();
            deliver(&to.store, &one, &["v1"]).await.unwrap();
            let from = two.in_memory(&["v1"]).await;
            copy::between(&from, &named("v1"), &to.store, &Options { replace, ..options(&["v1"]) }).await.unwrap();
            let inventory = to.again().inventory().await.unwrap().unwrap();
            let listed: Vec<_> = inventory.entries.iter().map(|entry| &entry.digest).collect();
            assert_eq!(listed.contains(&&one.root().digest), !replace, "{}", to.store);
            assert!(listed.contains(&&two.root().digest));
            assert_eq!(to.again().list_names().await.unwrap().names, ["v1"]);
        }
    }
}

#[tokio::test]
async fn what_is_about_one_manifest_comes_from_every_place_that_has_it() {
    let sample = Sample::of(&[b"content"]);
    let [tag, ..] = Tag::companions_of(&sample.root().digest);
    let (mut from, mut about, mut roots) = (Vec::new(), Vec::new(), Vec::new());
    for (at, name) in ["one", "two"].into_iter().enumerate() {
        let store = memory();
        let referrer = Sample::about(sample.root(), name.as_bytes());
        fill(&store.store, &sample, std::slice::from_ref(&referrer)).await;
        let companion = Sample::of(&[format!("signature {name}").as_bytes()]);
        deliver(&store.store, &companion, &[&*tag]).await.unwrap();
        about.push((referrer, companion));
        roots.push(Root {
            origins: vec![u16::try_from(at).unwrap()],
            ..Root::new(sample.root().clone(), vec![ref_name(name)])
        });
        from.push(store.again());
    }
    for destination in STORES {
        let to = destination();
        let destination = Destination { store: Arc::clone(&to.store), roots: roots.clone() };
        let plan = copy::plan(&from, vec![destination], &with_referrers(&[])).await.unwrap();
        // One tag stands for one manifest: the other one is told.
        let graph = plan.destinations()[0].graph();
        assert_eq!((graph.companions.len(), graph.notes.len()), (1, 1), "{:?}", graph.notes);
        assert!(graph.notes[0].contains(&*tag) && graph.notes[0].contains("left out"), "{}", graph.notes[0]);
        plan.approve(&[]).await.unwrap().run(&with_referrers(&[])).await.unwrap();
        let copied = to.again();
        assert_eq!(copied.referrers(sample.root()).await.unwrap().len(), 2, "{}", to.store);
        for (referrer, _) in &about {
            assert!(has(copied.as_ref(), referrer.root()).await.unwrap(), "{}", to.store);
        }
        assert_eq!(copied.resolve(&named(&tag)).await.unwrap().digest, about[0].1.root().digest);
    }
}
