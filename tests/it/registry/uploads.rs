//! What is sent, when it is given up, and what a registry may answer.

use std::sync::Arc;

use artifact::{
    Code, Kind, Result,
    blob::{Blob, ByteStream},
    copy,
    fault::Seen,
    oci::{Descriptor, Digest, media_type},
    progress::Outcome,
    store::{ReadStore, Store, remove_name},
    stores::{
        Layout,
        registry::{Options, Registry, Repository},
    },
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::sync::Notify;

use super::{kind, repository};
use crate::support::{
    faulty::Faulty,
    samples::{Sample, Stalling, deliver, named, noise, ref_name},
    scripted::{Request, Scripted, hasty, reply},
    server,
    writing::{begin, has, publish, put, put_from, size},
};

/// Has nothing, opens uploads at `/upload?state=x`, and answers everything else with this.
fn uploads(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Scripted {
    Scripted::start(move |request| match request.line() {
        line if line.starts_with("HEAD") => reply(404, &[], b""),
        line if line.starts_with("POST") => reply(202, &[("location", "/upload?state=x%2Fy")], b""),
        _ => answer(request),
    })
}

/// The methods of all requests so far.
fn methods(server: &Scripted) -> Vec<String> {
    server.lines().iter().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn at(server: &Scripted) -> Repository {
    repository(server.host(), "a", &Options::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_is_sent_in_one_put_of_known_length() {
    for (len, requests) in [(0, 2), (5, 2), (3_000_000, 3)] {
        let server = uploads(|_| reply(201, &[], b""));
        let bytes = Bytes::from(noise(len, 1));
        let desc = Descriptor::of("a/b", &bytes);
        put(&at(&server), &desc, &bytes).await.unwrap();
        assert_eq!(server.seen().len(), requests);
        let put = &server.seen()[requests - 1];
        let digest = desc.digest.to_string().replace(':', "%3A");
        assert_eq!(put.line(), format!("PUT /upload?state=x%2Fy&digest={digest}"));
        assert_eq!(put.header("content-length"), len.to_string());
        assert_eq!(put.header("content-type"), "application/octet-stream");
        assert!(put.body == bytes);
    }
}

/// Content that is not what was promised: in its last byte, or because its source fails.
struct Wrong(Bytes, bool);

#[async_trait]
impl Blob for Wrong {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    async fn open(&self, _: u64) -> Result<ByteStream> {
        let upto = self.0.len() - 1;
        let last = match self.1 {
            true => Err(artifact::Error::new(Kind::Changed, "the file changed")),
            false => Ok(Bytes::from_static(b"?")),
        };
        Ok(stream::iter([Ok(self.0.slice(..upto)), last]).boxed())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_content_is_never_sent_whole_and_the_upload_is_given_up() {
    for (fails, want) in [(false, Kind::Mismatch), (true, Kind::Changed)] {
        let server = uploads(|_| reply(201, &[], b""));
        let bytes = Bytes::from([noise(3_000_000, 1), b"!".to_vec()].concat());
        let desc = Descriptor::of("a/b", &bytes);
        assert_eq!(kind(put(&at(&server), &desc, &Wrong(bytes, fails)).await), want);
        let seen = server.seen();
        let sent = seen.iter().find(|r| r.line().starts_with("PUT")).map_or(0, |r| r.body.len());
        assert!(sent < 3_000_001);
        assert!(seen.iter().any(|r| r.line() == "DELETE /upload?state=x%2Fy"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn small_wrong_content_is_not_sent_and_the_upload_is_given_up() {
    let server = uploads(|_| reply(201, &[], b""));
    let desc = Descriptor::of("a/b", b"right");
    assert_eq!(kind(put(&at(&server), &desc, &Bytes::from_static(b"wrong")).await), Kind::Mismatch);
    assert_eq!(methods(&server), ["POST", "DELETE"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upload_is_given_up_and_says_why() {
    let server = uploads(|request| match request.line() {
        line if line.starts_with("PUT") => {
            reply(400, &[], br#"{"errors":[{"code":"SIZE_INVALID","message":"not \u001b[31mtoday"}]}"#)
        }
        _ => reply(204, &[], b""),
    });
    let error = put(&at(&server), &Descriptor::of("a/b", b"x"), &Bytes::from_static(b"x")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    let text = error.to_string();
    assert!(text.contains("SIZE_INVALID: not \u{1b}[31mtoday") && text.contains("PUT http://"), "{text}");
    assert!(!text.contains("state="), "{text}");
    assert_eq!(server.lines().last().unwrap(), "DELETE /upload?state=x%2Fy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_refuses_before_it_has_read_all_is_understood_or_to_be_asked_again() {
    let refusal = reply(413, &[], br#"{"errors":[{"code":"SIZE_INVALID","message":"too much"}]}"#);
    let round = [reply(202, &[("location", "/upload")], b""), refusal, reply(204, &[], b"")];
    let absent = reply(404, &[], b"");
    let host = hasty(std::iter::once(&absent).chain(round.iter().cycle().take(24)).cloned().collect());
    let bytes = Bytes::from(noise(30_000_000, 1));
    let once = Options { retries: 0, ..Options::default() };
    let error = put(&repository(&host, "a", &once), &Descriptor::of("a/b", &bytes), &bytes).await;
    // The refusal may be lost when the connection breaks under what is still being sent.
    assert!(matches!(kind(error), Kind::Limit | Kind::Unavailable));
}

/// H29, H38.
#[tokio::test(flavor = "multi_thread")]
async fn a_reply_with_another_digest_is_an_error() {
    let lie = Digest::of(b"lie").to_string();
    let server = uploads(move |_| reply(201, &[("docker-content-digest", &lie)], b""));
    let blob = Bytes::from_static(b"x");
    assert_eq!(kind(put(&at(&server), &Descriptor::of("a/b", &blob), &blob).await), Kind::Mismatch);
    let (desc, bytes) = Sample::of(&[b"x"]).manifests[0].clone();
    assert_eq!(kind(publish(&at(&server), &desc, &bytes, &["v1"]).await), Kind::Mismatch);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_is_put_once_under_its_tag() {
    let server = Scripted::start(|_| reply(201, &[], b""));
    let (desc, bytes) = Sample::of(&[b"x"]).manifests[0].clone();
    publish(&at(&server), &desc, &bytes, &["v1"]).await.unwrap();
    publish(&at(&server), &desc, &bytes, &[]).await.unwrap();
    assert_eq!(server.lines(), ["PUT /v2/a/manifests/v1".into(), format!("PUT /v2/a/manifests/{}", desc.digest)]);
    assert_eq!(server.seen()[0].header("content-type"), media_type::MANIFEST);
    assert!(server.seen()[0].body == bytes);
    assert_eq!(kind(publish(&at(&server), &desc, &bytes, &["a/../b"]).await), Kind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_is_mounted_from_a_neighbour_without_moving() {
    let server = server::in_memory().await;
    let registry = Registry::new(&server.addr().to_string(), &Options::default()).unwrap();
    let (one, two) = (registry.repository("one").unwrap(), registry.repository("two").unwrap());
    let (desc, bytes) = Sample::of(&[b"mount me"]).layer().clone();
    put(&one, &desc, &bytes).await.unwrap();
    assert!(!has(&two, &desc).await.unwrap());
    let untouched = Wrong(Bytes::from_static(b"!"), true);
    assert_eq!(put_from(&two, &desc, &untouched, &one).await.unwrap(), Outcome::Mounted);
    assert!(has(&two, &desc).await.unwrap());
    for from in [&one, &two] {
        assert_eq!(put_from(&two, &desc, &untouched, from).await.unwrap(), Outcome::Present);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_was_opened_instead_of_a_mount_is_used() {
    let server = uploads(|_| reply(201, &[], b""));
    let registry = Registry::new(server.host(), &Options::default()).unwrap();
    let (one, two) = (registry.repository("one").unwrap(), registry.repository("two").unwrap());
    let (desc, bytes) = (Descriptor::of("a/b", b"x"), Bytes::from_static(b"x"));
    assert_eq!(put_from(&two, &desc, &bytes, &one).await.unwrap(), Outcome::Moved);
    let digest = desc.digest.to_string().replace(':', "%3A");
    assert_eq!(
        server.lines(),
        [
            format!("HEAD /v2/two/blobs/{}", desc.digest),
            format!("POST /v2/two/blobs/uploads/?mount={digest}&from=one"),
            format!("PUT /upload?state=x%2Fy&digest={digest}"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_that_is_refused_is_no_error() {
    let (desc, bytes) = (Descriptor::of("a/b", b"x"), Bytes::from_static(b"x"));
    for status in [400, 401, 403, 404, 405] {
        let server = Scripted::start(move |request| match request.line() {
            line if line.contains("mount=") => reply(status, &[], b""),
            line if line.starts_with("POST") => reply(202, &[("location", "/upload")], b""),
            line if line.starts_with("PUT") => reply(201, &[], b""),
            _ => reply(404, &[], b""),
        });
        let registry = Registry::new(server.host(), &Options::default()).unwrap();
        let (one, two) = (registry.repository("one").unwrap(), registry.repository("two").unwrap());
        assert_eq!(put_from(&two, &desc, &bytes, &one).await.unwrap(), Outcome::Moved, "{status}");
    }
    // Another registry, and a store that is none, are not asked.
    let other = repository("127.0.0.1:1", "one", &Options::default());
    let memory = Sample::of(&[b"x"]).in_memory(&[]).await;
    for from in [&other as &dyn ReadStore, memory.as_ref()] {
        let server = uploads(|_| reply(201, &[], b""));
        assert_eq!(put_from(&at(&server), &desc, &bytes, from).await.unwrap(), Outcome::Moved);
        assert!(!server.lines().iter().any(|line| line.contains("from=one")), "{:?}", server.lines());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_removes_no_tags_is_unsupported_and_not_misunderstood() {
    for status in [400, 405] {
        let digest = Digest::of(b"").to_string();
        let server = Scripted::start(move |request| match request.line() {
            line if line.starts_with("DELETE") => reply(status, &[], br#"{"errors":[{"code":"UNSUPPORTED"}]}"#),
            _ => reply(
                200,
                &[("docker-content-digest", &digest), ("content-type", media_type::MANIFEST), ("content-length", "99")],
                b"",
            ),
        });
        let error = remove_name(&at(&server), ref_name("v1")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.to_string().contains("cannot remove single tags") && error.to_string().contains("UNSUPPORTED"));
        let code = if status == 405 { Code::MethodRefused } else { Code::TagsNotRemovable };
        assert_eq!(error.code(), Some(code));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_blobs_at_once_share_connections_and_all_arrive() {
    let server = server::in_memory().await;
    let options = Options::default();
    let repository = Arc::new(repository(&server.addr().to_string(), "a", &options));
    let blobs: Vec<Bytes> = (0..200).map(|n| Bytes::from(noise(1000, n))).collect();
    let pushes = blobs.iter().map(|bytes| {
        let (repository, bytes) = (Arc::clone(&repository), bytes.clone());
        async move { put(repository.as_ref(), &Descriptor::of("a/b", &bytes), &bytes).await }
    });
    let done: Vec<Result<Outcome>> = stream::iter(pushes).buffer_unordered(6).collect().await;
    assert!(done.iter().all(Result::is_ok));
    for bytes in &blobs {
        assert_eq!(size(repository.as_ref(), &Digest::of(bytes)).await.unwrap(), 1000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_blob_costs_two_requests_and_one_that_is_there_one() {
    let world = Faulty::new("");
    let to = world.repository(&Options::default());
    for len in [0, 5, 1 << 20] {
        let bytes = Bytes::from(noise(len, 1));
        let desc = Descriptor::of("a/b", &bytes);
        let before = world.seen().len();
        assert_eq!(put(&to, &desc, &bytes).await.unwrap(), Outcome::Moved);
        assert_eq!(world.seen().len(), before + 2);
        assert_eq!(put(&to, &desc, &bytes).await.unwrap(), Outcome::Present);
        assert_eq!(world.seen().len(), before + 3);
    }
    // An upload that is opened in vain costs more than a question, where the blob is large.
    let before = world.seen().len();
    let large = Bytes::from(noise((1 << 20) + 1, 1));
    for outcome in [Outcome::Moved, Outcome::Present] {
        assert_eq!(put(&to, &Descriptor::of("a/b", &large), &large).await.unwrap(), outcome);
    }
    let methods: Vec<String> = world.seen()[before..].iter().map(|seen| seen.method.to_string()).collect();
    assert_eq!(methods, ["HEAD", "POST", "PUT", "HEAD"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_mounts_nothing_from_itself_is_asked_in_the_plain_way_from_then_on() {
    for status in [400, 404, 405] {
        let server = Scripted::start(move |request| match request.line() {
            line if line.starts_with("POST") && line.contains("mount=") => reply(status, &[], b""),
            line if line.starts_with("POST") => reply(202, &[("location", "/upload")], b""),
            line if line.starts_with("PUT") => reply(201, &[], b""),
            _ => reply(404, &[], b""),
        });
        let to = at(&server);
        for _ in 0..2 {
            let blob = Bytes::from_static(b"x");
            assert_eq!(put(&to, &Descriptor::of("a/b", &blob), &blob).await.unwrap(), Outcome::Moved);
        }
        assert_eq!(methods(&server), ["POST", "HEAD", "POST", "PUT", "HEAD", "POST", "PUT"], "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_unhashed_and_its_damage_is_told_from_a_refusal() {
    for len in [1000, 3 << 20] {
        let sample = Sample::of(&[&noise(len, 3)]);
        let dir = tempfile::tempdir().unwrap();
        let layout: Arc<dyn Store> = Arc::new(Layout::create(dir.path()).unwrap());
        deliver(&layout, &sample, &["v1"]).await.unwrap();
        let hex = sample.layer().0.digest.hex();
        let blob = dir.path().join("blobs/sha256").join(&hex);
        let mut bytes = std::fs::read(&blob).unwrap();
        bytes[len / 2] ^= 1;
        std::fs::remove_file(&blob).unwrap();
        std::fs::write(&blob, bytes).unwrap();

        let world = Faulty::new("");
        let to: Arc<dyn Store> = Arc::new(world.repository(&Options::default()));
        let error =
            copy::between(&(layout as Arc<dyn ReadStore>), &named("v1"), &to, &Default::default()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Mismatch);
        let text = error.to_string();
        assert!(text.contains(&format!("`{}` is damaged", blob.display())) && text.contains("has digest"), "{text}");
        let puts: Vec<String> = world.seen().iter().map(Seen::line).filter(|line| line.starts_with("PUT")).collect();
        assert_eq!(puts.iter().filter(|line| line.contains(&hex)).count(), 1);
        assert!(!puts.iter().any(|line| line.contains("/manifests/")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn giving_up_waits_until_what_is_being_sent_is_cancelled_and_leaves_others_alone() {
    for len in [1000, 3 << 20] {
        let (world, stalled) = (Faulty::new(""), Arc::new(Notify::new()));
        let to = world.repository(&Options::default());
        let bytes = Bytes::from(noise(len, 1));
        let other = begin(&to, Vec::new()).await.unwrap();
        let write = begin(&to, Vec::new()).await.unwrap();
        let (puts, desc) = (write.puts(), Descriptor::of("a/b", &bytes));
        let blob = Stalling(bytes, Arc::clone(&stalled));
        let putting = tokio::spawn(async move { puts.put(&desc, &blob, &[]).await });
        stalled.notified().await;
        let bytes = Bytes::from(noise(len, 2));
        let desc = Descriptor::of("a/b", &bytes);
        let (puts, blob) = (other.puts(), Stalling(bytes.clone(), Arc::clone(&stalled)));
        let waiting = desc.clone();
        let halted = tokio::spawn(async move { puts.put(&waiting, &blob, &[]).await });
        stalled.notified().await;
        write.abandon().await;
        assert_eq!(world.count("DELETE upload"), world.count("POST upload") - 1, "{len}");
        assert!(putting.await.unwrap().is_err());
        halted.abort();
        assert_eq!(other.puts().put(&desc, &bytes, &[]).await.unwrap(), Outcome::Moved);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn giving_up_cancels_a_stream_that_somebody_holds() {
    for size in [None, Some(3 << 20)] {
        let world = Faulty::new("");
        let to = world.repository(&Options::default());
        let write = begin(&to, Vec::new()).await.unwrap();
        let mut sink = write.puts().stream(size).await.unwrap();
        sink.write(Bytes::from(noise(1 << 20, 1))).await.unwrap();
        write.abandon().await;
        assert_eq!((world.count("POST upload"), world.count("DELETE upload")), (1, 1), "{size:?}");
        // What was on its way is noticed to be lost with one of the next pieces.
        let more = Bytes::from(noise(1000, 2));
        while sink.offset() < 2 << 20 {
            if sink.write(more.clone()).await.is_err() {
                break;
            }
        }
        assert!(sink.finish(Some(&Digest::of(b"whatever"))).await.is_err());
        assert_eq!(world.count("PUT upload"), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_another_length_than_announced_is_not_stored() {
    let world = Faulty::new("");
    let to = world.repository(&Options::default());
    let write = begin(&to, Vec::new()).await.unwrap();
    let bytes = Bytes::from(noise(1000, 1));
    let digest = Digest::of(&bytes);
    let mut short = write.puts().stream(Some(1001)).await.unwrap();
    short.write(bytes.clone()).await.unwrap();
    assert_eq!(kind(short.finish(Some(&digest)).await), Kind::Mismatch);
    let mut long = write.puts().stream(Some(999)).await.unwrap();
    assert_eq!(kind(long.write(bytes.clone()).await), Kind::Mismatch);
    drop(long);
    write.abandon().await;
    assert_eq!((world.count("PUT upload"), world.count("DELETE upload")), (0, 2));
    assert!(!has(&world.healthy(), &Descriptor::of("a/b", &bytes)).await.unwrap());
}
