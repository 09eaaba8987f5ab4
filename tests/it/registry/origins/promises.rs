//! What a registry says that it has, and what of it turns out to be true.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use artifact::{
    Kind, copy,
    location::Location,
    oci::{Descriptor, Digest},
    store::{self, ReadStore, Store},
    stores::{
        Memory,
        registry::{Options, Registry},
    },
};
use bytes::Bytes;

use super::super::{kind, repository};
use crate::support::{
    samples::{Sample, named, names},
    scripted::{Request, Scripted, reply},
    writing::{publish, put_from, read},
};

/// What a registry would answer that has these artifacts and nothing else; tags are for the caller.
fn holding(samples: &[Sample], request: &Request) -> Option<Vec<u8>> {
    let all = samples.iter().flat_map(Sample::all);
    let (desc, bytes) = all.into_iter().find(|(desc, _)| request.line().ends_with(&desc.digest.to_string()))?;
    Some(answer(request, desc, bytes, true))
}

fn answer(request: &Request, desc: &Descriptor, bytes: &[u8], named: bool) -> Vec<u8> {
    let (digest, length) = (desc.digest.to_string(), desc.size.to_string());
    let mut headers = vec![("content-type", desc.media_type.as_str()), ("content-length", length.as_str())];
    headers.extend(named.then_some(("docker-content-digest", digest.as_str())));
    reply(200, &headers, if request.line().starts_with("HEAD") { b"" } else { bytes })
}

/// H36: a tag that moves between two requests. What was resolved first is what is copied and what is tagged.
#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_moves_meanwhile_changes_nothing() {
    // A registry that names digests, and one that leaves that to us.
    for tells in [true, false] {
        let (first, second) = (Sample::of(&[b"first"]), Sample::of(&[b"second"]));
        let samples = [first.clone(), second];
        // The answer that says what the tag is: of a registry that names no digest, that is the second one.
        let (asked, until) = (AtomicUsize::new(0), if tells { 1 } else { 2 });
        let server = Scripted::start(move |request| match request.line() {
            line if line.ends_with("/manifests/v1") => {
                let moved = asked.fetch_add(1, Ordering::SeqCst) >= until;
                let (desc, bytes) = &samples[usize::from(moved)].manifests[0];
                answer(request, desc, bytes, tells)
            }
            _ => holding(&samples, request).unwrap_or_else(|| reply(404, &[], b"")),
        });
        let from: Arc<dyn ReadStore> = Arc::new(repository(server.host(), "a", &Options::default()));
        let to: Arc<dyn Store> = Arc::new(Memory::new());
        let options = copy::Options { names: names(&["v1"]), ..copy::Options::default() };
        let report = copy::between(&from, &named("v1"), &to, &options).await.unwrap();
        assert_eq!(report.root.digest, first.root().digest, "{:?}", server.lines());
        assert_eq!(to.resolve(&named("v1")).await.unwrap().digest, first.root().digest);
        let (desc, bytes) = first.layer();
        assert_eq!(read(to.as_ref(), desc, 100).await.unwrap(), *bytes);
        let by_tag = server.lines().iter().filter(|line| line.ends_with("/v1")).count();
        assert_eq!(by_tag, until, "{:?}", server.lines());
    }
}

/// H18: a reference that names a tag and a digest means the digest, whatever the registry says about either.
#[tokio::test(flavor = "multi_thread")]
async fn a_digest_that_the_user_named_wins_over_all_that_is_said() {
    let (meant, given) = (Sample::of(&[b"meant"]), Sample::of(&[b"given"]));
    for honest in [true, false] {
        let (desc, bytes) = given.manifests[0].clone();
        let server = Scripted::start(move |request| answer(request, &desc, &bytes, honest));
        let text = format!("{}/a:v1@{}", server.host(), meant.root().digest);
        let location: Location = text.parse().unwrap();
        let from: Arc<dyn ReadStore> = Arc::new(repository(server.host(), "a", &Options::default()));
        let to: Arc<dyn Store> = Arc::new(Memory::new());
        let copied = copy::between(&from, &location.name(), &to, &copy::Options::default()).await;
        assert_eq!(kind(copied), Kind::Mismatch);
        assert!(server.lines().iter().all(|line| !line.ends_with("/v1")), "{:?}", server.lines());
        assert!(to.inventory().await.unwrap().is_none_or(|held| held.blobs.is_empty()));
    }
}

