//! Whatever a registry or the line to it does once, or a few times, a pull and a push succeed.

use std::{ops::Range, sync::Arc, time::Duration};

use artifact::{
    Kind,
    oci::Descriptor,
    progress::{Counts, Observer},
    store::{self, ReadStore, Store},
    stores::{
        Memory,
        registry::{Backoff, Options},
    },
};
use bytes::Bytes;

use super::{carry, repository};
use crate::support::{
    flaky::{ALWAYS, Fault, Flaky, Rule, on},
    samples::{Sample, deliver, noise},
    server,
};

/// One fault, and what it is called.
struct Scenario {
    name: &'static str,
    rules: Vec<Rule>,
    /// How often a token can be used, if the registry wants one.
    tokens: Option<usize>,
}

fn scenario(name: &'static str, rules: Vec<Rule>) -> Scenario {
    Scenario { name, rules, tokens: None }
}

const ONCE: Range<usize> = 0..1;
const SIZE: usize = 3 << 20;
const HALF: usize = SIZE / 2;

/// Nobody waits longer than he must here.
fn impatient() -> Options {
    let short = Duration::from_millis(5);
    Options {
        backoff: Backoff { first: short, longest: short, ..Backoff::default() },
        header_timeout: Duration::from_secs(1),
        read_timeout: Duration::from_millis(500),
        ..Options::default()
    }
}

fn sample() -> Sample {
    Sample::of(&[&noise(SIZE, 7)])
}

async fn holds(store: &dyn ReadStore, sample: &Sample) -> bool {
    let mut good = store.resolve("v1").await.is_ok_and(|found| found.digest == sample.root().digest);
    for (desc, bytes) in sample.all() {
        good &= store::read(store, desc, desc.size).await.is_ok_and(|read| read == bytes);
    }
    good
}

fn before(upstream: &str, scenario: Scenario) -> Flaky {
    match scenario.tokens {
        Some(uses) => Flaky::with_tokens(upstream, scenario.rules, uses),
        None => Flaky::before(upstream, scenario.rules),
    }
}

fn pulls(blob: &str) -> Vec<Scenario> {
    let manifest = |when, fault| vec![on("GET", "/manifests/", when, fault)];
    let blob = |when, fault| vec![on("GET", blob, when, fault)];
    vec![
        scenario("500 on a manifest", manifest(ONCE, Fault::Status(500, &[]))),
        scenario("503 on a manifest", manifest(ONCE, Fault::Status(503, &[]))),
        scenario("429 that names a delay", manifest(ONCE, Fault::Status(429, &[("retry-after", "1")]))),
        scenario("429 three times", manifest(0..3, Fault::Status(429, &[]))),
        scenario("closed before the headers", manifest(ONCE, Fault::Close)),
        scenario("503 on a blob", blob(ONCE, Fault::Status(503, &[]))),
        scenario("429 on a blob", blob(ONCE, Fault::Status(429, &[]))),
        scenario("reset at half a blob", blob(ONCE, Fault::Reset(HALF))),
        scenario("reset five times", [blob(ONCE, Fault::Reset(HALF)), blob(1..5, Fault::Reset(0))].concat()),
        scenario("closed at half a blob", blob(ONCE, Fault::Short(HALF))),
        scenario("reset and no ranges", [blob(ONCE, Fault::Reset(HALF)), blob(ALWAYS, Fault::NoRange)].concat()),
        scenario(
            "another range than was asked for",
            [blob(ONCE, Fault::Reset(HALF)), blob(1..2, Fault::Header("content-range", "bytes 7-3145727/3145728"))]
                .concat(),
        ),
        scenario("one flipped bit", blob(ONCE, Fault::Flip(HALF))),
        Scenario { tokens: Some(3), ..scenario("a token that dies after three uses", Vec::new()) },
        scenario("a body that stalls", blob(ONCE, Fault::Stall(HALF))),
        scenario("headers that stall", blob(ONCE, Fault::Silence)),
        scenario("a body that trickles", blob(ONCE, Fault::Trickle(HALF))),
        scenario("a manifest that breaks off", manifest(ONCE, Fault::Reset(100))),
    ]
}

