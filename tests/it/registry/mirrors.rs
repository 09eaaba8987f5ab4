//! Reading from mirrors: what they have, what they have wrong, and what they are not believed.

use std::sync::Arc;

use artifact::{
    Kind,
    copy::{self, copy},
    serve::Running,
    store::{self, ReadStore, Store},
    stores::{
        Memory,
        registry::{Mirror, Mirrored, Options},
    },
};

use super::{canary, carry, repository, saw_secret};
use crate::support::{
    flaky::{ALWAYS, Fault, Flaky, Rule, on},
    samples::{Sample, noise},
    scripted::{Scripted, reply},
    server,
};

/// Two layers, of which one takes many reads.
fn sample() -> Sample {
    Sample::of(&[b"hello", &noise(3_000_000, 7)])
}

/// A registry with this as `a:v1`, in front of which something goes wrong.
async fn holding(sample: &Sample, rules: Vec<Rule>) -> (Flaky, Running) {
    let server = server::in_memory().await;
    let host = server.addr().to_string();
    let to: Arc<dyn Store> = Arc::new(repository(&host, "a", &Options::default()));
    carry(&sample.in_memory(&["v1"]).await, &to).await.unwrap();
    (Flaky::before(&host, rules), server)
}

fn hasty() -> Options {
    Options { retries: 0, ..Options::default() }
}

fn mirrored(mirrors: &[(&str, bool)], origin: &str) -> Arc<dyn ReadStore> {
    let mirror = |(host, names): &(&str, bool)| Mirror { repository: repository(host, "a", &hasty()), names: *names };
    Arc::new(Mirrored::new(mirrors.iter().map(mirror).collect(), repository(origin, "a", &hasty())))
}

/// Copies `v1` into memory, and compares every byte.
async fn arrives(sample: &Sample, from: &Arc<dyn ReadStore>) {
    let to: Arc<dyn Store> = Arc::new(Memory::new());
    copy(from, "v1", &to, &copy::Options { tags: vec!["v1".into()], ..copy::Options::default() }).await.unwrap();
    for (desc, bytes) in sample.all() {
        assert!(store::read(to.as_ref(), desc, 8 << 20).await.unwrap() == bytes);
    }
}

fn lines(registry: &Flaky) -> Vec<String> {
    registry.seen().iter().map(|request| request.line().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn content_comes_from_the_mirror_and_names_from_the_origin() {
    let sample = sample();
    let (origin, _one) = holding(&sample, vec![]).await;
    let (mirror, _two) = holding(&sample, vec![]).await;
    arrives(&sample, &mirrored(&[(mirror.host(), false)], origin.host())).await;
    assert_eq!(lines(&origin), ["HEAD /v2/a/manifests/v1"]);
    assert!(!lines(&mirror).iter().any(|line| line.contains("v1")), "{:?}", lines(&mirror));
    assert!(lines(&mirror).iter().any(|line| line.starts_with("GET /v2/a/blobs/")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_decides_what_a_tag_is_only_when_it_is_believed() {
    let (right, other) = (sample(), Sample::of(&[b"other"]));
    let (origin, _one) = holding(&right, vec![]).await;
    let (mirror, _two) = holding(&other, vec![]).await;
    let doubted = mirrored(&[(mirror.host(), false)], origin.host());
    assert_eq!(doubted.resolve("v1").await.unwrap().digest, right.root().digest);
    arrives(&right, &doubted).await;
    let believed = mirrored(&[(mirror.host(), true)], origin.host());
    let before = lines(&origin).len();
    assert_eq!(believed.resolve("v1").await.unwrap().digest, other.root().digest);
    assert_eq!(believed.tags().await.unwrap(), ["v1"]);
    arrives(&other, &believed).await;
    assert_eq!(lines(&origin).len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_a_mirror_the_content_arrives() {
    let sample = sample();
    for fault in [
        Fault::Status(404, &[]),
        Fault::Status(500, &[]),
        Fault::Status(401, &[("www-authenticate", "Basic")]),
        Fault::Close,
        Fault::Reset(100_000),
        Fault::Short(100_000),
        Fault::Flip(3),
        Fault::Flip(2_999_999),
    ] {
        let (origin, _one) = holding(&sample, vec![]).await;
        let rules = vec![on("GET", "/blobs/", ALWAYS, fault.clone()), on("GET", "/manifests/", ALWAYS, fault.clone())];
        let (mirror, _two) = holding(&sample, rules).await;
        let (healthy, _three) = holding(&sample, vec![]).await;
        arrives(&sample, &mirrored(&[(mirror.host(), false)], origin.host())).await;
        assert!(lines(&mirror).iter().any(|line| line.starts_with("GET")), "{fault:?}");
        let before = lines(&origin).len();
        arrives(&sample, &mirrored(&[(mirror.host(), false), (healthy.host(), false)], origin.host())).await;
        assert_eq!(lines(&origin).len(), before + 1, "{fault:?}: {:?}", lines(&origin));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_is_asked_again_when_nobody_else_has_it() {
    let sample = sample();
    let (mirror, _one) = holding(&sample, vec![]).await;
    let from = mirrored(&[(mirror.host(), true)], "127.0.0.1:1");
    arrives(&sample, &from).await;
    arrives(&sample, &from).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_cannot_be_reached_is_left_out_and_named_when_nothing_helps() {
    let sample = sample();
    let (origin, _one) = holding(&sample, vec![]).await;
    arrives(&sample, &mirrored(&[("127.0.0.1:1", true)], origin.host())).await;
    let error = mirrored(&[("127.0.0.1:1", true)], origin.host()).resolve("v2").await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().starts_with("mirror 127.0.0.1:1/a failed ("), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_gets_no_credentials_of_the_origin() {
    let sample = sample();
    let (origin, _one) = holding(&sample, vec![]).await;
    let mirror = Scripted::start(|_| reply(401, &[("www-authenticate", "Basic realm=\"x\"")], b""));
    let options = Options { retries: 0, ..canary(origin.host()) };
    let mirrors = vec![Mirror { repository: repository(mirror.host(), "a", &options), names: true }];
    let from: Arc<dyn ReadStore> = Arc::new(Mirrored::new(mirrors, repository(origin.host(), "a", &options)));
    arrives(&sample, &from).await;
    assert!(!mirror.seen().is_empty() && !saw_secret(&mirror));
}