/// H29: a digest that is a lie about a tag, in the answer to HEAD: the content betrays it, and nothing is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_lie_about_a_tag_is_found_out_before_anything_is_tagged() {
    let (sample, lie) = (Sample::of(&[b"x"]), Digest::of(b"lie"));
    let (desc, bytes) = sample.manifests[0].clone();
    let said = Descriptor { digest: lie.clone(), ..desc };
    let server = Scripted::start(move |request| answer(request, &said, &bytes, true));
    let from: Arc<dyn ReadStore> = Arc::new(repository(server.host(), "a", &Options::default()));
    let to: Arc<dyn Store> = Arc::new(Memory::new());
    let options = copy::Options { names: names(&["v1"]), ..copy::Options::default() };
    assert_eq!(kind(copy::between(&from, &named("v1"), &to, &options).await), Kind::Mismatch);
    assert!(to.list_names().await.unwrap().names.is_empty());
}

/// H37: a registry that says it mounted a blob that it does not have. The manifest is refused then, and no tag is set.
#[tokio::test(flavor = "multi_thread")]
async fn a_mount_of_nothing_ends_before_the_tag() {
    let sample = Sample::of(&[b"x"]);
    let held = [sample.clone()];
    let server = Scripted::start(move |request| match request.line() {
        line if line.contains("mount=") => reply(201, &[("location", "/v2/two/blobs/x")], b""),
        line if line.starts_with("POST") => reply(202, &[("location", "/v2/two/blobs/uploads/x")], b""),
        line if line.starts_with("PUT") && line.contains("/uploads/") => reply(201, &[], b""),
        line if line.starts_with("PUT") => {
            reply(404, &[], br#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"no such blob"}]}"#)
        }
        line if line.contains("/two/") => reply(404, &[], b""),
        _ => holding(&held, request).unwrap_or_else(|| reply(404, &[], b"")),
    });
    let registry = Registry::new(server.host(), &Options::default()).unwrap();
    let from: Arc<dyn ReadStore> = Arc::new(registry.repository("one").unwrap());
    let to: Arc<dyn Store> = Arc::new(registry.repository("two").unwrap());
    let options = copy::Options { names: names(&["v1"]), ..copy::Options::default() };
    let error = copy::between(&from, &named(sample.root().digest.to_string()), &to, &options).await.unwrap_err();
    assert!(error.to_string().contains("MANIFEST_BLOB_UNKNOWN"), "{error}");
    assert!(server.lines().iter().any(|line| line.contains("mount=")), "{:?}", server.lines());
}

/// H37, H38: an answer to a mount, to a blob or to a manifest that names another digest than was sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_stores_something_else_and_says_so_is_caught() {
    let lie = Digest::of(b"lie").to_string();
    let server = Scripted::start(move |_| reply(201, &[("docker-content-digest", &lie), ("location", "/x")], b""));
    let registry = Registry::new(server.host(), &Options::default()).unwrap();
    let (one, two) = (registry.repository("one").unwrap(), registry.repository("two").unwrap());
    let sample = Sample::of(&[b"x"]);
    assert_eq!(kind(put_from(&two, &sample.layer().0, &sample.layer().1, &one).await), Kind::Mismatch);
    let (desc, bytes) = &sample.manifests[0];
    for tags in [&[][..], &["v1"]] {
        assert_eq!(kind(publish(&two, desc, bytes, tags).await), Kind::Mismatch);
    }
}

/// A registry that takes everything, and then has this manifest and no other.
fn keeping(kept: (Descriptor, Bytes)) -> Scripted {
    let stored = AtomicBool::new(false);
    Scripted::start(move |request| match request.line() {
        line if line.starts_with("POST") => reply(202, &[("location", "/upload")], b""),
        line if line.starts_with("PUT") => {
            stored.fetch_or(line.contains("/manifests/"), Ordering::SeqCst);
            reply(201, &[], b"")
        }
        line if stored.load(Ordering::SeqCst) && (line.ends_with("/v1") || line.ends_with(&kept.0.digest.hex())) => {
            answer(request, &kept.0, &kept.1, true)
        }
        _ => reply(404, &[], b""),
    })
}

/// H38: a registry that says 201 and keeps another manifest under the tag. It is found out by who asks: most of the time
/// that would be two requests in vain.
#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_is_read_back_must_stand_for_what_was_stored() {
    let (sample, other) = (Sample::of(&[b"x"]), Sample::of(&[b"other"]));
    for (kept, want) in [(&other, Some(Kind::Mismatch)), (&sample, None)] {
        let server = keeping(kept.manifests[0].clone());
        let from = sample.in_memory(&["v1"]).await;
        let to: Arc<dyn Store> = Arc::new(repository(server.host(), "a", &Options::default()));
        let tags = names(&["v1"]);
        let options = copy::Options { names: tags.clone(), ..copy::Options::default() };
        let root = copy::between(&from, &named("v1"), &to, &options).await.unwrap().root;
        let found = store::read_back(to.as_ref(), &root, &tags).await;
        assert_eq!(found.err().map(|e| e.kind()), want, "{:?}", server.lines());
    }
}
