//! Reading from mirrors: what they have, what they have wrong, and what they are not believed.

use std::sync::Arc;

use artifact::{
    Kind, copy,
    fault::Seen,
    oci::Descriptor,
    store::{Item, Presence, ReadStore, Store, read_named},
    stores::{
        Memory,
        registry::{Mirror, Mirrored, Options},
    },
};

use super::{canary, carry, repository, saw_secret};
use crate::support::{
    faulty::{Faulty, Listening},
    samples::{Sample, named, names, noise},
    scripted::{Scripted, reply},
    writing::{item, read},
};

/// Two layers, of which one takes many reads.
fn sample() -> Sample {
    Sample::of(&[b"hello", &noise(3_000_000, 7)])
}

/// A registry with this as `a:v1`, where something goes wrong.
async fn holding(sample: &Sample, faults: &str) -> Listening {
    let world = Faulty::new("");
    let to: Arc<dyn Store> = Arc::new(world.healthy());
    carry(&sample.in_memory(&["v1"]).await, &to).await.unwrap();
    world.listen(faults).await
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
    copy::between(from, &named("v1"), &to, &copy::Options { names: names(&["v1"]), ..copy::Options::default() })
        .await
        .unwrap();
    for (desc, bytes) in sample.all() {
        assert!(read(to.as_ref(), desc, 8 << 20).await.unwrap() == bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mirror_lacks_the_origin_is_asked_for() {
    let (some, all) = (Sample::of(&[b"hello"]), sample());
    let (mirror, origin) = (holding(&some, "").await, holding(&all, "").await);
    let store = mirrored(&[(&mirror.host(), false)], &origin.host());
    let absent = Descriptor::of("a/b", b"absent");
    let items: Vec<Item> = all.all().map(|(desc, _)| item(desc)).chain([Item::blob(absent)]).collect();
    let found = store.has(&items).await.unwrap();
    let expected = items[..items.len() - 1].iter().map(|item| Presence::here(item.desc.size));
    assert_eq!(found, expected.chain([Presence::Absent]).collect::<Vec<_>>());
    let asked = |registry: &Listening| lines(registry).iter().filter(|line| line.starts_with("HEAD")).count();
    // The mirror has the config and the small layer.
    assert_eq!((asked(&mirror), asked(&origin)), (items.len(), items.len() - 2));
}

fn lines(registry: &Listening) -> Vec<String> {
    registry.seen().iter().map(Seen::line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn content_comes_from_the_mirror_and_names_from_the_origin() {
    let sample = sample();
    let origin = holding(&sample, "").await;
    let mirror = holding(&sample, "").await;
    arrives(&sample, &mirrored(&[(&mirror.host(), false)], &origin.host())).await;
    assert_eq!(lines(&origin), ["HEAD /v2/a/manifests/v1"]);
    assert!(!lines(&mirror).iter().any(|line| line.contains("v1")), "{:?}", lines(&mirror));
    assert!(lines(&mirror).iter().any(|line| line.starts_with("GET /v2/a/blobs/")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_decides_what_a_tag_is_only_when_it_is_believed() {
    let (right, other) = (sample(), Sample::of(&[b"other"]));
    let origin = holding(&right, "").await;
    let mirror = holding(&other, "").await;
    let doubted = mirrored(&[(&mirror.host(), false)], &origin.host());
    assert_eq!(doubted.resolve(&named("v1")).await.unwrap().digest, right.root().digest);
    arrives(&right, &doubted).await;
    let believed = mirrored(&[(&mirror.host(), true)], &origin.host());
    let before = lines(&origin).len();
    assert_eq!(believed.resolve(&named("v1")).await.unwrap().digest, other.root().digest);
    assert_eq!(believed.list_names().await.unwrap().names, ["v1"]);
    arrives(&other, &believed).await;
    assert_eq!(lines(&origin).len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_a_mirror_the_content_arrives() {
    let sample = sample();
    for fault in [
        "refuse: {status: 404}",
        "refuse: {status: 500}",
        "refuse: {status: 401, headers: {WWW-Authenticate: Basic}}",
        "lose: {what: request}",
        "lose: {what: answer, after: 100000, by: reset}",
        "lose: {what: answer, after: 100000}",
        "change: {flip: 3}",
        "change: {flip: 2999999}",
    ] {
        let origin = holding(&sample, "").await;
        let everywhere = format!("{{on: GET blob, nth: all, {fault}}}, {{on: GET manifest, nth: all, {fault}}}");
        let mirror = holding(&sample, &everywhere).await;
        let healthy = holding(&sample, "").await;
        arrives(&sample, &mirrored(&[(&mirror.host(), false)], &origin.host())).await;
        assert!(lines(&mirror).iter().any(|line| line.starts_with("GET")), "{fault:?}");
        let before = lines(&origin).len();
        arrives(&sample, &mirrored(&[(&mirror.host(), false), (&healthy.host(), false)], &origin.host())).await;
        assert_eq!(lines(&origin).len(), before + 1, "{fault:?}: {:?}", lines(&origin));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_is_asked_again_when_nobody_else_has_it() {
    let sample = sample();
    let mirror = holding(&sample, "").await;
    let from = mirrored(&[(&mirror.host(), true)], "127.0.0.1:1");
    arrives(&sample, &from).await;
    arrives(&sample, &from).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_cannot_be_reached_is_left_out_and_named_when_nothing_helps() {
    let sample = sample();
    let origin = holding(&sample, "").await;
    arrives(&sample, &mirrored(&[("127.0.0.1:1", true)], &origin.host())).await;
    let error = mirrored(&[("127.0.0.1:1", true)], &origin.host()).resolve(&named("v2")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().starts_with("mirror 127.0.0.1:1/a failed ("), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_gets_no_credentials_of_the_origin() {
    let sample = sample();
    let origin = holding(&sample, "").await;
    let mirror = Scripted::start(|_| reply(401, &[("www-authenticate", "Basic realm=\"x\"")], b""));
    let options = Options { retries: 0, ..canary(&origin.host()) };
    let mirrors = vec![Mirror { repository: repository(mirror.host(), "a", &options), names: true }];
    let from: Arc<dyn ReadStore> = Arc::new(Mirrored::new(mirrors, repository(&origin.host(), "a", &options)));
    arrives(&sample, &from).await;
    assert!(!mirror.seen().is_empty() && !saw_secret(&mirror));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_is_read_by_tag_where_tags_are_believed() {
    let (other, own) = (Sample::of(&[b"other"]), Sample::of(&[b"own"]));
    let (mirror, origin) = (holding(&other, "").await, holding(&own, "").await);
    for (names, expected) in [(false, &own), (true, &other)] {
        let store = mirrored(&[(&mirror.host(), names)], &origin.host());
        let (desc, bytes) = read_named(store.as_ref(), &named("v1")).await.unwrap();
        assert_eq!((&desc, Descriptor::of(&desc.media_type, &bytes)), (expected.root(), desc.clone()), "{names}");
    }
}
