//! What a client does about faults, request by request. What it achieves in spite of them is in [`super::scenarios`].

use artifact::{
    Kind,
    oci::Descriptor,
    progress::{Counts, Observer, Outcome},
    store::{ReadStore, Store},
    stores::registry::Options,
};
use bytes::Bytes;
use std::sync::Arc;

use crate::support::{
    faulty::Faulty,
    samples::{Sample, deliver, named, noise},
    writing::{has, put, put_from, read},
};

const SIZE: usize = 3 << 20;
const HALF: usize = SIZE / 2;

/// A registry with one blob that these faults are about.
async fn one_blob(faults: &str) -> (Faulty, Descriptor, Bytes) {
    let world = Faulty::new(faults);
    let (desc, bytes) = Sample::of(&[&noise(SIZE, 7)]).layer().clone();
    put(&world.healthy(), &desc, &bytes).await.unwrap();
    (world, desc, bytes)
}

async fn holds(store: &dyn ReadStore, sample: &Sample) -> bool {
    let mut good = store.resolve(&named("v1")).await.is_ok_and(|found| found.digest == sample.root().digest);
    for (desc, bytes) in sample.all() {
        good &= read(store, desc, desc.size).await.is_ok_and(|read| read == bytes);
    }
    good
}

#[tokio::test(start_paused = true)]
async fn every_status_that_may_pass_is_survived_by_every_request() {
    const LONGEST: usize = 5 << 20;
    let sample = Sample::of(&[&noise(LONGEST + 1, 7)]);
    let requests =
        ["HEAD manifest", "GET manifest", "GET blob", "POST upload", "PATCH upload", "PUT upload", "PUT manifest"];
    for status in [408, 429, 499, 500, 502, 503, 504, 522] {
        // What is refused for its length goes in pieces, and only so are there any.
        let mut faults =
            format!("{{on: PUT upload, nth: all, longer: {LONGEST}, refuse: {{status: 413, early: true}}}}");
        for request in requests {
            faults += &format!(", {{on: {request}, refuse: {{status: {status}}}}}");
        }
        let world = Faulty::new(&faults);
        let there = Arc::new(world.repository(&Options::default()));
        deliver(&(Arc::clone(&there) as Arc<dyn Store>), &sample, &["v1"]).await.unwrap();
        assert!(holds(there.as_ref(), &sample).await, "{status}");
        for n in 1..=requests.len() {
            let request = requests[n - 1];
            assert!(world.seen().iter().any(|seen| seen.faults.contains(&n)), "{status} never hit {request}");
            // A refused HEAD is not sent again: GET says more.
            let again = if request == "HEAD manifest" { "GET manifest" } else { request };
            assert!(world.count(again) > 1, "{status} {request}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_download_goes_on_where_it_broke_off() {
    // Of what is sent before a reset, nobody knows how much arrives.
    for means in ["close", "silence"] {
        let lose = format!("{{on: GET blob, lose: {{what: answer, after: {HALF}, by: {means}}}}}");
        let (world, desc, bytes) = one_blob(&lose).await;
        let repository = world.repository(&Options::default());
        assert!(read(&repository, &desc, desc.size).await.unwrap() == bytes, "{means}");
        assert_eq!(world.headers("range"), ["".into(), format!("bytes={HALF}-")], "{means}");
    }
}

#[tokio::test(start_paused = true)]
async fn resets_at_every_64_kib_cost_no_byte_twice() {
    let (size, step) = (64 << 20, 64 << 10);
    let world = Faulty::new(&format!("{{on: GET blob, nth: all, lose: {{what: answer, after: {step}, by: reset}}}}"));
    let bytes = Bytes::from(vec![7; size]);
    let desc = Descriptor::of("a/b", &bytes);
    put(&world.healthy(), &desc, &bytes).await.unwrap();
    let repository = world.repository(&Options::default());
    assert!(read(&repository, &desc, desc.size).await.unwrap() == bytes);
    assert_eq!(world.count("GET blob"), size / step);
    assert!(world.faults.sent() <= size as u64 / 100 * 101, "{} bytes were sent", world.faults.sent());
}

#[tokio::test(start_paused = true)]
async fn a_wrong_part_is_never_spliced_in_and_then_all_is_asked_for() {
    for wrong in [
        "change: {headers: {Content-Range: bytes 0-1572863/3145728}}",
        "change: {headers: {Content-Range: null}}",
        "change: {headers: {Content-Range: bytes 1572864-3145727/3145729}}",
        "refuse: {status: 416}",
    ] {
        let lose = format!("{{on: GET blob, lose: {{what: answer, after: {HALF}}}}}");
        let (world, desc, bytes) = one_blob(&format!("{lose}, {{on: GET blob, nth: 2, {wrong}}}")).await;
        let repository = world.repository(&Options::default());
        assert!(read(&repository, &desc, desc.size).await.unwrap() == bytes, "{wrong}");
        assert_eq!(world.headers("range"), ["".into(), format!("bytes={HALF}-"), "".into()], "{wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn progress_allows_for_more_breaks_than_attempts() {
    let step = SIZE / 2 - 100_000;
    assert!(step > 1 << 20);
    let moves = |n| format!("{{on: GET blob, nth: {n}, lose: {{what: answer, after: {step}}}}}");
    let stuck = |nth| format!("{{on: GET blob, nth: {nth}, lose: {{what: request, by: reset}}}}");
    // What breaks an answer off counts only answers that there are.
    let faults = [stuck("2-5"), stuck("7-10"), moves(1), moves(2)].join(", ");
    let (world, desc, bytes) = one_blob(&faults).await;
    let repository = world.repository(&Options::default());
    assert!(read(&repository, &desc, desc.size).await.unwrap() == bytes);
    assert_eq!(world.seen().len(), 11);
}

#[tokio::test(start_paused = true)]
async fn what_never_passes_ends_after_six_attempts() {
    for fault in ["refuse: {status: 503}", "lose: {what: answer, by: reset}", "lose: {what: answer, after: 0}"] {
        let (world, desc, _) = one_blob(&format!("{{on: GET blob, nth: all, {fault}}}")).await;
        let error = read(&world.repository(&Options::default()), &desc, desc.size).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{fault}");
        assert!(error.to_string().contains("after 6 attempts: "), "{error}");
        assert_eq!(world.seen().len(), 6, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_tried_again() {
    for status in [400, 403, 404, 405, 410, 416, 501] {
        let (world, desc, _) = one_blob(&format!("{{on: GET blob, nth: all, refuse: {{status: {status}}}}}")).await;
        read(&world.repository(&Options::default()), &desc, desc.size).await.unwrap_err();
        assert_eq!(world.seen().len(), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_push_that_is_refused_for_good_ends_at_once() {
    for (on, status, code) in [
        ("PUT manifest", 409, "TAG_IMMUTABLE"),
        ("PUT manifest", 403, "DENIED"),
        ("PUT|PATCH upload", 413, "QUOTA_EXCEEDED"),
    ] {
        let body = format!(r#"{{"errors":[{{"code":"{code}"}}]}}"#);
        let world = Faulty::new(&format!("{{on: {on}, nth: all, refuse: {{status: {status}, body: '{body}'}}}}"));
        let from = Sample::of(&[&noise(6 << 20, 1)]).in_memory(&["v1"]).await;
        let to: Arc<dyn Store> = Arc::new(world.repository(&Options::default()));
        let error = super::carry(&from, &to).await.unwrap_err();
        assert!(error.kind() == Kind::Denied && error.to_string().contains(code), "{error}");
        let hit = world.seen().iter().filter(|seen| !seen.faults.is_empty()).count();
        // The config, which moves beside it, may be refused as well.
        assert!(hit == 1 || on.contains("upload") && hit == 2, "{code}: {hit}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_asks_for_too_long_a_wait_is_quoted_at_once() {
    let fault = "{on: GET blob, nth: all, refuse: {status: 503, headers: {Retry-After: '301'}}}";
    let (world, desc, _) = one_blob(fault).await;
    let error = read(&world.repository(&Options::default()), &desc, desc.size).await.unwrap_err();
    assert!(error.to_string().contains("asks to wait for 301"), "{error}");
    assert_eq!(world.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_used_up_is_quoted_after_one_wait() {
    let headers = "ratelimit-limit: 100;w=21600, ratelimit-remaining: 0;w=21600";
    let fault = format!("{{on: GET blob, nth: all, refuse: {{status: 429, headers: {{{headers}}}}}}}");
    let (world, desc, _) = one_blob(&fault).await;
    let error = read(&world.repository(&Options::default()), &desc, desc.size).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    let quoted = "the quota is exhausted (ratelimit-limit 100;w=21600, ratelimit-remaining 0;w=21600)";
    assert!(error.to_string().contains(quoted), "{error}");
    assert_eq!(world.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_that_was_closed_meanwhile_costs_no_attempt() {
    // Closed without an answer: to a client the same as a connection that timed out just now.
    for retries in [0, 5] {
        let (world, desc, _) = one_blob("{on: HEAD blob, nth: 2, lose: {what: request}}").await;
        let progress = Observer::default();
        let options = Options { retries, progress, ..Options::default() };
        let repository = world.repository(&options);
        assert!(has(&repository, &desc).await.unwrap());
        assert!(has(&repository, &desc).await.unwrap());
        assert_eq!((world.count("HEAD blob"), options.progress.counts()), (3, Counts::default()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_mount_that_is_not_done_costs_no_more_than_an_upload() {
    let (desc, bytes) = Sample::of(&[b"mount me"]).layer().clone();
    for (fault, posts) in [("ignore: [mount, from]", 1), ("refuse: {status: 405}", 2), ("refuse: {status: 401}", 2)] {
        let world = Faulty::new(&format!("{{on: POST mount, nth: all, {fault}}}"));
        put(&world.healthy(), &desc, &bytes).await.unwrap();
        let registry = world.client(&Options::default());
        let (from, to) = (registry.repository("a").unwrap(), registry.repository("b").unwrap());
        assert_eq!(put_from(&to, &desc, &bytes, &from).await.unwrap(), Outcome::Moved, "{fault}");
        assert!(has(&to, &desc).await.unwrap());
        assert_eq!(world.count("POST upload"), posts, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_fails_to_mount_gets_the_blob_and_is_not_asked_to_mount_again() {
    let sample = Sample::of(&[&noise(SIZE, 1), &noise(9000, 2)]);
    let world = Faulty::new("{on: POST mount, nth: all, refuse: {status: 500}}");
    let layers = [sample.layer().clone(), (Descriptor::of("a/b", b"small"), Bytes::from_static(b"small"))];
    let registry = world.client(&Options::default());
    let (from, to) = (registry.repository("a").unwrap(), registry.repository("b").unwrap());
    for (desc, bytes) in &layers {
        assert_eq!(put_from(&to, desc, bytes, &from).await.unwrap(), Outcome::Moved);
        assert!(has(&to, desc).await.unwrap());
    }
    let seen = world.seen();
    let mounts: Vec<_> = seen.iter().map(artifact::fault::Seen::line).filter(|line| line.contains("mount=")).collect();
    assert!(mounts.len() > 1 && mounts.iter().all(|line| *line == mounts[0]), "{mounts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_second_push_and_a_second_pull_move_nothing() {
    let (world, sample) = (Faulty::new(""), Sample::of(&[&noise(9000, 1), &noise(9000, 2)]));
    let from = sample.in_memory(&["v1"]).await;
    let there: Arc<dyn Store> = Arc::new(world.repository(&Options::default()));
    let here: Arc<dyn Store> = Arc::new(artifact::stores::Memory::new());
    super::carry(&from, &there).await.unwrap();
    super::carry(&(there.clone() as Arc<dyn ReadStore>), &here).await.unwrap();
    let (before, sent) = (world.seen().len(), world.faults.sent());
    super::carry(&from, &there).await.unwrap();
    super::carry(&(there.clone() as Arc<dyn ReadStore>), &here).await.unwrap();
    let lines: Vec<String> = world.seen()[before..].iter().map(artifact::fault::Seen::line).collect();
    // A mount of what is there moves nothing either.
    let asks = |line: &String| line.starts_with("HEAD") || line.starts_with("GET") || line.contains("?mount=");
    assert!(lines.iter().all(asks), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("GET /v2/a/blobs/")), "{lines:?}");
    assert!(world.faults.sent() - sent < 5000);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_tells_no_size_of_the_content_is_no_size() {
    for headers in ["Content-Length: '0'", "Content-Encoding: gzip, Content-Length: '17'"] {
        let world = Faulty::new(&format!("{{on: HEAD any, nth: all, change: {{headers: {{{headers}}}}}}}"));
        let sample = Sample::of(&[&noise(SIZE, 7)]);
        deliver(&(Arc::new(world.healthy()) as Arc<dyn Store>), &sample, &["v1"]).await.unwrap();
        let repository = Arc::new(world.repository(&Options::default()));
        assert_eq!(repository.resolve(&named("v1")).await.unwrap().size, sample.root().size, "{headers}");
        assert!(holds(repository.as_ref(), &sample).await, "{headers}");
        let uploads = world.count("PUT upload");
        put(repository.as_ref(), &sample.layer().0, &sample.layer().1).await.unwrap();
        assert_eq!(world.count("PUT upload"), uploads, "{headers}: the blob is there");
    }
}

#[tokio::test(start_paused = true)]
async fn a_manifest_is_stored_whichever_success_says_so() {
    for status in [200, 201, 202, 204] {
        let world = Faulty::new(&format!("{{on: PUT manifest, nth: all, change: {{status: {status}}}}}"));
        let sample = Sample::of(&[b"layer"]);
        let repository = Arc::new(world.repository(&Options::default())) as Arc<dyn Store>;
        deliver(&repository, &sample, &["v1"]).await.unwrap_or_else(|e| panic!("{status}: {e}"));
        assert!(holds(&world.healthy(), &sample).await, "{status}");
    }
}