fn pushes(blob: &str) -> Vec<Scenario> {
    let open = |when, fault| vec![on("POST", "/uploads/", when, fault)];
    let put = |when, fault| vec![on("PUT", blob, when, fault)];
    let manifest = |when, fault| vec![on("PUT", "/manifests/", when, fault)];
    vec![
        scenario("500 on opening", open(ONCE, Fault::Status(500, &[]))),
        scenario("429 three times on opening", open(0..3, Fault::Status(429, &[]))),
        scenario("closed on opening", open(ONCE, Fault::Close)),
        scenario("no answer on opening", open(ONCE, Fault::Silence)),
        scenario("503 on a blob", put(ONCE, Fault::Status(503, &[]))),
        scenario("429 that names a delay", put(ONCE, Fault::Status(429, &[("retry-after", "1")]))),
        scenario("reset at half a blob", put(ONCE, Fault::ResetUpload(HALF))),
        scenario("reset five times", put(0..5, Fault::ResetUpload(HALF))),
        scenario("closed at half a blob", put(ONCE, Fault::CloseUpload(HALF))),
        scenario("a blob that was stored without an answer", put(ONCE, Fault::Forget)),
        scenario("no answer to a blob", put(ONCE, Fault::Silence)),
        scenario("an upload that is gone", put(ONCE, Fault::Status(404, &[]))),
        scenario("503 on a manifest", manifest(ONCE, Fault::Status(503, &[]))),
        scenario("closed before a manifest is answered", manifest(ONCE, Fault::Close)),
        scenario("a manifest that was stored without an answer", manifest(ONCE, Fault::Forget)),
        Scenario { tokens: Some(3), ..scenario("a token that dies after three uses", Vec::new()) },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_survives_every_fault() {
    let (sample, server) = (sample(), server::in_memory().await);
    let upstream = server.addr().to_string();
    let there: Arc<dyn Store> = Arc::new(repository(&upstream, "a", &Options::default()));
    deliver(&there, &sample, &["v1"]).await.unwrap();
    let scenarios = pulls(&sample.layer().0.digest.to_string());
    let (mut good, all) = (Vec::new(), scenarios.iter().map(|s| s.name).collect::<Vec<_>>());
    for scenario in scenarios {
        let name = scenario.name;
        let flaky = before(&upstream, scenario);
        let from: Arc<dyn ReadStore> = Arc::new(repository(flaky.host(), "a", &impatient()));
        let to: Arc<dyn Store> = Arc::new(Memory::new());
        match carry(&from, &to).await {
            Ok(_) if holds(to.as_ref(), &sample).await => good.push(name),
            other => eprintln!("{name}: {other:?}"),
        }
    }
    assert_eq!(good, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_survives_every_fault() {
    let sample = sample();
    // A registry writes the colon of a digest in a query as it likes; its hexadecimal part it cannot.
    let scenarios = pushes(sample.layer().0.digest.hex());
    let (mut good, all) = (Vec::new(), scenarios.iter().map(|s| s.name).collect::<Vec<_>>());
    for scenario in scenarios {
        let (name, server) = (scenario.name, server::in_memory().await);
        let upstream = server.addr().to_string();
        let flaky = before(&upstream, scenario);
        let from = sample.in_memory(&["v1"]).await;
        let to: Arc<dyn Store> = Arc::new(repository(flaky.host(), "a", &impatient()));
        match carry(&from, &to).await {
            Ok(_) if holds(&repository(&upstream, "a", &Options::default()), &sample).await => good.push(name),
            other => eprintln!("{name}: {other:?}"),
        }
    }
    assert_eq!(good, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_status_that_may_pass_is_survived_by_every_request() {
    let sample = Sample::of(&[&noise(9000, 7)]);
    let hex = sample.layer().0.digest.hex();
    let requests = [
        ("HEAD", "/manifests/"),
        ("GET", "/manifests/"),
        ("GET", hex),
        ("POST", "/uploads/"),
        ("PUT", hex),
        ("PUT", "/manifests/"),
    ];
    for status in [408, 429, 499, 500, 502, 503, 504, 522] {
        let server = server::in_memory().await;
        let once = |(method, path)| on(method, path, ONCE, Fault::Status(status, &[]));
        let flaky = Flaky::before(&server.addr().to_string(), requests.map(once).to_vec());
        let there = Arc::new(repository(flaky.host(), "a", &impatient()));
        deliver(&(Arc::clone(&there) as Arc<dyn Store>), &sample, &["v1"]).await.unwrap();
        assert!(holds(there.as_ref(), &sample).await, "{status}");
        for (method, path) in requests {
            assert!(flaky.count(method, path) > 1, "{status} {method}");
        }
    }
}

/// A registry with one blob, the faults before it, and a client of them.
async fn one_blob(rules: impl Fn(&str) -> Vec<Rule>) -> (artifact::serve::Running, Flaky, Descriptor, Bytes) {
    let server = server::in_memory().await;
    let upstream = server.addr().to_string();
    let (desc, bytes) = sample().layer().clone();
    repository(&upstream, "a", &Options::default()).push(&desc, &bytes).await.unwrap();
    let flaky = Flaky::before(&upstream, rules(&desc.digest.to_string()));
    (server, flaky, desc, bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_where_it_broke_off() {
    // Of what is sent before a reset, nobody knows how much arrives.
    for fault in [Fault::Short(HALF), Fault::Stall(HALF)] {
        let (_server, flaky, desc, bytes) = one_blob(|blob| vec![on("GET", blob, ONCE, fault.clone())]).await;
        let repository = repository(flaky.host(), "a", &impatient());
        assert!(store::read(&repository, &desc, desc.size).await.unwrap() == bytes, "{fault:?}");
        let ranges: Vec<String> = flaky.seen().iter().map(|r| r.header("range").to_owned()).collect();
        assert_eq!(ranges, ["".into(), format!("bytes={HALF}-")], "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_part_is_never_spliced_in_and_then_all_is_asked_for() {
    let wrong = Fault::Header("content-range", "bytes 0-1572863/3145728");
    let rules = |blob: &str| vec![on("GET", blob, ONCE, Fault::Short(HALF)), on("GET", blob, 1..2, wrong.clone())];
    let (_server, flaky, desc, bytes) = one_blob(rules).await;
    let repository = repository(flaky.host(), "a", &impatient());
    assert!(store::read(&repository, &desc, desc.size).await.unwrap() == bytes);
    let ranges: Vec<String> = flaky.seen().iter().map(|r| r.header("range").to_owned()).collect();
    assert_eq!(ranges, ["".into(), format!("bytes={HALF}-"), "".into()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_allows_for_more_breaks_than_attempts() {
    let step = SIZE / 2 - 100_000;
    assert!(step > 1 << 20);
    let rules = |blob: &str| {
        let stuck = |from: usize| on("GET", blob, from..from + 4, Fault::Reset(0));
        vec![on("GET", blob, ONCE, Fault::Short(step)), stuck(1), on("GET", blob, 5..6, Fault::Short(step)), stuck(6)]
    };
    let (_server, flaky, desc, bytes) = one_blob(rules).await;
    let repository = repository(flaky.host(), "a", &impatient());
    assert!(store::read(&repository, &desc, desc.size).await.unwrap() == bytes);
    assert_eq!(flaky.seen().len(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_passes_ends_after_six_attempts() {
    for fault in [Fault::Status(503, &[]), Fault::Reset(0), Fault::Short(0)] {
        let (_server, flaky, desc, _) = one_blob(|blob| vec![on("GET", blob, ALWAYS, fault.clone())]).await;
        let repository = repository(flaky.host(), "a", &impatient());
        let error = store::read(&repository, &desc, desc.size).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{fault:?}");
        assert!(error.to_string().contains("after 6 attempts: "), "{error}");
        assert_eq!(flaky.seen().len(), 6, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_not_tried_again() {
    for status in [400, 403, 404, 405, 410, 416, 501] {
        let (_server, flaky, desc, _) =
            one_blob(|blob| vec![on("GET", blob, ALWAYS, Fault::Status(status, &[]))]).await;
        let repository = repository(flaky.host(), "a", &impatient());
        store::read(&repository, &desc, desc.size).await.unwrap_err();
        assert_eq!(flaky.seen().len(), 1, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_asks_for_too_long_a_wait_is_quoted_at_once() {
    let fault = Fault::Status(503, &[("retry-after", "301")]);
    let (_server, flaky, desc, _) = one_blob(|blob| vec![on("GET", blob, ALWAYS, fault.clone())]).await;
    let repository = repository(flaky.host(), "a", &impatient());
    let error = store::read(&repository, &desc, desc.size).await.unwrap_err();
    assert!(error.to_string().contains("asks to wait for 301"), "{error}");
    assert_eq!(flaky.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_that_was_closed_meanwhile_costs_no_attempt() {
    // Closed without an answer: to a client the same as a connection that timed out just now.
    for retries in [0, 5] {
        let rules = |blob: &str| vec![on("HEAD", blob, 1..2, Fault::Close)];
        let (_server, flaky, desc, _) = one_blob(rules).await;
        let progress = Observer::default();
        let options = Options { retries, progress, ..impatient() };
        let repository = repository(flaky.host(), "a", &options);
        assert!(repository.contains(&desc).await.unwrap());
        assert!(repository.contains(&desc).await.unwrap());
        assert_eq!((flaky.count("HEAD", "/blobs/"), options.progress.counts()), (3, Counts::default()));
    }
}
