//! What a registry hands out, and what of it is believed.

use artifact::{
    Kind, Result,
    oci::{Algorithm, Descriptor, Digest, media_type},
    store::{self, Item, NamePage, Presence, ReadStore as _, collect},
    stores::registry::Options,
};
use bytes::Bytes;

use super::{kind, repository};
use crate::support::{
    samples::named,
    scripted::{Request, Scripted, reply},
    writing::fetch,
};

const MANIFEST: &[u8] = br#"{"schemaVersion":2,"manifests":[]}"#;

fn manifest() -> Descriptor {
    Descriptor::of(media_type::INDEX, MANIFEST)
}

/// A server of one manifest that says that its digest is this.
fn claiming(digest: String) -> Scripted {
    Scripted::start(move |request| {
        let headers = [("content-type", media_type::INDEX), ("docker-content-digest", digest.as_str())];
        let length = MANIFEST.len().to_string();
        match request.line() {
            line if line.starts_with("HEAD") => {
                reply(200, &[&headers[..], &[("content-length", length.as_str())]].concat(), b"")
            }
            _ => reply(200, &headers, MANIFEST),
        }
    })
}

/// H18, H29.
#[tokio::test(flavor = "multi_thread")]
async fn a_lie_about_a_digest_is_found_out() {
    let lie = Digest::of(b"something else");
    let server = claiming(lie.to_string());
    let repository = repository(server.host(), "a", &Options::default());
    assert_eq!(kind(repository.resolve(&named(manifest().digest.to_string())).await), Kind::Mismatch);
    assert_eq!(kind(fetch(&repository, &manifest(), 0).await), Kind::Mismatch);
    // A tag can be said to mean anything; the content then betrays it.
    let found = repository.resolve(&named("v1")).await.unwrap();
    assert_eq!(found.digest, lie);
    assert_eq!(kind(store::read_manifest(&repository, &found).await), Kind::Mismatch);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_of_another_algorithm_is_no_lie() {
    let server = claiming(Digest::of(b"something else").to_string());
    let repository = repository(server.host(), "a", &Options::default());
    let wanted = Digest::with(Algorithm::Sha512, MANIFEST);
    let found = repository.resolve(&named(wanted.to_string())).await.unwrap();
    assert_eq!(found, Descriptor::new(media_type::INDEX, wanted, MANIFEST.len() as u64));
    assert_eq!(store::read_manifest(&repository, &found).await.unwrap(), MANIFEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_says_too_little_is_followed_by_a_get() {
    let digest = manifest().digest.to_string();
    let long =
        |length| [("content-type", media_type::INDEX), ("docker-content-digest", &digest), ("content-length", length)];
    for head in [
        reply(200, &[], b""),
        reply(200, &long("0"), b""),
        reply(200, &long("5"), b""),
        reply(200, &long("9000000"), b""),
        reply(200, &[("content-type", media_type::INDEX), ("content-length", "34")], b""),
        reply(200, &[("docker-content-digest", &digest)], b""),
        reply(405, &[], b""),
    ] {
        let server = Scripted::start(move |request| match request.line() {
            line if line.starts_with("HEAD") => head.clone(),
            _ => reply(200, &[("content-type", "application/json; charset=utf-8")], MANIFEST),
        });
        let found = repository(server.host(), "a", &Options::default()).resolve(&named("v1")).await;
        // What is no manifest by header and has no type of its own is one by its shape.
        assert_eq!(found.unwrap(), manifest());
        assert_eq!(server.lines(), ["HEAD /v2/a/manifests/v1", "GET /v2/a/manifests/v1"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_says_another_size_than_the_descriptor_is_followed_by_a_get_which_decides() {
    let blob = |size| Item::blob(Descriptor::new("a/b", Digest::of(b"hello"), size));
    for (item, length, body, found, asked) in [
        (blob(5), "5", &b"hello"[..], Presence::here(5), 1),
        (blob(5), "7", b"hello", Presence::here(5), 2),
        (blob(5), "7", b"hello, you", Presence::here(10), 2),
        // Without a size to compare with, only that of nothing is doubtful.
        (blob(0), "5", b"hello", Presence::here(5), 1),
        (blob(0), "0", b"hello", Presence::here(5), 2),
        (Item::blob(Descriptor::of("a/b", b"")), "0", b"", Presence::here(0), 1),
        (Item::manifest(manifest()), "7", MANIFEST, Presence::here(34), 2),
    ] {
        let server = Scripted::start(move |request| match request.line() {
            line if line.starts_with("HEAD") => reply(200, &[("content-length", length)], b""),
            _ => reply(200, &[("content-type", media_type::INDEX)], body),
        });
        let presence = repository(server.host(), "a", &once()).has(std::slice::from_ref(&item)).await.unwrap();
        assert_eq!(presence, [found], "{item:?} {length}");
        assert_eq!(server.lines().len(), asked, "{:?}", server.lines());
    }
    let server = Scripted::start(|request| match request.line() {
        line if line.starts_with("HEAD") => reply(200, &[("content-length", "7")], b""),
        _ => reply(404, &[], b""),
    });
    let presence = repository(server.host(), "a", &once()).has(&[blob(5)]).await.unwrap();
    assert_eq!(presence, [Presence::Absent]);
}

/// H24.
#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_without_end_is_not_read_to_its_end() {
    let server = Scripted::start(|_| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {}\r\n\r\n", media_type::INDEX);
        [head.as_bytes(), &vec![b' '; 9 << 20]].concat()
    });
    let repository = repository(server.host(), "a", &Options::default());
    assert_eq!(kind(store::read_manifest(&repository, &manifest()).await), Kind::Limit);
    assert_eq!(kind(repository.resolve(&named("v1")).await), Kind::Limit);
}

fn once() -> Options {
    Options { retries: 0, ..Options::default() }
}

/// What comes of reading ten bytes from the fourth on, when the registry answers so.
async fn ranged(answer: Vec<u8>) -> Result<Bytes> {
    let server = Scripted::start(move |request: &Request| {
        assert_eq!(request.header("range"), "bytes=4-");
        answer.clone()
    });
    let desc = Descriptor::of("a/b", b"0123456789");
    let repository = repository(server.host(), "a", &once());
    collect(fetch(&repository, &desc, 4).await?, 100).await
}

/// H34.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_the_part_that_was_asked_for() {
    let part = |range: &str| reply(206, &[("content-range", range)], b"456789");
    assert_eq!(ranged(part("bytes 4-9/10")).await.unwrap(), "456789");
    assert_eq!(ranged(part("bytes 4-9/*")).await.unwrap(), "456789");
    assert_eq!(ranged(reply(200, &[], b"0123456789")).await.unwrap(), "456789");
    for wrong in ["bytes 0-5/10", "bytes 5-9/10", "bytes 4-9/11", "bytes 4-10/10", "4-9/10", "bytes */10", "", "x"] {
        assert_eq!(kind(ranged(part(wrong)).await), Kind::Mismatch, "{wrong}");
    }
    assert_eq!(kind(ranged(reply(206, &[("content-type", "multipart/byteranges")], b"")).await), Kind::Mismatch);
    assert_eq!(kind(ranged(reply(416, &[], b"")).await), Kind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_was_encoded_on_the_way_is_refused_and_what_is_only_called_so_is_read() {
    let desc = Descriptor::of("a/b", b"hello");
    for (body, is_content) in [("hello", true), ("packed up", false)] {
        let server = Scripted::start(move |request| {
            assert_eq!(request.header("accept-encoding"), "identity");
            reply(200, &[("content-encoding", "gzip")], body.as_bytes())
        });
        let repository = repository(server.host(), "a", &Options::default());
        match fetch(&repository, &desc, 0).await {
            Ok(stream) => assert!(is_content && collect(stream, 100).await.unwrap() == "hello"),
            Err(error) => assert!(!is_content && error.kind() == Kind::NotARegistry, "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_breaks_off_and_is_not_tried_again_is_an_error() {
    let server = Scripted::start(|_| reply(200, &[("content-length", "5")], b"hel"));
    let repository = repository(server.host(), "a", &once());
    let stream = fetch(&repository, &Descriptor::of("a/b", b"hello"), 0).await.unwrap();
    let error = collect(stream, 100).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.to_string().contains("/v2/a/blobs/sha256:"), "{error}");
}

/// What comes of listing tags when page `n` is answered so.
async fn listing(page: impl Fn(usize, &str) -> Vec<u8> + Send + Sync + 'static) -> (Result<NamePage>, Scripted) {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let server = Scripted::start(move |request| {
        page(asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst), request.header("host"))
    });
    let tags = repository(server.host(), "a", &Options::default()).list_names().await;
    (tags, server)
}

fn page(tag: &str, next: &str) -> Vec<u8> {
    let link = format!("<{next}>; rel=\"next\"");
    let body = format!(r#"{{"name":"a","tags":["{tag}"]}}"#);
    if next.is_empty() { reply(200, &[], body.as_bytes()) } else { reply(200, &[("link", &link)], body.as_bytes()) }
}

/// H21.
#[tokio::test(flavor = "multi_thread")]
async fn all_pages_are_read_and_sorted() {
    let (tags, server) = listing(|n, host| match n {
        0 => page("c", "/v2/a/tags/list?last=c&n=1"),
        1 => page("b", &format!("http://{host}/v2/a/tags/list?last=b#fragment")),
        2 => page("a", "list?last=../x"),
        _ => page("c", ""),
    })
    .await;
    assert_eq!(tags.unwrap().names, ["a", "b", "c"]);
    assert_eq!(server.lines()[1..3], ["GET /v2/a/tags/list?last=c&n=1", "GET /v2/a/tags/list?last=b"]);
}

/// H20, H22, H23.
#[tokio::test(flavor = "multi_thread")]
async fn pages_elsewhere_in_circles_or_without_end_are_errors() {
    let trap = Scripted::trap("127.0.0.1");
    let elsewhere = format!("http://{}/v2/a/tags/list", trap.host());
    let (tags, _) = listing(move |_, _| page("a", &elsewhere)).await;
    assert_eq!(kind(tags), Kind::NotARegistry);
    assert!(trap.seen().is_empty());
    for target in ["https://evil.test/x", "//evil.test/x", "file:///etc/passwd", "http://u:p@127.0.0.1/"] {
        let (tags, server) = listing(move |_, _| page("a", target)).await;
        assert!(tags.is_err(), "{target}");
        assert_eq!(server.seen().len(), 1);
    }
    let (tags, server) = listing(|n, _| page(&format!("t{n}"), ["/x", "/y"][n % 2])).await;
    assert_eq!(kind(tags), Kind::NotARegistry);
    assert_eq!(server.seen().len(), 3);
    let (tags, server) = listing(|n, _| page("same", &format!("/x{n}"))).await;
    assert_eq!(kind(tags), Kind::NotARegistry);
    assert_eq!(server.seen().len(), 2);
    let (tags, server) = listing(|n, _| page(&format!("t{n}"), &format!("/x{n}"))).await;
    assert_eq!(kind(tags), Kind::Limit);
    assert_eq!(server.seen().len(), 1000);
}

/// H21.
#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_cannot_be_read_is_not_cut_short() {
    let long = format!("</{}>; rel=next", "x".repeat(9000));
    for link in ["</x; rel=next", "/x; rel=next", long.as_str()] {
        let link = link.to_owned();
        let (tags, _) = listing(move |_, _| reply(200, &[("link", &link)], br#"{"tags":["a"]}"#)).await;
        assert_eq!(kind(tags), Kind::NotARegistry);
    }
    for body in ["", "<html>", "[]", r#"{"tags":"a"}"#] {
        let (tags, _) = listing(move |_, _| reply(200, &[], body.as_bytes())).await;
        let error = tags.unwrap_err();
        assert_eq!(error.kind(), Kind::NotARegistry, "{error}");
    }
    for (body, said) in [(r#"{"tags":["a/b","v1"]}"#, "`a/b`"), ("{\"tags\":[\"v1\",\"\\u001b[31m\"]}", "`\u{1b}[31m`")]
    {
        let page = listing(move |_, _| reply(200, &[], body.as_bytes())).await.0.unwrap();
        assert_eq!(page.names, ["v1"], "what is no tag is reported and left out");
        assert!(page.unreadable[0].message.contains(said), "{:?}", page.unreadable);
    }
    let (none, _) = listing(|_, _| reply(200, &[], br#"{"name":"a","tags":null}"#)).await;
    assert!(none.unwrap().names.is_empty());
}

/// What a registry answers to HEAD, if GET works, or says more.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_head_counts_only_if_get_is_refused_too() {
    let denied = br#"{"errors":[{"code":"DENIED","message":"blocked by policy"}]}"#;
    for status in [400, 401, 403, 404, 405, 406, 500, 501, 503] {
        for (get, want) in [
            (reply(200, &[("content-type", media_type::INDEX)], MANIFEST), None),
            (reply(403, &[], denied), Some(Kind::Denied)),
        ] {
            let server = Scripted::start(move |request| match request.line() {
                line if line.starts_with("HEAD") => reply(status, &[], b""),
                _ => get.clone(),
            });
            let found = repository(server.host(), "a", &once()).resolve(&named("v1")).await;
            match want {
                None => assert_eq!(found.unwrap(), manifest(), "{status}"),
                Some(want) => {
                    let error = found.unwrap_err();
                    assert!(
                        error.kind() == want && error.to_string().contains("blocked by policy"),
                        "{status} {error}"
                    );
                }
            }
        }
    }
}

/// One question more would cost every push of a new tag, and every look for what is most often not there.
#[tokio::test(flavor = "multi_thread")]
async fn a_404_of_head_is_believed_where_head_works_and_where_something_is_written() {
    let server = Scripted::start(|request| match request.line() {
        "HEAD /v2/a/manifests/v1" => {
            let (size, digest) = (MANIFEST.len().to_string(), manifest().digest.to_string());
            let headers = [("content-type", media_type::INDEX), ("docker-content-digest", digest.as_str())];
            reply(200, &[&headers[..], &[("content-length", &size)]].concat(), b"")
        }
        _ => reply(404, &[], b""),
    });
    let store = repository(server.host(), "a", &once());
    for name in ["v2", "v1", "v2"] {
        let _ = store.resolve(&named(name)).await;
    }
    let heads =
        ["HEAD /v2/a/manifests/v2", "GET /v2/a/manifests/v2", "HEAD /v2/a/manifests/v1", "HEAD /v2/a/manifests/v2"];
    assert_eq!(server.lines(), heads);
    let server = Scripted::start(|_| reply(404, &[], b""));
    let store = repository(server.host(), "a", &once());
    artifact::store::Store::intend(&store);
    assert_eq!(kind(store.resolve(&named("v2")).await), Kind::NotFound);
    assert_eq!(server.lines(), ["HEAD /v2/a/manifests/v2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_goes_on_where_a_redirect_led_and_nowhere_else() {
    let elsewhere = Scripted::start(|_| reply(200, &[("link", "</v2/x/tags/list?last=a>; rel=next")], b"{}"));
    let trap = elsewhere.host().to_owned();
    let backend = Scripted::start(move |request| match request.line() {
        line if line.ends_with("last=v1") => reply(200, &[], br#"{"tags":["v2"]}"#),
        line if line.contains("evil") => {
            reply(200, &[("link", &format!("<http://{trap}/>; rel=next"))], br#"{"tags":["v1"]}"#)
        }
        _ => reply(200, &[("link", "<?last=v1>; rel=next")], br#"{"tags":["v1"]}"#),
    });
    let target = backend.host().to_owned();
    let server = Scripted::start(move |request| {
        let path = request.line().split(' ').nth(1).unwrap().to_owned();
        reply(307, &[("location", &format!("http://{target}{path}"))], b"")
    });
    let listed = repository(server.host(), "a", &once()).list_names().await.unwrap();
    assert_eq!(listed.names, ["v1", "v2"]);
    assert_eq!(kind(repository(server.host(), "evil", &once()).list_names().await), Kind::NotARegistry);
    assert!(elsewhere.seen().is_empty());
}

/// What is listed at length is believed as little as what is copied.
#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_read_by_its_tag_has_the_digest_that_the_registry_gives() {
    let server = claiming(manifest().digest.to_string());
    let read = async |host: &str, name: &str| {
        store::read_named(&repository(host, "a", &Options::default()), &named(name)).await
    };
    let (desc, bytes) = read(server.host(), "v1").await.unwrap();
    assert_eq!((desc, bytes), (manifest(), Bytes::from_static(MANIFEST)));
    let other = Digest::of(b"other").to_string();
    for (host, name) in [(claiming(other.clone()).host(), "v1"), (server.host(), other.as_str())] {
        assert_eq!(read(host, name).await.unwrap_err().kind(), Kind::Mismatch, "{name}");
    }
}
